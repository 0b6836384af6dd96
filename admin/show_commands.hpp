#pragma once

#include "admin/result_table.hpp"
#include "config/settings.hpp"
#include "core/node_counters.hpp"
#include "core/session_home.hpp"
#include "ha/cluster_view.hpp"
#include "protocol/pg_error.hpp"
#include "routing/statement_facts.hpp"

#include <optional>
#include <span>
#include <string_view>
#include <variant>

namespace pgtorii::admin {

/// What the answers are made from. The view may be null.
struct admin_source {
    ha::cluster_view_ptr view;
    const config::settings& settings;
    std::span<const core::node_counts> counters;  ///< Index is the node id.
    int session_balanced_node = -1;               ///< -1: the session has none yet.
    std::span<const core::pin_board::pin> pins{};
    const core::census* everybody = nullptr;  ///< For those commands that need it.
};

using show_answer = std::variant<result_table, protocol::pg_error>;

/// SHOW `name` for a name of Pgpool-II's (lower case: pool_nodes ...), in its form: columns, words
/// and formats are read by scripts.
show_answer show_pool(std::string_view name, const admin_source& source);

/// PGPOOL SHOW `name`: a parameter, a group of them, or "all".
show_answer show_parameters(std::string_view name, const config::settings& settings);

/// PGPOOL SET and RESET (RESET ALL has the name "all"): makes the change in the question.
show_answer change_parameter(const core::local_commands::question& asked);

/// Answers sessions. Any thread.
class show_commands final : public core::local_commands {
public:
    show_commands(const core::node_counters& counters, const core::pin_board& pins)
        : counters_(counters),
          pins_(pins)
    {
    }

    bool needs_census(const routing::statement_facts& statement) const override;
    std::optional<protocol::pg_error> answer(const question& asked,
                                             protocol::message_buffer& out) const override;

private:
    const core::node_counters& counters_;
    const core::pin_board& pins_;
};

}  // namespace pgtorii::admin
