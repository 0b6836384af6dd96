#include "routing/analyze.hpp"

#include "routing/lexer.hpp"
#include "routing/pgpool_command.hpp"
#include "routing/route_command.hpp"
#include "routing/tree_facts.hpp"

#include <pg_query.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <string>

namespace pgtorii::routing {

namespace {

/// What pg_query_parse gives, freed at the end.
class parse_result {
public:
    explicit parse_result(const char* sql) : result_(pg_query_parse(sql)) {}
    ~parse_result() { pg_query_free_parse_result(result_); }
    parse_result(const parse_result&) = delete;
    parse_result& operator=(const parse_result&) = delete;

    bool is_sql() const { return result_.error == nullptr && result_.parse_tree != nullptr; }
    std::string_view json() const { return result_.parse_tree; }

private:
    PgQueryParseResult result_;
};

void note_start(std::string_view sql, query_facts& facts)
{
    std::size_t first = 0;
    while (first < sql.size() && is_blank(sql[first])) ++first;
    facts.starts_with_blank = first > 0;
    facts.starts_like_read = first == sql.size() || std::string_view("sSwWtT(;").find(sql[first]) !=
                                                        std::string_view::npos;
}

/// A text as libpg_query and simdjson want it. One that is not UTF-8 (LATIN1, EUC_JP, ... as client
/// encoding) gets its high bytes widened to two each: to the lexer one letter is as good as
/// another, and names are narrowed again.
class utf8_text {
public:
    utf8_text(std::string_view sql, std::string& buffer) : buffer_(buffer)
    {
        is_widened_ = !simdjson::validate_utf8(sql.data(), sql.size());
        buffer_.clear();
        if (!is_widened_) {
            buffer_.assign(sql);
            return;
        }
        for (const char c : sql) {
            if (is_high(c)) {
                const auto byte = static_cast<unsigned char>(c);
                buffer_.push_back(static_cast<char>(0xC0 | (byte >> 6)));
                buffer_.push_back(static_cast<char>(0x80 | (byte & 0x3F)));
            } else {
                buffer_.push_back(c);
            }
        }
    }

    const char* c_str() const { return buffer_.c_str(); }

    void narrow(statement_facts& facts) const
    {
        if (!is_widened_) return;
        const auto stop = original_offset(facts.text_offset + facts.text_length);
        facts.text_offset = original_offset(facts.text_offset);
        if (facts.text_length != 0) facts.text_length = stop - facts.text_offset;
        narrow(facts.name);
        for (auto* const names : {&facts.relations, &facts.functions, &facts.operators,
                                  &facts.cast_types, &facts.targets, &facts.executed}) {
            for (auto& name : *names) narrow(name);
        }
        if (!facts.inner) return;
        auto inner = *facts.inner;
        for (auto& statement : inner.statements) narrow(statement);
        facts.inner = std::make_shared<const query_facts>(std::move(inner));
    }

private:
    static bool is_lead(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0xC0; }

    std::uint32_t original_offset(std::uint32_t widened) const
    {
        const auto stop = buffer_.begin() + std::min<std::ptrdiff_t>(widened, std::ssize(buffer_));
        return static_cast<std::uint32_t>(
            std::count_if(buffer_.begin(), stop, [](char c) { return !is_high(c) || is_lead(c); }));
    }

    static void narrow(std::string& name)
    {
        std::string original;
        for (std::size_t i = 0; i < name.size(); ++i) {
            if (is_lead(name[i]) && i + 1 < name.size()) {
                const auto high = static_cast<unsigned>(static_cast<unsigned char>(name[i]) & 0x03)
                                  << 6;
                const auto low =
                    static_cast<unsigned>(static_cast<unsigned char>(name[i + 1]) & 0x3F);
                original.push_back(static_cast<char>(high | low));
                ++i;
            } else {
                original.push_back(name[i]);
            }
        }
        name = std::move(original);
    }

    std::string& buffer_;
    bool is_widened_ = false;
};

/// Starts that have no session effects of their own, even in syntax that only a newer server knows.
bool is_plain_start(std::string_view word)
{
    constexpr std::array<std::string_view, 7> starts{"select", "insert", "update", "delete",
                                                     "merge",  "with",   "values"};
    return std::any_of(starts.begin(), starts.end(),
                       [word](auto start) { return equals_ignoring_case(word, start); });
}

void make_unparsed(bool has_unknown_effects, query_facts& facts)
{
    facts.statements.assign(1, statement_facts());
    facts.is_parsed = false;
    facts.depends_on_literals = true;
    auto& statement = facts.statements.front();
    statement.kind = statement_kind::unparsed;
    statement.stats_class = statement_class::delete_;  // as Pgpool-II counts it
    statement.writes_unknown = true;
    statement.effects_unknown = has_unknown_effects;
    statement.changes_schema = has_unknown_effects;
}

/// SHOW POOL_x as first statement: the answer is ours, and nothing else of the text is looked at.
bool is_own_show(const query_facts& facts)
{
    return facts.first().kind == statement_kind::show && is_pool_show(facts.first().name);
}

void make_local(statement_facts command, query_facts& facts)
{
    facts.statements.clear();
    facts.statements.push_back(std::move(command));
    facts.depends_on_literals = true;
}

}  // namespace

struct analyzer::buffers {
    std::string sql;
    tree_reader tree;
};

analyzer::analyzer(const analyze_limits& limits)
    : limits_(limits),
      buffers_(std::make_unique<buffers>())
{
}
analyzer::~analyzer() = default;

namespace {

bool may_name_statements(const statement_facts& facts)
{
    switch (facts.kind) {
    case statement_kind::execute:
    case statement_kind::prepare:
    case statement_kind::deallocate: return true;
    default: break;
    }
    return facts.effects_unknown || facts.inner || !facts.executed.empty() ||
           facts.lists_statements || facts.runs_texts;
}

bool is_stateless(const statement_facts& facts)
{
    return facts.kind == statement_kind::select && facts.change == setting_change::none &&
           facts.functions.empty() && facts.targets.empty() && !facts.writes_unknown &&
           !facts.uses_sequence_state && !facts.takes_advisory_lock && !facts.calls_set_config &&
           !facts.calls_unknown_function && !may_name_statements(facts);
}

}  // namespace

query_facts analyzer::analyze(std::string_view sql)
{
    auto facts = analyze_text(sql);
    facts.names_statements = std::ranges::any_of(facts.statements, may_name_statements);
    facts.is_stateless = facts.is_parsed && std::ranges::all_of(facts.statements, is_stateless);
    return facts;
}

query_facts analyzer::analyze_text(std::string_view sql)
{
    if (const auto explained = explained_text(sql)) {
        query_facts facts;
        note_start(sql, facts);
        statement_facts command;
        command.kind = statement_kind::explain_route;
        command.destination = destination::local;
        command.counts_as_write = false;
        command.value = *explained;
        command.inner = std::make_shared<const query_facts>(analyze_statements(*explained));
        make_local(std::move(command), facts);
        return facts;
    }
    return analyze_statements(sql);
}

query_facts analyzer::analyze_statements(std::string_view sql)
{
    query_facts facts;
    note_start(sql, facts);
    const auto shape = outline(sql, limits_);
    if (equals_ignoring_case(shape.first_word, "pgpool")) {
        if (auto command = pgpool_command(sql)) {
            make_local(std::move(*command), facts);
            return facts;
        }
    }
    const bool has_unknown_effects = !shape.is_single || !is_plain_start(shape.first_word);
    if (!shape.is_bounded || !shape.is_closed) {
        make_unparsed(has_unknown_effects, facts);
        return facts;
    }
    const utf8_text text(sql, buffers_->sql);
    const parse_result result(text.c_str());
    if (!result.is_sql() || !buffers_->tree.read(result.json(), facts)) {
        make_unparsed(has_unknown_effects, facts);
        return facts;
    }
    facts.is_parsed = true;
    for (auto& statement : facts.statements) text.narrow(statement);
    if (is_own_show(facts)) {
        auto command = std::move(facts.statements.front());
        command.kind = statement_kind::pool_show;
        command.destination = destination::local;
        make_local(std::move(command), facts);
    }
    if (!facts.is_multi()) {
        facts.statements.front().text_offset = 0;
        facts.statements.front().text_length = 0;
    }
    return facts;
}

query_facts_ptr analyze(std::string_view sql, const analyze_limits& limits)
{
    return std::make_shared<const query_facts>(analyzer(limits).analyze(sql));
}

query_facts unreadable(std::string_view sql)
{
    query_facts facts;
    note_start(sql, facts);
    make_unparsed(true, facts);
    return facts;
}

}  // namespace pgtorii::routing
