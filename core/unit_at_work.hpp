#pragma once

#include "core/prepared_statements.hpp"
#include "protocol/pg_error.hpp"
#include "routing/decision.hpp"
#include "routing/statement_facts.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace pgtorii::core {

/// One message of an extended unit.
struct unit_item {
    char type = 0;
    std::uint32_t offset = 0;
    std::uint32_t total = 0;
    std::uint32_t max_rows = 0;
    std::uint32_t name_bytes = 0;  ///< Length of the name of the statement (P, D, C) or portal
                                   ///< (B, E): zero is unnamed.
    bool names_portal = false;
    bool is_lost_portal = false;  ///< The unnamed portal, which is not open.
    /// Valid while it is read.
    std::string_view name;     ///< Of the portal, or of what is closed.
    std::string unknown_name;  ///< That a Bind or Describe names, when there is no statement.
    prepared_ptr statement;    ///< Null: not known here; the server will say so.
    prepared_ptr conflict;     ///< Of a Parse: the statement that has its name already.
};

/// A portal that is bound in the segment that is being read: where is not decided yet.
inline constexpr int portal_unplaced = -1;

/// A portal of the client, and the server that has it.
struct portal {
    prepared_ptr statement;
    int node = portal_unplaced;
    bool is_open = false;
};

/// Where an item, or a segment, may be served.
struct place {
    enum class kind : std::uint8_t { anywhere, balanced, main, at_node };
    kind what = kind::anywhere;
    int node = -1;
    routing::decision why{routing::target::balanced, routing::reason::read_balanced};
};

/// What a session keeps of a unit while it serves it. It is the worker's, and a session without
/// work has none: there are as many as units under way, however many clients are idle.
struct unit_at_work {
    std::vector<unit_item> items;
    // By ledger tag; of Bind (renamed) and Describe (described) from 1 on.
    std::vector<prepared_ptr> parses;
    std::vector<prepared_ptr> executes;
    std::vector<prepared_ptr> closes;
    std::vector<prepared_ptr> renamed;
    std::vector<prepared_ptr> described;

    std::unordered_map<std::string, portal> portals;  ///< Named ones.
    portal unnamed_portal;
    std::vector<std::string> unplaced_portals;  ///< That this segment opens.

    prepared_ptr judged;  ///< The statement of the last item, and where it may go.
    place judged_place;
    std::unordered_set<std::string> closed_names;  ///< That the unit being read closes.
    std::unordered_map<std::string, prepared_ptr> new_statements;  ///< That it makes.
    std::vector<prepared_ptr> needed_statements;                   ///< That it names in SQL.

    routing::query_facts_ptr facts;
    /// What the catalog was not known to say of the last time.
    routing::query_facts_ptr question;
    std::string effects_text;  ///< The Query's text, when its statements change the session.

    // Repair.
    std::string repair_bytes;  ///< The client's messages.
    std::string held_replies;  ///< What the standby has answered so far.

    std::string told_instead;  ///< Of the reply at hand.
    /// Why our own query failed; null: the link is lost.
    std::unique_ptr<protocol::pg_error> own_error;
    std::string own_value;  ///< First column of the last row of our own query.

    /// A session may go idle without it.
    bool is_done() const { return portals.empty() && !unnamed_portal.is_open; }
    /// Makes it as new, for another session, but keeps memory that the next one will use.
    void clear();
};

}  // namespace pgtorii::core
