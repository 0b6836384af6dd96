#include "routing/analyze.hpp"
#include "routing/choose_node.hpp"
#include "routing/decision.hpp"
#include "routing/rules.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <set>
#include <string>

using namespace pgtorii;
using namespace pgtorii::routing;

namespace {

ha::cluster_view view_of(std::vector<double> shares, int primary = 0)
{
    ha::cluster_view view;
    for (std::size_t i = 0; i < shares.size(); ++i) {
        ha::node_view node;
        node.id = static_cast<int>(i);
        node.status = ha::node_status::up;
        node.weight_normalized = shares[i];
        view.nodes.push_back(node);
    }
    view.primary = primary;
    return view;
}

session_traits idle()
{
    session_traits session;
    session.balanced_node = 1;
    return session;
}

session_traits in_shared_transaction()
{
    auto session = idle();
    session.in_transaction = true;
    session.transaction_shareable = true;
    return session;
}

struct asked {
    std::string sql = "SELECT a FROM t";
    session_traits session = idle();
    ha::cluster_view view = view_of({0.5, 0.5});
    routing_parameters parameters;
    catalog_facts catalog;  // by default: nothing special about any name
    bool has_catalog = true;

    reason why() const
    {
        auto known = session;
        if (has_catalog) known.catalog = &catalog;
        const auto found = decide(*analyze(sql, {}), known, view, rules(parameters));
        const bool is_read = found.reason == reason::read_balanced;
        CHECK((found.target == target::balanced) == is_read);
        CHECK((found.target == target::local) == (found.reason == reason::local_command));
        return found.reason;
    }
};

reason why(const std::string& sql)
{
    asked question;
    question.sql = sql;
    return question.why();
}

reason why(const session_traits& session,
           config::write_effect mode = config::write_effect::transaction)
{
    asked question;
    question.session = session;
    question.parameters.disable_load_balance_on_write = mode;
    return question.why();
}

}  // namespace

TEST_CASE("A decision names its reason")
{
    CHECK(why("SELECT a FROM t") == reason::read_balanced);
    CHECK(why("SHOW work_mem") == reason::read_balanced);
    CHECK(why("COPY t TO STDOUT") == reason::read_balanced);
    CHECK(why("") == reason::read_balanced);
    CHECK(why("-- c") == reason::text_rule);
    CHECK(why("VALUES (1)") == reason::text_rule);
    CHECK(why("INSERT INTO t VALUES (1)") == reason::statement_kind);
    CHECK(why("BEGIN") == reason::statement_kind);
    CHECK(why("SELECT FROM WHERE") == reason::unparsed);
    CHECK(why("SELECT 1; SELECT 2") == reason::multi_statement);
    CHECK(why("SELECT a FROM t FOR UPDATE") == reason::row_lock);
    CHECK(why("WITH x AS (DELETE FROM t RETURNING *) TABLE x") == reason::data_modifying_with);
    CHECK(why("SELECT random()") == reason::writing_function);
    CHECK(why("SELECT f()") == reason::read_balanced);
    CHECK(why("COPY (SELECT nextval('s')) TO STDOUT") == reason::writing_function);
    CHECK(why("SELECT 1 FROM pg_class") == reason::system_catalog);
    CHECK(why("SELECT 1 FROM pg_temp.x") == reason::temporary_table);
    CHECK(why("SHOW pool_nodes") == reason::local_command);
    CHECK(why("SHOW pool_nodes; SELECT 1") == reason::local_command);
    CHECK(why("PGPOOL SHOW ALL") == reason::local_command);
}

TEST_CASE("Own commands are not own in the extended protocol")
{
    asked question;
    question.session.is_extended = true;
    question.sql = "SHOW pool_nodes";
    CHECK(question.why() == reason::read_balanced);
    question.sql = "PGPOOL SHOW ALL";
    CHECK(question.why() == reason::unparsed);
}

TEST_CASE("The session's state keeps reads on the primary")
{
    using config::write_effect;
    CHECK(why(idle()) == reason::read_balanced);
    CHECK(why(in_shared_transaction()) == reason::read_balanced);
    SECTION("a transaction that a standby can't join")
    {
        auto session = in_shared_transaction();
        session.transaction_shareable = false;
        CHECK(why(session) == reason::transaction_not_shared);
    }
    SECTION("a failed transaction")
    {
        auto session = in_shared_transaction();
        session.transaction_failed = true;
        CHECK(why(session) == reason::transaction_failed);
    }
    SECTION("state that one link has")
    {
        auto session = idle();
        session.session_pinned = true;
        CHECK(why(session) == reason::session_pinned);
    }
    SECTION("a write in this transaction")
    {
        auto session = in_shared_transaction();
        session.transaction_written = session.session_written =
            session.session_transaction_written = true;
        CHECK(why(session, write_effect::off) == reason::read_balanced);
        for (const auto mode : {write_effect::transaction, write_effect::trans_transaction}) {
            CHECK(why(session, mode) == reason::transaction_written);
        }
        for (const auto mode : {write_effect::dml_adaptive, write_effect::dml_adaptive_global}) {
            CHECK(why(session, mode) == reason::read_balanced);
        }
        CHECK(why(session, write_effect::always) == reason::session_written);
    }
    SECTION("a write in an earlier transaction")
    {
        auto session = in_shared_transaction();
        session.session_written = session.session_transaction_written = true;
        CHECK(why(session, write_effect::transaction) == reason::read_balanced);
        CHECK(why(session, write_effect::trans_transaction) == reason::session_written);
        CHECK(why(session, write_effect::always) == reason::session_written);
        session.in_transaction = false;
        CHECK(why(session, write_effect::trans_transaction) == reason::read_balanced);
        CHECK(why(session, write_effect::always) == reason::session_written);
    }
}

TEST_CASE("Modes without balancing keep everything on the primary")
{
    asked question;
    question.parameters.load_balance_mode = false;
    CHECK(question.why() == reason::load_balance_off);
    question.parameters.load_balance_mode = true;
    question.parameters.backend_clustering_mode = config::clustering_mode::raw;
    CHECK(question.why() == reason::load_balance_off);
    question.parameters.backend_clustering_mode = config::clustering_mode::logical_replication;
    CHECK(question.why() == reason::read_balanced);
}

TEST_CASE("Standbys that are away or behind are not read from")
{
    asked question;
    SECTION("no standby is up")
    {
        question.view.nodes[1].status = ha::node_status::down;
        CHECK(question.why() == reason::no_standby);
    }
    SECTION("the node is over the threshold")
    {
        question.view = view_of({0.2, 0.4, 0.4});
        question.view.nodes[1].replication_delay = 100;
        question.view.nodes[2].replication_delay = 50;
        CHECK(question.why() == reason::read_balanced);
        question.parameters.delay_threshold = 100;
        CHECK(question.why() == reason::read_balanced);
        question.parameters.delay_threshold = 99;
        CHECK(question.why() == reason::replication_delay);
        question.sql = "SHOW work_mem";
        CHECK(question.why() == reason::replication_delay);
        question.parameters.prefer_lower_delay_standby = true;
        CHECK(question.why() == reason::read_balanced);
        question.parameters.delay_threshold = 49;
        CHECK(question.why() == reason::replication_delay);
        question.parameters.backend_clustering_mode = config::clustering_mode::logical_replication;
        CHECK(question.why() == reason::read_balanced);
    }
    SECTION("the session reads from the primary anyway")
    {
        question.parameters.delay_threshold = 1;
        question.session.balanced_node = 0;
        CHECK(question.why() == reason::read_balanced);
    }
}

TEST_CASE("Writes are counted by the rules")
{
    const auto writes = [](const char* sql, const routing_parameters& parameters) {
        return counts_as_write(*analyze(sql, {}), rules(parameters));
    };
    routing_parameters parameters;
    CHECK_FALSE(writes("SELECT 1", parameters));
    CHECK(writes("/* c */ SELECT 1", parameters));
    CHECK(writes("SELECT 1; UPDATE t SET a = 1", parameters));
    CHECK_FALSE(writes("SELECT 1; SHOW x", parameters));
    CHECK(writes("SELECT f()", parameters));
    parameters.allow_sql_comments = true;
    CHECK_FALSE(writes("/* c */ SELECT 1", parameters));
    auto list = config::pattern_list::parse("f", config::pattern_syntax::names);
    REQUIRE(list.has_value());
    parameters.read_only_function_list =
        std::make_shared<const config::pattern_list>(std::move(*list));
    CHECK_FALSE(writes("SELECT f()", parameters));
    CHECK(writes("SELECT now()", parameters));
    CHECK(writes("SELECT f() FOR UPDATE", parameters));
}

TEST_CASE("What changes the session stays on the primary whatever the lists say")
{
    asked question;
    auto list = config::pattern_list::parse("nothing", config::pattern_syntax::names);
    REQUIRE(list.has_value());
    question.parameters.write_function_list =
        std::make_shared<const config::pattern_list>(std::move(*list));
    question.sql = "SELECT random(), f()";
    CHECK(question.why() == reason::read_balanced);
    question.sql = "SELECT set_config('a', 'b', false)";
    CHECK(question.why() == reason::writing_function);
    question.sql = "SELECT pg_advisory_lock(1)";
    CHECK(question.why() == reason::writing_function);
}

TEST_CASE("Rules take their parameters from the settings")
{
    config::settings settings;
    settings.load_balance_mode = true;
    settings.delay_threshold = 7;
    settings.allow_sql_comments = true;
    settings.disable_load_balance_on_write = config::write_effect::always;
    auto list = config::redirect_list::parse("report:standby,r.*:1(0.5)");
    REQUIRE(list.has_value());
    settings.database_redirect_preference_list =
        std::make_shared<const config::redirect_list>(std::move(*list));
    list = config::redirect_list::parse("psql:primary");
    REQUIRE(list.has_value());
    settings.app_name_redirect_preference_list =
        std::make_shared<const config::redirect_list>(std::move(*list));
    const auto made = make_rules(settings);
    CHECK(made.is_balancing());
    CHECK(made.parameters().delay_threshold == 7);
    CHECK(made.parameters().allow_sql_comments);
    CHECK(made.parameters().disable_load_balance_on_write == config::write_effect::always);
    SECTION("and the first list that matches steers, the application's first")
    {
        CHECK(made.redirect("u", "report", "psql")->target == config::redirect_target::primary);
        CHECK(made.redirect("u", "REPORT", "")->target == config::redirect_target::standby);
        CHECK(made.redirect("u", "rest", "other")->node == 1);
        CHECK(made.redirect("u", "other", "other") == nullptr);
    }
}

TEST_CASE("Every reason has words of its own")
{
    std::set<std::string_view> all;
    const auto last = static_cast<int>(reason::local_command);
    for (int i = 0; i <= last; ++i) {
        const auto words = text_of(static_cast<reason>(i));
        CHECK_FALSE(words.empty());
        CHECK(all.insert(words).second);
        const auto name = name_of(static_cast<reason>(i));
        CHECK(all.insert(name).second);
        CHECK(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string_view::npos);
    }
}

TEST_CASE("The load balance node is drawn by weight")
{
    auto view = view_of({0.25, 0.5, 0.25});
    CHECK(choose_node(view, 0) == 0);
    CHECK(choose_node(view, 0.24) == 0);
    CHECK(choose_node(view, 0.25) == 1);
    CHECK(choose_node(view, 0.74) == 1);
    CHECK(choose_node(view, 0.75) == 2);
    CHECK(choose_node(view, 0.999999) == 2);
    SECTION("among the nodes that are up")
    {
        view.nodes[1].status = ha::node_status::down;
        CHECK(choose_node(view, 0.49) == 0);
        CHECK(choose_node(view, 0.5) == 2);
    }
    SECTION("a weight of zero is never drawn")
    {
        view = view_of({0, 0, 1});
        CHECK(choose_node(view, 0) == 2);
        CHECK(choose_node(view, 0.9) == 2);
    }
    SECTION("without weights it is the primary, without it the main node")
    {
        view = view_of({0, 0, 0}, 2);
        CHECK(choose_node(view, 0.5) == 2);
        view.nodes[2].status = ha::node_status::down;
        CHECK(choose_node(view, 0.5) == 0);
        for (auto& node : view.nodes) node.status = ha::node_status::down;
        CHECK(choose_node(view, 0.5) == -1);
    }
}

TEST_CASE("Redirect lists steer the draw")
{
    auto view = view_of({0.25, 0.25, 0.5});
    config::redirect_list::entry wish;
    const auto draw = [&](double where) { return choose_node(view, &wish, where); };
    CHECK(choose_node(view, nullptr, 0.6) == 2);
    SECTION("to the primary")
    {
        wish.target = config::redirect_target::primary;
        CHECK(draw(0.99) == 0);
        wish.ratio = 0.4;
        CHECK(draw(0.39) == 0);
        CHECK(draw(0.41) == 1);
        CHECK(draw(0.99) == 2);
    }
    SECTION("to the standbys")
    {
        wish.target = config::redirect_target::standby;
        CHECK(draw(0.1) == 1);
        CHECK(draw(0.9) == 2);
        wish.ratio = 0.5;
        CHECK(draw(0.1) == 1);
        CHECK(draw(0.49) == 2);
        CHECK(draw(0.51) == 0);
        view = view_of({1, 0, 0});
        CHECK(draw(0.1) == 0);
    }
    SECTION("to a node")
    {
        wish.target = config::redirect_target::node;
        wish.node = 2;
        view.nodes[2].weight_normalized = 0;
        CHECK(draw(0.5) == 2);
        view.nodes[2].status = ha::node_status::down;
        CHECK(draw(0.1) == 0);
        CHECK(draw(0.9) == 1);
        wish.node = 7;
        CHECK(draw(0.9) == 0);
        wish.ratio = 0;
        CHECK(draw(0.9) == 1);
    }
}

TEST_CASE("The least delayed standby is chosen within the threshold")
{
    auto view = view_of({0.25, 0.25, 0.25, 0.25});
    view.nodes[1].replication_delay = 10;
    view.nodes[2].replication_delay = 20;
    view.nodes[3].replication_delay = 10;
    routing_parameters parameters;
    const auto choose = [&](std::int64_t threshold, double draw) {
        parameters.delay_threshold = threshold;
        return choose_least_delayed(view, rules(parameters), draw);
    };
    CHECK(choose(10, 0.1) == 1);
    CHECK(choose(10, 0.9) == 3);
    CHECK(choose(9, 0.1) == -1);
    SECTION("among those that are up and have a weight")
    {
        view.nodes[1].status = ha::node_status::down;
        view.nodes[3].weight_normalized = 0;
        CHECK(choose(20, 0.1) == 2);
    }
    SECTION("by time when there is a threshold in time")
    {
        view.nodes[2].replication_delay_time = std::chrono::milliseconds{5};
        view.nodes[1].replication_delay_time = std::chrono::milliseconds{6};
        view.nodes[3].replication_delay_time = std::chrono::milliseconds{7};
        parameters.delay_threshold_by_time = std::chrono::milliseconds{5};
        CHECK(choose(1, 0.5) == 2);
        parameters.delay_threshold_by_time = std::chrono::milliseconds{4};
        CHECK(choose(1'000, 0.5) == -1);
    }
}
