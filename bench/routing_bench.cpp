// What routing costs a query: nanoseconds of CPU time, so that other work on the machine counts
// little; the median of several rounds. `routing_bench`, no arguments.
#include "config/pattern_list.hpp"
#include "config/redirect_list.hpp"
#include "routing/fact_cache.hpp"
#include "routing/literal_key.hpp"
#include "routing/rules.hpp"
#include "routing/session_tracker.hpp"

#include <fmt/core.h>
#include <pg_query.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

using namespace pgtorii;
using namespace pgtorii::routing;

namespace {

constexpr int rounds = 9;

double cpu_nanoseconds()
{
    timespec now{};
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0) std::abort();
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

/// Median over the rounds of the time of one call; `work(i)` returns something that depends on what
/// it did.
template <class Work>
void measure(const char* name, int calls, Work work)
{
    std::vector<double> nanoseconds;
    std::size_t sum = 0;
    for (int round = 0; round < rounds; ++round) {
        const double start = cpu_nanoseconds();
        for (int i = 0; i < calls; ++i) sum += work(i);
        nanoseconds.push_back((cpu_nanoseconds() - start) / calls);
    }
    std::nth_element(nanoseconds.begin(), nanoseconds.begin() + rounds / 2, nanoseconds.end());
    fmt::print("{:<56} {:>9.0f} ns\n", name, nanoseconds[rounds / 2]);
    if (sum == 0) std::abort();  // keeps the compiler from leaving the work out
}

void title(const char* words)
{
    fmt::print("\n{}\n", words);
}

std::vector<std::string> texts(const char* before, const char* after, int count)
{
    std::vector<std::string> made;
    for (int i = 0; i < count; ++i) made.push_back(before + std::to_string(i * 7919) + after);
    return made;
}

const std::string account = "SELECT abalance FROM pgbench_accounts WHERE aid = 1234567;";
const std::string prepared = "SELECT abalance FROM pgbench_accounts WHERE aid = $1;";
const std::string join =
    "SELECT c.id, c.name, count(*) AS orders, sum(o.total) FROM customers c JOIN orders o ON "
    "o.customer = c.id "
    "LEFT JOIN regions r ON r.id = c.region WHERE o.placed > now() - interval '30 days' AND "
    "c.state IN ('a', 'b') "
    "GROUP BY c.id, c.name HAVING count(*) > 5 ORDER BY orders DESC LIMIT 20";
const text_rules plain;
// More than the cache ever sees again: each round has texts of its own.
constexpr int new_count = 2'000;

/// `count` texts for each of the rounds, no two alike, in names or in literals.
class fresh_texts {
public:
    fresh_texts(const char* before, const char* after, int count)
        : texts_(texts(before, after, count * rounds))
    {
    }
    const std::string& next() { return texts_[at_++ % texts_.size()]; }

private:
    std::vector<std::string> texts_;
    std::size_t at_ = 0;
};

ha::cluster_view three_nodes()
{
    ha::cluster_view view;
    view.nodes.resize(3);
    for (int id = 0; id < 3; ++id) {
        view.nodes[static_cast<std::size_t>(id)].id = id;
        view.nodes[static_cast<std::size_t>(id)].status = ha::node_status::up;
    }
    view.primary = 0;
    return view;
}

std::shared_ptr<const config::pattern_list> patterns(const char* before, char separator, int count,
                                                     config::pattern_syntax syntax)
{
    std::string all;
    for (int i = 0; i < count; ++i) all += before + std::to_string(i) + ".*" + separator;
    all.pop_back();
    auto parsed = config::pattern_list::parse(all, syntax);
    if (!parsed) std::abort();
    return std::make_shared<const config::pattern_list>(std::move(*parsed));
}

/// A worker's cache, a session, and what is known of the names in its texts.
class routing_session {
public:
    explicit routing_session(routing_parameters parameters = {})
        : rules_(std::move(parameters)),
          cache_({}, {}, 12345)
    {
        cache_.set_query_patterns(rules_.parameters().primary_routing_query_pattern_list);
        session_.balanced_node = 1;
        session_.catalog = &nothing_;
    }
    std::size_t facts(const std::string& sql)
    {
        return cache_.find_or_analyze(sql, plain)->statements.size();
    }
    /// What a statement pays: facts from the cache, and the decision.
    std::size_t route(const std::string& sql) { return judge(*cache_.find_or_analyze(sql, plain)); }
    std::size_t judge(const query_facts& facts)
    {
        return 1 + static_cast<std::size_t>(decide(facts, session_, view_, rules_).reason);
    }
    const rules& known_rules() const { return rules_; }

private:
    rules rules_;
    fact_cache cache_;
    catalog_facts nothing_;
    session_traits session_;
    ha::cluster_view view_ = three_nodes();
};

void measure_parser()
{
    title("Wholly new texts, beside the parser alone");
    const auto parse = [](const std::string& sql) {
        const auto result = pg_query_parse(sql.c_str());
        const std::size_t found = result.parse_tree == nullptr ? 0 : 1;
        pg_query_free_parse_result(result);
        return found;
    };
    measure("pg_query_parse alone, simple SELECT", 20'000, [&](int) { return parse(account); });
    measure("pg_query_parse alone, join of three tables", 5'000, [&](int) { return parse(join); });
    analyzer direct({});
    measure("analyze, simple SELECT", 20'000,
            [&](int) { return direct.analyze(account).statements.size(); });
    measure("analyze, join of three tables", 5'000,
            [&](int) { return direct.analyze(join).statements.size(); });
    measure("scan before the parser, simple SELECT", 200'000,
            [&](int) { return outline(account, {}).first_word.size(); });
    measure("scan before the parser, join", 50'000,
            [&](int) { return outline(join, {}).first_word.size(); });
    routing_session session;
    fresh_texts by_name("SELECT abalance FROM pgbench_accounts_", " WHERE aid = 1;", new_count);
    measure("cache and decide, a name never seen before", new_count,
            [&](int) { return session.route(by_name.next()); });
}

void measure_cache()
{
    title("Texts that were seen before, as they are or with other literals");
    std::string key;
    measure("key without literals, simple SELECT", 500'000,
            [&](int) { return static_cast<std::size_t>(make_literal_key(account, key)); });
    routing_session session;
    measure("cache, repeated text with a parameter", 500'000,
            [&](int) { return session.facts(prepared); });
    measure("cache, repeated join", 500'000, [&](int) { return session.facts(join); });
    measure("cache and decide, repeated text with a parameter", 500'000,
            [&](int) { return session.route(prepared); });
    measure("cache and decide, repeated text with a literal", 500'000,
            [&](int) { return session.route(account); });
    const auto by_literal =
        texts("SELECT abalance FROM pgbench_accounts WHERE aid = ", ";", 100'000);
    measure("cache and decide, 100,000 texts that differ in a literal", 100'000,
            [&](int i) { return session.route(by_literal[static_cast<std::size_t>(i)]); });
    const auto by_name = texts("SELECT abalance FROM pgbench_accounts_", " WHERE aid = 1;", 1'000);
    measure("cache and decide, 1,000 texts that differ in a name", 100'000,
            [&](int i) { return session.route(by_name[static_cast<std::size_t>(i % 1'000)]); });
}

void measure_decision()
{
    title("Decisions alone");
    const auto facts = analyze(account, {});
    const auto joined = analyze(join, {});
    routing_session session;
    measure("decide, a read", 1'000'000, [&](int) { return session.judge(*facts); });
    measure("decide, a join", 1'000'000, [&](int) { return session.judge(*joined); });
    const auto update = analyze("UPDATE t SET a = 1", {});
    measure("decide, a write", 1'000'000, [&](int) { return session.judge(*update); });
    session_tracker tracker;
    measure("session_tracker, a unit with one read", 500'000, [&](int) {
        tracker.sent(*facts, session.known_rules());
        tracker.ready('I');
        return 1 + static_cast<std::size_t>(tracker.traits().in_transaction);
    });
}

void measure_lists()
{
    title("Lists of 20 patterns");
    using config::pattern_syntax;
    routing_parameters parameters;
    parameters.primary_routing_query_pattern_list =
        patterns("SELECT .* FROM nothing", ';', 20, pattern_syntax::queries);
    routing_session by_query(parameters);
    measure("query patterns: repeated text", 500'000, [&](int) { return by_query.route(account); });
    fresh_texts by_literal("SELECT abalance FROM pgbench_accounts WHERE aid = ", ";", new_count);
    measure("query patterns: other literals, which are looked at", new_count,
            [&](int) { return by_query.route(by_literal.next()); });
    const auto& list = *parameters.primary_routing_query_pattern_list;
    measure("query patterns: the match alone", 100'000,
            [&](int) { return 1 + static_cast<std::size_t>(list.matches(account)); });
    parameters = {};
    parameters.write_function_list = patterns("write_", ',', 20, pattern_syntax::names);
    routing_session by_function(parameters);
    measure("function list: a text without functions", 500'000,
            [&](int) { return by_function.route(account); });
    measure("function list: a join that calls four", 100'000,
            [&](int) { return by_function.route(join); });
    parameters = {};
    std::string redirects;
    for (int i = 0; i < 20; ++i) redirects += "db" + std::to_string(i) + ":standby,";
    redirects.pop_back();
    auto parsed = config::redirect_list::parse(redirects);
    if (!parsed) std::abort();
    parameters.database_redirect_preference_list =
        std::make_shared<const config::redirect_list>(std::move(*parsed));
    const rules redirecting(parameters);
    measure("redirect list: a choice of the load balance node", 100'000, [&](int) {
        return 1 + static_cast<std::size_t>(redirecting.redirect("u", "app", "psql") != nullptr);
    });
}

}  // namespace

int main()
{
    measure_parser();
    measure_cache();
    measure_decision();
    measure_lists();
    return 0;
}
