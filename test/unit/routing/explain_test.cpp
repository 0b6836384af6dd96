#include "routing/analyze.hpp"
#include "routing/decision.hpp"
#include "routing/fact_cache.hpp"
#include "routing/route_command.hpp"
#include "routing/rules.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

using namespace pgtorii;
using namespace pgtorii::routing;

namespace {

ha::cluster_view two_nodes()
{
    ha::cluster_view view;
    for (int id = 0; id < 2; ++id) {
        ha::node_view node;
        node.id = id;
        node.status = ha::node_status::up;
        node.weight_normalized = 0.5;
        view.nodes.push_back(node);
    }
    view.primary = 0;
    return view;
}

const rules plain_rules{routing_parameters{}};

const rule_verdict& deciding(const std::vector<rule_verdict>& verdicts)
{
    const auto found = std::find_if(verdicts.begin(), verdicts.end(),
                                    [](const auto& each) { return each.decides; });
    REQUIRE(found != verdicts.end());
    return *found;
}

}  // namespace

TEST_CASE("An explanation names the rule that decides, and what the others would say")
{
    session_traits session;
    session.session_pinned = true;
    const auto facts = analyze("SELECT random() FROM pg_class", {});
    const auto verdicts = explain(*facts, session, two_nodes(), plain_rules);
    const auto objects = [&](std::string_view rule) {
        const auto found = std::find_if(verdicts.begin(), verdicts.end(),
                                        [&](const auto& each) { return each.rule == rule; });
        REQUIRE(found != verdicts.end());
        return found->reason;
    };
    CHECK(deciding(verdicts).rule == "session state");
    CHECK(objects("session state") == reason::session_pinned);
    CHECK(objects("system catalogs") == reason::system_catalog);
    CHECK(objects("functions") == reason::writing_function);
    CHECK(objects("standbys") == reason::read_balanced);
    std::set<std::string_view> names;
    for (const auto& each : verdicts) {
        CHECK(names.insert(each.rule).second);
        CHECK_FALSE(each.finding.empty());
        if (each.reason != reason::read_balanced) CHECK(each.finding == text_of(each.reason));
    }
}

TEST_CASE("An explanation is what decides")
{
    constexpr unsigned seed = 7;
    std::mt19937 random(seed);
    const std::vector<std::string> texts{"SELECT 1",
                                         "SELECT * FROM t",
                                         "UPDATE t SET a = 1",
                                         "BEGIN",
                                         "SELECT random()",
                                         "SELEC",
                                         "SELECT 1; SELECT 2",
                                         "SHOW pool_nodes",
                                         "EXECUTE p",
                                         "PREPARE p AS SELECT 1",
                                         "VALUES (1)",
                                         "SELECT * FROM t FOR UPDATE",
                                         "COPY t TO STDOUT",
                                         "EXPLAIN (ROUTE) SELECT 1",
                                         "SHOW x",
                                         "SELECT f()",
                                         "SELECT * FROM pg_class",
                                         ""};
    const catalog_facts nothing;
    catalog_facts something;
    something.reads_unlogged_table = something.locks_rows = true;
    const auto flip = [&random] { return random() % 4 == 0; };
    for (int i = 0; i < 3'000; ++i) {
        session_traits session;
        session.in_transaction = flip();
        session.transaction_failed = flip();
        session.transaction_written = flip();
        session.transaction_shareable = !flip();
        session.transaction_has_ddl = flip();
        session.session_written = flip();
        session.session_pinned = flip();
        session.is_extended = flip();
        session.is_remembered_write = flip();
        session.is_not_replayed = flip();
        session.balanced_node = static_cast<int>(random() % 4) - 1;
        if (!flip()) session.catalog = flip() ? &something : &nothing;
        auto view = two_nodes();
        if (flip()) view.nodes[1].status = ha::node_status::down;
        const auto facts = analyze(texts[random() % texts.size()], {});
        const auto found = decide(*facts, session, view, plain_rules);
        const auto verdicts = explain(*facts, session, view, plain_rules);
        CHECK(deciding(verdicts).reason == found.reason);
        CHECK(std::count_if(verdicts.begin(), verdicts.end(),
                            [](const auto& each) { return each.decides; }) == 1);
    }
}

TEST_CASE("An explanation is told in lines")
{
    const auto facts = analyze("SELECT 1", {});
    const auto view = two_nodes();
    const session_traits session;
    auto lines = lines_of(decide(*facts, session, view, plain_rules), 1,
                          explain(*facts, session, view, plain_rules));
    CHECK(lines.front() == "Route: balanced (node 1): a read that may be balanced");
    CHECK(lines.back() == "-> catalog: the catalog has answered, or need not");
    const auto update = analyze("UPDATE t SET a = 1", {});
    lines = lines_of(decide(*update, session, view, plain_rules), -1,
                     explain(*update, session, view, plain_rules));
    CHECK(lines.front() == "Route: primary: statements of this kind go to the primary");
    CHECK(std::count(lines.begin(), lines.end(),
                     "-> statement kind: statements of this kind go to the primary") == 1);
}

TEST_CASE("EXPLAIN (ROUTE) is told by its option")
{
    const auto explained = [](std::string_view sql) {
        return std::string(explained_text(sql).value_or("none"));
    };
    CHECK(explained("EXPLAIN (ROUTE) SELECT 1") == "SELECT 1");
    CHECK(explained("; /* c */ explain(Route)\n UPDATE t SET a = 1; x") == "UPDATE t SET a = 1; x");
    CHECK(explained("EXPLAIN (ANALYZE, \"route\" true, FORMAT json)SHOW x") == "SHOW x");
    CHECK(explained("EXPLAIN (ROUTE on)") == "");
    for (const char* sql :
         {"EXPLAIN SELECT 1", "EXPLAIN (ANALYZE) SELECT 1", "EXPLAIN ROUTE SELECT 1",
          "EXPLAIN (ROUTE off) SELECT 1", "EXPLAIN (ROUTE 'false') SELECT 1",
          "EXPLAIN (ROUTE SELECT 1", "EXPLAIN (ROUTE(1)) SELECT 1", "EXPLAIN (\"ROUTE\") SELECT 1",
          "EXPLAIN (", "EXPLAIN", "", "EXPLAIN (,ROUTE) SELECT 1",
          "EXPLAIN (FORMAT route) SELECT 1", "SELECT 1; EXPLAIN (ROUTE) SELECT 1",
          "EXPLAIN (ROUTE 'open) SELECT 1", "EXPLAIN (SELECT route)"}) {
        INFO(sql);
        CHECK(explained(sql) == "none");
    }
}

TEST_CASE("EXPLAIN (ROUTE) is answered here, with the facts of what it explains")
{
    const auto facts = analyze("EXPLAIN (ROUTE) /* c */ SELECT * FROM t", {});
    CHECK(facts->first().kind == statement_kind::explain_route);
    CHECK(facts->first().value == "/* c */ SELECT * FROM t");
    CHECK_FALSE(facts->first().counts_as_write);
    REQUIRE(facts->first().inner);
    CHECK(facts->first().inner->first().relations == std::vector<std::string>{"t"});
    CHECK_FALSE(facts->first().inner->starts_like_read);
    CHECK(content_of(facts) == facts->first().inner);
    session_traits session;
    CHECK(decide(*facts, session, two_nodes(), plain_rules).target == target::local);
    session.transaction_failed = session.in_transaction = true;
    CHECK(decide(*facts, session, two_nodes(), plain_rules).target == target::local);
    session.is_extended = true;
    CHECK(decide(*facts, session, two_nodes(), plain_rules).reason == reason::statement_kind);
    SECTION("whatever that is")
    {
        CHECK(analyze("EXPLAIN (ROUTE) SELEC", {})->first().inner->first().kind ==
              statement_kind::unparsed);
        CHECK(analyze("EXPLAIN (ROUTE)", {})->first().inner->first().kind == statement_kind::empty);
        CHECK(analyze("EXPLAIN (ROUTE) SELECT 1; SELECT 2", {})->first().inner->is_multi());
        CHECK(analyze("EXPLAIN (ROUTE) SHOW pool_nodes", {})->first().inner->first().kind ==
              statement_kind::pool_show);
        CHECK(
            analyze("EXPLAIN (ROUTE) EXPLAIN (ROUTE) SELECT 1", {})->first().inner->first().kind !=
            statement_kind::explain_route);
    }
    SECTION("and patterns look at what it explains")
    {
        fact_cache cache({}, {}, 1);
        auto parsed = config::pattern_list::parse("select x", config::pattern_syntax::queries);
        REQUIRE(parsed.has_value());
        cache.set_query_patterns(std::make_shared<const config::pattern_list>(std::move(*parsed)));
        const auto cached = cache.find_or_analyze("EXPLAIN (ROUTE) SELECT \"x\"", {});
        CHECK(cached->first().inner->matches_query_pattern);
        CHECK_FALSE(cached->matches_query_pattern);
    }
}
