#pragma once

#include "admin/route_catalog.hpp"
#include "admin/route_input.hpp"
#include "config/settings.hpp"
#include "core/own_settings.hpp"
#include "core/session_home.hpp"
#include "ha/cluster_view.hpp"
#include "routing/decision.hpp"
#include "routing/fact_cache.hpp"
#include "routing/rules.hpp"
#include "routing/session_tracker.hpp"

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pgtorii::admin::route {

/// The cluster as it is when all is well: the configured nodes are up and none is behind. The
/// primary is the node that is flagged ALWAYS_PRIMARY, else the first one.
ha::cluster_view view_of(const config::settings& settings);

/// Nodes with the share of sessions that each of them serves.
struct node_share {
    int node = -1;
    int percent = 0;
    bool operator==(const node_share&) const = default;
};
using node_shares = std::vector<node_share>;  // by node

/// "node 1 50 %, node 2 50 %"; one node only: "node 1".
std::string text_of(const node_shares& nodes);

/// Where one statement goes under one configuration.
struct verdict {
    routing::decision why;
    const node_shares* nodes = nullptr;  ///< Lives as long as the judge. Of `local`: empty.

    /// Whether it may be served by other nodes than under `other`.
    bool goes_elsewhere(const verdict& other) const;
};

/// Runs the statements of many sessions through the routing of one configuration, as if each had
/// been sent to pgtorii, alone in its unit, and had succeeded unless the log says otherwise. All
/// decisions are routing's own. Bounded: of sessions that are open at once the one that was silent
/// longest is forgotten.
class judge {
public:
    /// `catalog` outlives the judge. `settings` must have a node.
    judge(core::settings_ptr settings, const catalog_model& catalog);

    /// Takes what a session did. A verdict, if that was a statement: also of a failed one that
    /// nothing has told of before.
    std::optional<verdict> take(const event& what);

    const ha::cluster_view& view() const { return view_; }
    std::size_t session_count() const { return session_count_; }
    std::size_t forgotten_sessions() const { return forgotten_; }

    static constexpr std::size_t open_sessions_max = 10'000;
    static constexpr std::size_t prepared_max = 100;  ///< Of one session.

private:
    /// A statement whose end is not known yet: the session's next event tells.
    struct pending_statement {
        routing::query_facts_ptr facts;
        std::size_t text_hash = 0;
        bool is_completed = false;
    };
    struct session {
        std::string name;
        std::string database;
        routing::session_tracker tracker;
        const node_shares* balanced = nullptr;
        std::unordered_map<std::string, routing::query_facts_ptr> prepared;
        std::unique_ptr<core::own_settings> own;  // of one that uses PGPOOL SET
        pending_statement pending;
    };

    session& session_of(const event& what);
    verdict judge_statement(session& of, const event& what);
    void change_settings(session& of, const routing::statement_facts& command);
    void settle(session& of);
    void fail(session& of);
    const node_shares* shares_of(const config::redirect_list::entry* wish);
    const routing::rules& rules_of(const session& of) const;

    core::settings_ptr settings_;
    const catalog_model& catalog_;
    core::rules_ptr rules_;
    ha::cluster_view view_;
    routing::fact_cache facts_;
    routing::query_facts_ptr unreadable_;
    std::map<const config::redirect_list::entry*, node_shares> shares_;
    node_shares primary_;
    node_shares nowhere_;
    std::list<session> sessions_;  // the last one heard of first
    std::unordered_map<std::string_view, std::list<session>::iterator> by_name_;
    std::size_t session_count_ = 0;
    std::size_t forgotten_ = 0;
};

}  // namespace pgtorii::admin::route
