// Plays the cases of routing-cases.tsv, which were seen on Pgpool-II 4.3.5 and 4.7.2, through
// analyze and decide.
#include "routing/analyze.hpp"
#include "routing/choose_node.hpp"
#include "routing/decision.hpp"
#include "routing/rules.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

using namespace pgtorii;
using namespace pgtorii::routing;

namespace {

// Rows that end elsewhere here, by reason. A row of these lists that passes is an error too: take
// it off.

// What only the catalog can tell: volatility of users' functions, unlogged tables. Until it is
// asked: the primary.
const std::vector<std::string> needs_catalog{
    "R059", "R060", "R063", "R066", "R068",  // functions of users that are not volatile
    "R098", "R099", "R101", "R103", "R355",  // unlogged tables
};

// What only the session knows: that the server answered with an error (it then answers 25P02
// itself), and where named statements of either protocol are.
const std::vector<std::string> needs_session{
    "R220", "R221", "R222", "R223", "R382", "R399", "R400", "R403",
};

// Rules that are not built yet: dml_adaptive, and standbys in transactions at REPEATABLE READ.
const std::vector<std::string> later_rules{
    "R287", "R289", "R296", "R385", "R386", "R388", "R214",
};

// Where Pgpool-II is wrong (routing.md, section 17).
const std::vector<std::string> better_here{
    "R081",                  // txid_current() fails on a standby
    "R093",                  // a user's own table that is called pg_class
    "R108", "R118", "R119",  // COPY TO, which escapes its checks
    "R211", "R212", "R397",
    "R404",  // ROLLBACK TO does not undo what came before the savepoint, nor is it shared
    "R213",  // a second BEGIN is a warning and forgets no write
    "R247", "R249", "R250",  // a transaction begun among several statements is on the primary alone
    "R340", "R342", "R343",  // the session's own temporary tables, whatever check_temp_table says
};

struct routing_case {
    std::map<std::string, std::string> columns;
    const std::string& at(const std::string& name) const { return columns.at(name); }
};

std::vector<std::string> split(const std::string& text, const std::string& separator)
{
    std::vector<std::string> parts;
    std::size_t from = 0;
    for (;;) {
        const auto stop = text.find(separator, from);
        parts.push_back(text.substr(from, stop - from));
        if (stop == std::string::npos) return parts;
        from = stop + separator.size();
    }
}

std::string unescape(const std::string& text)
{
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
            plain.push_back(text[i]);
            continue;
        }
        const char c = text[++i];
        plain.push_back(c == 'n' ? '\n' : c == 't' ? '\t' : c);
    }
    return plain;
}

std::vector<routing_case> read_cases()
{
    std::ifstream file(PGTORII_SOURCE_DIR "/test/unit/routing/routing-cases.tsv");
    std::vector<routing_case> cases;
    std::vector<std::string> names;
    for (std::string line; std::getline(file, line);) {
        auto fields = split(line, "\t");
        if (names.empty()) {
            names = fields;
            continue;
        }
        routing_case row;
        for (std::size_t i = 0; i < names.size(); ++i) {
            row.columns[names[i]] = i < fields.size() ? unescape(fields[i]) : "";
        }
        cases.push_back(row);
    }
    return cases;
}

std::shared_ptr<const config::pattern_list> patterns(const std::string& text,
                                                     config::pattern_syntax syntax)
{
    auto parsed = config::pattern_list::parse(text, syntax);
    REQUIRE(parsed.has_value());
    return std::make_shared<const config::pattern_list>(std::move(*parsed));
}

std::shared_ptr<const config::redirect_list> redirects(const std::string& text)
{
    auto parsed = config::redirect_list::parse(text);
    REQUIRE(parsed.has_value());
    return std::make_shared<const config::redirect_list>(std::move(*parsed));
}

struct setting {
    routing_parameters parameters;
    double weights[2] = {0, 1};
};

void apply(const std::string& name, const std::string& value, setting& to)
{
    using config::write_effect;
    const std::map<std::string, write_effect> effects{
        {"off", write_effect::off},
        {"trans_transaction", write_effect::trans_transaction},
        {"always", write_effect::always},
        {"dml_adaptive", write_effect::dml_adaptive},
    };
    auto& parameters = to.parameters;
    const bool is_on = value == "on";
    if (name == "disable_load_balance_on_write")
        parameters.disable_load_balance_on_write = effects.at(value);
    else if (name == "load_balance_mode")
        parameters.load_balance_mode = is_on;
    else if (name == "allow_sql_comments")
        parameters.allow_sql_comments = is_on;
    else if (name == "ignore_leading_white_space")
        parameters.ignore_leading_white_space = is_on;
    else if (name == "delay_threshold")
        parameters.delay_threshold = std::stoll(value);
    else if (name == "write_function_list")
        parameters.write_function_list = patterns(value, config::pattern_syntax::names);
    else if (name == "read_only_function_list")
        parameters.read_only_function_list = patterns(value, config::pattern_syntax::names);
    else if (name == "primary_routing_query_pattern_list")
        parameters.primary_routing_query_pattern_list =
            patterns(value, config::pattern_syntax::queries);
    else if (name == "database_redirect_preference_list")
        parameters.database_redirect_preference_list = redirects(value);
    else if (name == "app_name_redirect_preference_list")
        parameters.app_name_redirect_preference_list = redirects(value);
    else if (name == "backend_weight0")
        to.weights[0] = std::stod(value);
    else if (name == "backend_weight1")
        to.weights[1] = std::stod(value);
}

setting read_setting(const std::string& config)
{
    setting found;
    if (config == "default") return found;
    for (const auto& item : split(config, "; ")) {
        const auto equals = item.find('=');
        auto value = item.substr(equals + 1);
        if (value.front() == '\'') value = value.substr(1, value.size() - 2);
        apply(item.substr(0, equals), value, found);
    }
    return found;
}

ha::cluster_view make_view(const setting& from, bool is_late)
{
    ha::cluster_view view;
    for (int id = 0; id < 2; ++id) {
        ha::node_view node;
        node.id = id;
        node.weight_normalized = from.weights[id];
        node.status = ha::node_status::up;
        node.role = id == 0 ? ha::node_role::primary : ha::node_role::standby;
        if (id == 1 && is_late) node.replication_delay = 1'000'000;
        view.nodes.push_back(node);
    }
    view.primary = 0;
    return view;
}

/// What a session would keep of the statements before: just enough for these cases.
class session_model {
public:
    explicit session_model(const rules& rules) : rules_(rules) {}

    session_traits traits;

    void run(std::string text)
    {
        if (text.rfind("@", 0) == 0 || text.rfind("parse ", 0) == 0 || text.rfind("execp ", 0) == 0)
            return;
        if (text.rfind("ext: ", 0) == 0) text = text.substr(5);
        const auto facts = analyze(text, {});
        for (const auto& statement : facts->statements) follow(statement, facts->is_multi());
        if (!counts_as_write(*facts, rules_)) return;
        traits.session_written = true;
        if (!traits.in_transaction) return;
        traits.transaction_written = true;
        traits.session_transaction_written = true;
    }

private:
    void follow(const statement_facts& statement, bool is_multi)
    {
        switch (statement.kind) {
        case statement_kind::begin:
            if (traits.in_transaction) break;  // a warning, and nothing else
            traits.in_transaction = true;
            traits.transaction_shareable = !is_multi && !is_default_serializable_ &&
                                           is_read_committed(statement.begin_isolation);
            break;
        case statement_kind::commit:
        case statement_kind::rollback:
            traits.in_transaction = statement.chain;
            traits.transaction_written = false;
            break;
        case statement_kind::prepare_transaction:
            traits.in_transaction = false;
            traits.transaction_written = false;
            break;
        case statement_kind::savepoint: traits.transaction_shareable = false; break;
        case statement_kind::set:
            if (statement.name == "default_transaction_isolation") {
                is_default_serializable_ = statement.destination == destination::primary;
            }
            break;
        default: break;
        }
        if (statement.creates_temp ||
            (statement.kind == statement_kind::select && statement.calls_set_config)) {
            traits.session_pinned = true;
        }
    }
    static bool is_read_committed(isolation level)
    {
        return level == isolation::unspecified || level == isolation::read_committed;
    }

    const rules& rules_;
    bool is_default_serializable_ = false;
};

std::string words(target where, const query_facts& facts, const session_traits& traits,
                  bool is_balancing, int balanced_node)
{
    const auto& first = facts.first();
    if (where == target::local || traits.transaction_failed) return "none";
    const bool is_away = balanced_node == 1;
    if (where == target::balanced) return is_away ? "load-balance node" : "primary";
    const bool is_end =
        first.kind == statement_kind::commit || first.kind == statement_kind::rollback;
    if (is_end && !traits.in_transaction && !traits.is_extended) return "primary";
    const bool is_all = first.destination == destination::all && !facts.is_multi();
    return is_all && is_balancing && is_away ? "all" : "primary";
}

/// Where the statement of a row goes.
std::string play(const routing_case& row)
{
    const auto from = read_setting(row.at("config"));
    const rules rules(from.parameters);
    const auto view =
        make_view(from, row.at("context").find("over threshold") != std::string::npos);
    std::string database = "rt";
    std::string application = "case";
    if (row.at("session").rfind("dbname=", 0) == 0) database = row.at("session").substr(7);
    if (row.at("session").rfind("application_name=", 0) == 0)
        application = row.at("session").substr(17);
    session_model session(rules);
    for (const auto& step : split(row.at("setup"), " ;; ")) {
        if (!row.at("setup").empty()) session.run(step);
    }
    const int node = choose_node(view, rules.redirect("postgres", database, application), 0.5);
    session.traits.balanced_node = node;
    session.traits.is_extended = row.at("protocol") != "simple";
    auto facts = *analyze(row.at("statement"), {});
    if (from.parameters.primary_routing_query_pattern_list) {
        facts.matches_query_pattern =
            from.parameters.primary_routing_query_pattern_list->matches(row.at("statement"));
    }
    const auto found = decide(facts, session.traits, view, rules);
    return words(found.target, facts, session.traits, rules.is_balancing(), node);
}

std::map<std::string, std::string> listed_rows()
{
    std::map<std::string, std::string> listed;
    const auto add = [&listed](const std::vector<std::string>& ids, const std::string& why) {
        for (const auto& id : ids) {
            INFO(id << " is listed twice");
            REQUIRE(listed.emplace(id, why).second);
        }
    };
    add(needs_catalog, "needs the catalog");
    add(needs_session, "needs the session's memory");
    add(later_rules, "a rule of a later issue");
    add(better_here, "better here");
    return listed;
}

}  // namespace

TEST_CASE("Statements go where Pgpool-II sends them")
{
    const auto cases = read_cases();
    REQUIRE(cases.size() == 407);
    auto listed = listed_rows();
    for (const auto& row : cases) {
        const auto& id = row.at("id");
        const auto got = play(row);
        const bool is_same = got == row.at("destination") || got == row.at("destination_4_7");
        INFO(id << ": " << row.at("statement") << " [" << row.at("setup") << "] ["
                << row.at("config") << "]");
        INFO("here: " << got << ", Pgpool-II: " << row.at("destination") << ", "
                      << row.at("destination_4_7"));
        const auto found = listed.find(id);
        if (found == listed.end()) {
            CHECK(is_same);
        } else {
            INFO("listed: " << found->second);
            CHECK_FALSE(is_same);
            listed.erase(found);
        }
    }
    CHECK(listed.empty());
}
