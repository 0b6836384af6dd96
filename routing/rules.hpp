#pragma once

#include "config/pattern_list.hpp"
#include "config/redirect_list.hpp"
#include "config/settings.hpp"
#include "routing/decision.hpp"
#include "routing/statement_facts.hpp"

#include <cstdint>
#include <memory>
#include <string_view>

namespace pgtorii::routing {

/// The parameters that routing knows, by their own names. Lists may be null, which is the same as
/// empty.
struct routing_parameters {
    config::clustering_mode backend_clustering_mode =
        config::clustering_mode::streaming_replication;
    bool load_balance_mode = true;
    bool allow_sql_comments = false;
    bool ignore_leading_white_space = true;
    bool prefer_lower_delay_standby = false;
    config::write_effect disable_load_balance_on_write = config::write_effect::transaction;
    std::int64_t delay_threshold = 0;  ///< Bytes; 0: no limit.
    std::shared_ptr<const config::pattern_list> read_only_function_list;
    std::shared_ptr<const config::pattern_list> write_function_list;
    std::shared_ptr<const config::pattern_list> primary_routing_query_pattern_list;
    std::shared_ptr<const config::redirect_list> app_name_redirect_preference_list;
    std::shared_ptr<const config::redirect_list> database_redirect_preference_list;
    std::shared_ptr<const config::redirect_list> user_redirect_preference_list;
};

/// The routing parameters with the judgements that depend on nothing else. Cheap to copy: a session
/// that changes allow_sql_comments by PGPOOL SET has a copy of its own. Immutable, and safe to use
/// from all threads.
class rules {
public:
    explicit rules(routing_parameters parameters) : parameters_(std::move(parameters)) {}

    const routing_parameters& parameters() const { return parameters_; }

    /// Whether reads may leave the primary at all.
    bool is_balancing() const;

    /// What the functions of `facts` say: read_balanced when they keep nothing on the primary, else
    /// function_list, writing_function or unknown_function (routing.md, section 4.3).
    reason judge_functions(const statement_facts& facts) const;
    bool has_function_lists() const;

    /// The text rule: "is a read by text" (routing.md, section 4.1).
    bool is_read_by_text(const query_facts& facts) const;

    /// The entry that steers this session's load balance node, or null: application name before
    /// database before user. `application` as in the startup packet; an empty one never matches.
    /// Lives as long as the rules.
    const config::redirect_list::entry* redirect(std::string_view user, std::string_view database,
                                                 std::string_view application) const;

private:
    routing_parameters parameters_;
};

rules make_rules(const config::settings& settings);

}  // namespace pgtorii::routing
