#include "routing/tree_facts.hpp"

#include "routing/statement_reader.hpp"
#include "routing/tree_node.hpp"

#include <simdjson.h>

namespace pgtorii::routing {

namespace {

using sk = statement_kind;

bool is_data_statement(statement_kind kind)
{
    return kind == sk::select || kind == sk::insert || kind == sk::update || kind == sk::delete_ ||
           kind == sk::merge;
}

}  // namespace

struct tree_reader::parser {
    simdjson::dom::parser json;
};

// The parser keeps memory for the largest tree that it has seen, several times its size: not beyond
// this one.
constexpr std::size_t kept_json_bytes_max = 256 * 1024;

tree_reader::tree_reader() : parser_(std::make_unique<parser>()) {}
tree_reader::~tree_reader() = default;

bool tree_reader::read(std::string_view json, query_facts& facts)
{
    const bool is_read = read_tree(json, facts);
    if (json.size() > kept_json_bytes_max) parser_->json = simdjson::dom::parser();
    return is_read;
}

bool tree_reader::read_tree(std::string_view json, query_facts& facts)
{
    tree_element root;
    tree_array statements;
    if (parser_->json.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS) return false;
    if (root["stmts"].get(statements) != simdjson::SUCCESS) return false;
    bool names_literal_object = false;
    for (const tree_element item : statements) {
        tree_object wrapper;
        tree_object node;
        if (item["stmt"].get(wrapper) != simdjson::SUCCESS || wrapper.size() != 1) return false;
        const auto field = *wrapper.begin();
        if (field.value.get(node) != simdjson::SUCCESS) return false;
        auto& statement = facts.statements.emplace_back();
        statement_reader reader(statement);
        reader.read(field.key, node);
        names_literal_object = names_literal_object || reader.names_literal_object();
        if (tree_object position; item.get(position) == simdjson::SUCCESS) {
            statement.text_offset =
                static_cast<std::uint32_t>(number_in(position, "stmt_location"));
            statement.text_length = static_cast<std::uint32_t>(number_in(position, "stmt_len"));
        }
    }
    if (facts.statements.empty()) {
        auto& nothing = facts.statements.emplace_back();
        nothing.kind = statement_kind::empty;
        nothing.stats_class = statement_class::select;
        nothing.destination = destination::balanced;
        nothing.is_read = true;
        nothing.counts_as_write = false;
    }
    const auto& first = facts.first();
    facts.depends_on_literals = facts.is_multi() || !is_data_statement(first.kind) ||
                                names_literal_object || first.calls_set_config ||
                                first.takes_advisory_lock || first.uses_sequence_state;
    return true;
}

}  // namespace pgtorii::routing
