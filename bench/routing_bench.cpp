// What routing costs a query: nanoseconds of one thread, the median of several rounds.
// `routing_bench`, no arguments.
#include "routing/fact_cache.hpp"
#include "routing/literal_key.hpp"
#include "routing/rules.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

using namespace pgtorii;
using namespace pgtorii::routing;

namespace {

constexpr int rounds = 9;

/// Median over the rounds of the time of one call; `work(i)` returns something that depends on what
/// it did.
template <class Work>
void measure(const char* name, int calls, Work work)
{
    std::vector<double> nanoseconds;
    std::size_t sum = 0;
    for (int round = 0; round < rounds; ++round) {
        const auto start = std::chrono::steady_clock::now();
        for (int i = 0; i < calls; ++i) sum += work(i);
        const std::chrono::duration<double, std::nano> spent =
            std::chrono::steady_clock::now() - start;
        nanoseconds.push_back(spent.count() / calls);
    }
    std::nth_element(nanoseconds.begin(), nanoseconds.begin() + rounds / 2, nanoseconds.end());
    fmt::print("{:<56} {:>9.0f} ns\n", name, nanoseconds[rounds / 2]);
    if (sum == 0) std::abort();  // keeps the compiler from leaving the work out
}

std::vector<std::string> texts(const char* before, const char* after, int count)
{
    std::vector<std::string> made;
    for (int i = 0; i < count; ++i) made.push_back(before + std::to_string(i * 7919) + after);
    return made;
}

}  // namespace

int main()
{
    const std::string account = "SELECT abalance FROM pgbench_accounts WHERE aid = 1234567;";
    const std::string prepared = "SELECT abalance FROM pgbench_accounts WHERE aid = $1;";
    const std::string join =
        "SELECT c.id, c.name, count(*) AS orders, sum(o.total) FROM customers c JOIN orders o ON "
        "o.customer = c.id "
        "LEFT JOIN regions r ON r.id = c.region WHERE o.placed > now() - interval '30 days' AND "
        "c.state IN ('a', 'b') "
        "GROUP BY c.id, c.name HAVING count(*) > 5 ORDER BY orders DESC LIMIT 20";
    const auto by_literal =
        texts("SELECT abalance FROM pgbench_accounts WHERE aid = ", ";", 100'000);
    const auto by_name = texts("SELECT abalance FROM pgbench_accounts_", " WHERE aid = 1;", 1'000);
    const text_rules plain;

    analyzer direct({});
    measure("analyze, simple SELECT", 20'000,
            [&](int) { return direct.analyze(account).statements.size(); });
    measure("analyze, join of three tables", 5'000,
            [&](int) { return direct.analyze(join).statements.size(); });
    measure("scan before the parser, simple SELECT", 200'000,
            [&](int) { return outline(account, {}).first_word.size(); });
    measure("scan before the parser, join", 50'000,
            [&](int) { return outline(join, {}).first_word.size(); });

    std::string key;
    measure("key without literals, simple SELECT", 500'000,
            [&](int) { return static_cast<std::size_t>(make_literal_key(account, key)); });

    fact_cache cache({}, {}, 12345);
    const auto look_up = [&](const std::string& sql) {
        return cache.find_or_analyze(sql, plain)->statements.size();
    };
    measure("cache, repeated text with a parameter", 500'000,
            [&](int) { return look_up(prepared); });
    measure("cache, repeated text with a literal", 500'000, [&](int) { return look_up(account); });
    measure("cache, repeated join", 500'000, [&](int) { return look_up(join); });
    measure("cache, 100,000 texts that differ in a literal", 100'000,
            [&](int i) { return look_up(by_literal[static_cast<std::size_t>(i)]); });
    measure("cache, 1,000 texts that differ in a name", 100'000,
            [&](int i) { return look_up(by_name[static_cast<std::size_t>(i % 1'000)]); });

    const rules rules(routing_parameters{});
    ha::cluster_view view;
    view.nodes.resize(3);
    for (int id = 0; id < 3; ++id) {
        view.nodes[static_cast<std::size_t>(id)].id = id;
        view.nodes[static_cast<std::size_t>(id)].status = ha::node_status::up;
    }
    view.primary = 0;
    session_traits session;
    session.balanced_node = 1;
    const auto facts = cache.find_or_analyze(account, plain);
    measure("decide, a read", 1'000'000, [&](int) {
        return static_cast<std::size_t>(decide(*facts, session, view, rules).target ==
                                        target::balanced);
    });
    return 0;
}
