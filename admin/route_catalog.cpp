#include "admin/route_catalog.hpp"

#include "admin/route_input.hpp"
#include "routing/analyze.hpp"
#include "routing/builtin_functions.hpp"
#include "routing/lexer.hpp"
#include "routing/text_outline.hpp"

#include <algorithm>
#include <utility>

namespace pgtorii::admin::route {

namespace {

using routing::equals_ignoring_case;
using routing::token;
using routing::token_kind;

/// Longer definitions of a schema file are passed over.
constexpr std::size_t definition_bytes_max = 1024 * 1024;

std::string last_part(std::string_view name)
{
    return std::string{name.substr(name.rfind('.') + 1)};
}

std::string folded(std::string_view word)
{
    std::string low{word};
    for (char& c : low) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return low;
}

std::string without_quotes(std::string_view quoted)
{
    std::string plain;
    for (std::size_t i = 1; i + 1 < quoted.size(); ++i) {
        plain.push_back(quoted[i]);
        if (quoted[i] == '"') ++i;  // doubled
    }
    return plain;
}

}  // namespace

/// Reads one definition by its tokens: what matters stands in fixed places, and libpg_query's tree
/// of a whole function is not wanted.
class catalog_model::statement_reader {
public:
    statement_reader(catalog_model& model, std::string_view sql)
        : model_(model),
          sql_(sql),
          tokens_(sql)
    {
        advance();
    }

    /// Whether it was of use.
    bool read()
    {
        if (take("alter")) return read_alter();
        if (!take("create")) return false;
        if (take("or")) take("replace");
        while (take_any({"temp", "temporary", "global", "local", "recursive", "foreign"})) {
        }
        const bool is_unlogged = take("unlogged");
        if (take("function")) return read_function(true);
        if (take("aggregate")) return read_function(false);
        if (take("operator")) return read_operator();
        if (take_any({"type", "domain"})) return read_type();
        if (take("view")) return read_view();
        take("materialized");
        if (take_any({"table", "sequence", "view"})) return read_table(is_unlogged);
        return false;
    }

private:
    bool read_function(bool is_volatile)
    {
        const auto name = take_name();
        if (name.empty()) return false;
        std::size_t depth = 0;
        for (; now_.kind != token_kind::end; advance()) {
            if (now_.text == "(") ++depth;
            if (now_.text == ")" && depth > 0) --depth;
            if (depth > 0 || now_.kind != token_kind::word) continue;
            // A body follows.
            if (is_any_of({"as", "return", "begin"})) break;
            if (is_any_of({"immutable", "stable"})) is_volatile = false;
        }
        auto& known = model_.functions_.try_emplace(last_part(name), false).first->second;
        known = known || is_volatile;
        return true;
    }

    bool read_operator()
    {
        if (is_any_of({"class", "family"})) return false;
        std::string symbol;
        while (now_.kind != token_kind::end && now_.text != "(") {
            symbol = now_.text;
            advance();
        }
        while (now_.kind != token_kind::end) {
            if (!take_any({"function", "procedure"})) {
                advance();
                continue;
            }
            advance();  // "="
            model_.operators_[symbol] = last_part(take_name());
            return true;
        }
        return false;
    }

    bool read_type()
    {
        const auto name = take_name();
        if (!name.empty()) model_.types_.insert(last_part(name));
        return !name.empty();
    }

    bool read_view()
    {
        const auto name = take_name();
        std::size_t depth = 0;
        for (; now_.kind != token_kind::end; advance()) {
            if (now_.text == "(") ++depth;
            if (now_.text == ")" && depth > 0) --depth;
            if (depth == 0 && take("as")) break;
        }
        if (name.empty() || now_.kind == token_kind::end) return false;
        const auto start = static_cast<std::size_t>(now_.text.data() - sql_.data());
        const auto facts = routing::analyze(without_check(sql_.substr(start)), {});
        if (!facts->is_parsed) return false;
        const auto& query = facts->first();
        auto& made = relation_of(name);
        made.is_view = true;
        made.locks_rows = query.has_row_lock;
        made.relations = query.relations;
        made.functions = query.functions;
        made.operators = query.operators;
        made.types = query.cast_types;
        return true;
    }

    /// Without WITH CHECK OPTION, which is no part of the query.
    static std::string_view without_check(std::string_view query)
    {
        routing::lexer tokens{query};
        token before;
        for (auto now = tokens.next(); !now.text.empty(); now = tokens.next()) {
            const bool is_check = equals_ignoring_case(before.text, "with") &&
                                  (equals_ignoring_case(now.text, "check") ||
                                   equals_ignoring_case(now.text, "local") ||
                                   equals_ignoring_case(now.text, "cascaded"));
            if (is_check)
                return query.substr(0, static_cast<std::size_t>(before.text.data() - query.data()));
            before = now;
        }
        return query;
    }

    bool read_table(bool is_unlogged)
    {
        if (take("if")) {
            take("not");
            take("exists");
        }
        const auto name = take_name();
        if (name.empty()) return false;
        auto& made = relation_of(name);
        made.is_unlogged = made.is_unlogged || is_unlogged;
        if (take("partition") && take("of")) {
            relation_of(take_name()).relations.push_back(name);
            return true;
        }
        while (now_.kind != token_kind::end && !take("inherits")) advance();
        while (now_.kind != token_kind::end && now_.text != ")") {
            advance();
            relation_of(take_name()).relations.push_back(name);
        }
        return true;
    }

    /// ALTER TABLE [ONLY] parent ATTACH PARTITION child.
    bool read_alter()
    {
        if (!take("table")) return false;
        take("only");
        const auto parent = take_name();
        if (!take("attach") || !take("partition")) return false;
        const auto child = take_name();
        if (parent.empty() || child.empty()) return false;
        relation_of(parent).relations.push_back(child);
        return true;
    }

    relation& relation_of(const std::string& name)
    {
        auto& found = model_.relations_[last_part(name)];
        if (found.full_name.empty()) found.full_name = name;
        return found;
    }

    void advance() { now_ = tokens_.next(); }
    bool is_any_of(std::initializer_list<std::string_view> words) const
    {
        return now_.kind == token_kind::word && std::ranges::any_of(words, [&](auto each) {
                   return equals_ignoring_case(now_.text, each);
               });
    }
    bool take_any(std::initializer_list<std::string_view> words)
    {
        if (!is_any_of(words)) return false;
        advance();
        return true;
    }
    bool take(std::string_view word) { return take_any({word}); }

    /// "schema.name", as facts have it; empty: there is none.
    std::string take_name()
    {
        std::string name;
        for (;;) {
            if (now_.kind == token_kind::word) {
                name += folded(now_.text);
            } else if (now_.kind == token_kind::quoted_word && now_.text.starts_with('"')) {
                name += without_quotes(now_.text);
            } else {
                return {};
            }
            advance();
            if (now_.text != ".") return name;
            name += '.';
            advance();
        }
    }

    catalog_model& model_;
    std::string_view sql_;
    routing::lexer tokens_;
    token now_;
};

std::size_t catalog_model::add_schema(std::istream& schema)
{
    std::size_t found = 0;
    input_counts ignored;
    const limits bounds{.text_bytes_max = definition_bytes_max};
    (void)read_input(
        schema, input_format::sql, bounds,
        [&](const event& each) { found += statement_reader(*this, each.sql).read() ? 1 : 0; },
        ignored);
    has_schema_ = has_schema_ || found > 0;
    return found;
}

/// One question: names are followed through views and partitions, each once.
class catalog_model::inquiry {
public:
    explicit inquiry(const catalog_model& model) : model_(model) {}

    void ask(const routing::statement_facts& statement)
    {
        for (const auto& name : statement.functions) ask_function(name);
        for (const auto& name : statement.operators) ask_operator(name);
        for (const auto& name : statement.cast_types) ask_type(name);
        for (const auto& name : statement.relations) {
            if (is_system(name)) facts_.reads_system_catalog = true;
            waiting_.push_back(name);
        }
        while (!waiting_.empty()) {
            const auto name = std::move(waiting_.back());
            waiting_.pop_back();
            ask_relation(name);
        }
    }

    /// Null: something is not known.
    routing::catalog_facts_ptr answer()
    {
        if (!is_known_) return nullptr;
        return std::make_shared<const routing::catalog_facts>(std::move(facts_));
    }

private:
    bool is_system(const std::string& name) const
    {
        if (name.starts_with("pg_catalog.")) return true;
        return name.starts_with("pg_") && name.find('.') == std::string::npos &&
               !model_.relations_.contains(name);
    }

    void ask_relation(const std::string& name)
    {
        const auto [place, is_new] = seen_.insert(last_part(name));
        if (!is_new) return;
        const auto found = model_.relations_.find(*place);
        if (found == model_.relations_.end()) {
            const bool is_known = is_system(name) || name.starts_with("information_schema.");
            if (!is_known && model_.unknown_ == assumption::nothing) is_known_ = false;
            facts_.tables.push_back(name);
            return;
        }
        const auto& relation = found->second;
        facts_.reads_unlogged_table = facts_.reads_unlogged_table || relation.is_unlogged;
        facts_.locks_rows = facts_.locks_rows || relation.locks_rows;
        if (!relation.is_view) facts_.tables.push_back(relation.full_name);
        for (const auto& each : relation.functions) ask_function(each);
        for (const auto& each : relation.operators) ask_operator(each);
        for (const auto& each : relation.types) ask_type(each);
        waiting_.insert(waiting_.end(), relation.relations.begin(), relation.relations.end());
    }

    void ask_function(const std::string& name)
    {
        const auto plain = last_part(name);
        const auto found = model_.functions_.find(plain);
        if (found != model_.functions_.end()) {
            note_function(found->second);
        } else if (routing::effect_of_builtin(plain) == routing::function_effect::unknown) {
            note_unknown();
        } else if (routing::effect_of_builtin(plain) != routing::function_effect::read_only) {
            note_function(true);
        }
    }

    void ask_operator(const std::string& name)
    {
        // An operator's own name may hold no dot, so that a schema's is the last one.
        const auto found = model_.operators_.find(last_part(name));
        if (found != model_.operators_.end()) {
            ask_function(found->second);
        } else {
            note_unknown();
        }
    }

    void ask_type(const std::string& name)
    {
        if (!model_.types_.contains(last_part(name))) note_unknown();
    }

    void note_function(bool is_volatile)
    {
        facts_.calls_volatile_function = facts_.calls_volatile_function || is_volatile;
    }
    void note_unknown()
    {
        if (model_.unknown_ == assumption::nothing) is_known_ = false;
        note_function(model_.unknown_ == assumption::write);
    }

    const catalog_model& model_;
    routing::catalog_facts facts_;
    std::unordered_set<std::string> seen_;
    std::vector<std::string> waiting_;
    bool is_known_ = true;
};

routing::catalog_facts_ptr catalog_model::facts_of(const routing::query_facts& content) const
{
    if (unknown_ == assumption::nothing && !has_schema_) return nullptr;
    inquiry asked{*this};
    for (const auto& each : content.statements) asked.ask(each);
    return asked.answer();
}

}  // namespace pgtorii::admin::route
