// Plays the cases of routing-cases.tsv, which were seen on Pgpool-II 4.3.5 and 4.7.2, through
// analyze, session_tracker and decide. The catalog is a model of routing-cases-fixture.sql.
#include "routing/analyze.hpp"
#include "routing/choose_node.hpp"
#include "routing/decision.hpp"
#include "routing/rules.hpp"
#include "routing/session_tracker.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace pgtorii;
using namespace pgtorii::routing;

namespace {

// Rows that end elsewhere here, by reason. A row of these lists that passes is an error too: take
// it off.

// Where Pgpool-II is wrong, or careful without need (routing.md, section 17).
const std::vector<std::string> better_here{
    "R064",                  // only the function that the search_path finds is asked about
    "R067",                  // an operator over a volatile function
    "R081",                  // txid_current() fails on a standby
    "R093",                  // a user's own table that is called pg_class
    "R102",                  // a view on an unlogged table
    "R108", "R118", "R119",  // COPY TO, which escapes its checks
    "R159",                  // a standby refuses what a serializable session sends
    "R211", "R212", "R397",
    "R404",          // ROLLBACK TO does not undo what came before the savepoint, nor is it shared
    "R213",          // a second BEGIN is a warning and forgets no write
    "R247", "R250",  // a transaction begun among several statements is on the primary alone
    "R261",          // PREPARE, whose checks are those of what it prepares
    "R272", "R392",  // EXECUTE is judged by what it runs, wherever that was prepared
    "R289",          // a view on a table that was written
    "R294",          // INSERT ... SELECT does not write what it reads
    "R340", "R342", "R343",  // the session's own temporary tables, whatever check_temp_table says
    "R382",                  // a statement is not bound to the server that prepared it
    "R389",                  // the second of two statements in one message writes
    "R403",                  // mode always counts for statements that were prepared before too
};

// A standby that joins a transaction can't have its snapshot. And a Parse goes to one server:
// others get it when they need it.
const std::vector<std::string> other_here{"R214", "R385", "R386"};

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
    else if (name == "check_unlogged_table")
        parameters.check_unlogged_table = is_on;
    else if (name == "check_temp_table")
        parameters.check_temp_table = value == "catalog" ? config::temp_table_check::catalog
                                      : value == "trace" ? config::temp_table_check::trace
                                                         : config::temp_table_check::none;
    else if (name == "dml_adaptive_object_relationship_list")
        parameters.dml_adaptive_object_relationship_list = split(value, ",");
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

/// What the catalog says of the fixture's objects, under the default search_path.
catalog_facts catalog_of(const query_facts& facts)
{
    static const std::set<std::string> volatile_functions{
        "f_vol", "f_over", "app.f_same", "Weird Func", "get_x", "fsetv", "opvol"};
    static const std::set<std::string> unlogged{"u1", "public.u1", "app.scratch", "vunl"};
    catalog_facts found;
    const auto& statement = facts.first();
    for (const auto& name : statement.functions) {
        const bool is_public = name.rfind("public.", 0) == 0;
        if (volatile_functions.count(is_public ? name.substr(7) : name) > 0) {
            found.calls_volatile_function = true;
        }
    }
    for (const auto& symbol : statement.operators) {
        if (symbol == "@+@") found.calls_volatile_function = true;
    }
    for (const auto& name : statement.relations) {
        if (unlogged.count(name) > 0) found.reads_unlogged_table = true;
        found.tables.push_back(name == "v1" ? "public.t1" : "public." + name);
    }
    return found;
}

/// Plays a session: every step goes well, but for those that are meant to fail.
class session_model {
public:
    explicit session_model(const rules& rules) : rules_(rules) {}

    void run(const std::string& step)
    {
        if (step.rfind("@", 0) == 0) return;
        if (step.rfind("parse ", 0) == 0) {
            const auto colon = step.find(": ");
            prepared_[step.substr(6, colon - 6)] = analyze(step.substr(colon + 2), {});
        } else if (step.rfind("execp ", 0) == 0) {
            run_text(prepared_.at(step.substr(6)), false);
        } else {
            const auto text = step.rfind("ext: ", 0) == 0 ? step.substr(5) : step;
            run_text(analyze(text, {}), fails(text));
        }
    }

    /// Traits for the statement that comes next.
    session_traits traits(const query_facts_ptr& next)
    {
        auto known = tracker_.traits();
        const auto& first = next->first();
        auto content = content_of(next);
        if (first.kind == statement_kind::execute || first.kind == statement_kind::deallocate) {
            const auto found = prepared_.find(first.name);
            if (found == prepared_.end()) return known;
            known.prepared = found->second.get();
            content = content_of(found->second);
        }
        catalog_ = catalog_of(*content);
        known.catalog = &catalog_;
        return known;
    }

private:
    static bool fails(const std::string& text)
    {
        return text.find("1/0") != std::string::npos || text.find("'dup'") != std::string::npos ||
               text.rfind("SELEC ", 0) == 0 || text == "SELEC";
    }

    void run_text(const query_facts_ptr& facts, bool is_refused)
    {
        const auto known = traits(facts);
        tracker_.sent(*facts, rules_, {known.catalog, known.prepared});
        for (const auto& statement : facts->statements) {
            const bool is_way_out = statement.kind == statement_kind::commit ||
                                    statement.kind == statement_kind::rollback ||
                                    statement.kind == statement_kind::rollback_to_savepoint;
            if (is_refused || (status_ == 'E' && !is_way_out)) {
                tracker_.failed();
                if (status_ != 'I') status_ = 'E';
                break;
            }
            tracker_.completed(statement, tag_of(statement));
            follow(statement);
            if (statement.kind == statement_kind::prepare) prepared_[statement.name] = facts;
        }
        tracker_.ready(status_);
    }

    std::string tag_of(const statement_facts& statement) const
    {
        if (statement.kind != statement_kind::commit) return "X";
        return status_ == 'E' ? "ROLLBACK" : "COMMIT";
    }

    void follow(const statement_facts& statement)
    {
        switch (statement.kind) {
        case statement_kind::begin:
        case statement_kind::rollback_to_savepoint: status_ = 'T'; break;
        case statement_kind::commit:
        case statement_kind::rollback: status_ = statement.chain ? 'T' : 'I'; break;
        case statement_kind::prepare_transaction: status_ = 'I'; break;
        default: break;
        }
    }

    const rules& rules_;
    session_tracker tracker_;
    std::map<std::string, query_facts_ptr> prepared_;
    catalog_facts catalog_;
    char status_ = 'I';
};

std::string words(target where, const query_facts& facts, const session_traits& traits,
                  bool is_balancing, int balanced_node)
{
    const auto& first = facts.first();
    const bool is_way_out = first.kind == statement_kind::commit ||
                            first.kind == statement_kind::rollback ||
                            first.kind == statement_kind::rollback_to_savepoint;
    if (where == target::local || (traits.transaction_failed && !is_way_out)) return "none";
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
    auto facts = *analyze(row.at("statement"), {});
    if (from.parameters.primary_routing_query_pattern_list) {
        facts.matches_query_pattern =
            from.parameters.primary_routing_query_pattern_list->matches(row.at("statement"));
    }
    auto traits = session.traits(std::make_shared<const query_facts>(facts));
    traits.balanced_node = node;
    traits.is_extended = row.at("protocol") != "simple";
    const auto found = decide(facts, traits, view, rules);
    return words(found.target, facts, traits, rules.is_balancing(), node);
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
    add(better_here, "better here");
    add(other_here, "otherwise here");
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
        // What concerns all servers goes to the primary and is brought to others later.
        const auto& expected = row.at("destination_4_7");
        const bool is_same = got == expected || (got == "all" && expected == "primary");
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
