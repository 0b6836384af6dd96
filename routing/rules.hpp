#pragma once

#include "config/pattern_list.hpp"
#include "config/redirect_list.hpp"
#include "config/settings.hpp"
#include "routing/decision.hpp"
#include "routing/statement_facts.hpp"
#include "routing/written_tables.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

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
    std::int64_t delay_threshold = 0;                      ///< Bytes; 0: no limit.
    std::chrono::milliseconds delay_threshold_by_time{0};  ///< 0: no limit; else the only one.
    config::temp_table_check check_temp_table = config::temp_table_check::catalog;
    bool check_unlogged_table = true;
    double track_table_mutation_ttl_factor = 5;
    std::shared_ptr<const config::pattern_list> read_only_function_list;
    std::shared_ptr<const config::pattern_list> write_function_list;
    std::shared_ptr<const config::pattern_list> primary_routing_query_pattern_list;
    std::vector<std::string> dml_adaptive_object_relationship_list;  ///< Items "left:right".
    std::shared_ptr<const config::redirect_list> app_name_redirect_preference_list;
    std::shared_ptr<const config::redirect_list> database_redirect_preference_list;
    std::shared_ptr<const config::redirect_list> user_redirect_preference_list;
};

/// The routing parameters with the judgements that depend on nothing else. Cheap to copy: a session
/// that changes allow_sql_comments by PGPOOL SET has a copy of its own. Immutable, and safe to use
/// from all threads.
class rules {
public:
    explicit rules(routing_parameters parameters);

    const routing_parameters& parameters() const { return parameters_; }

    /// Whether reads may leave the primary at all.
    bool is_balancing() const;

    /// What the functions of `facts` say: read_balanced when they keep nothing on the primary, else
    /// function_list or writing_function (routing.md, section 4.3). Without the catalog's answer
    /// (null) a function of a user's counts as a reading one: see asks_catalog.
    reason judge_functions(const statement_facts& facts, const catalog_facts* catalog) const;
    bool has_function_lists() const;

    /// Whether the catalog's answer for the names of a read could keep it on the primary.
    /// `wants_tables`: the tables below views do, whatever they are.
    bool asks_catalog(const statement_facts& facts, bool wants_tables) const;

    /// Whether a statement may write tables that it does not name: its kind, or a function.
    bool may_write_unnamed(const statement_facts& facts, const catalog_facts* catalog) const;

    /// dml_adaptive_object_relationship_list: adds what a written table, or a function that is
    /// called, is tied to. Names as in statement_facts.
    void add_related(std::string_view table, written_tables& written) const;
    void add_related_to_function(std::string_view function, written_tables& written) const;

    /// How long a written table counts as lately written: the delay of the slowest standby, as
    /// measured in time, with the factor; 100 ms to one hour (routing.md, section 7).
    std::chrono::microseconds write_lifetime(const ha::cluster_view& view) const;

    /// Whether a node is further behind than the threshold in force. delay_threshold_by_time, when
    /// it is set, counts alone, as the manual says (Pgpool-II compares both).
    bool is_late(const ha::node_view& node) const;
    bool has_delay_limit() const;

    /// The text rule: "is a read by text" (routing.md, section 4.1).
    bool is_read_by_text(const query_facts& facts) const;

    /// The entry that steers this session's load balance node, or null: application name before
    /// database before user. `application` as in the startup packet; an empty one never matches.
    /// Lives as long as the rules.
    const config::redirect_list::entry* redirect(std::string_view user, std::string_view database,
                                                 std::string_view application) const;

private:
    struct relationship {
        std::string left;
        std::string right;
        bool is_function = false;  ///< Written as "left()".
    };

    routing_parameters parameters_;
    std::vector<relationship> relationships_;
};

rules make_rules(const config::settings& settings);

}  // namespace pgtorii::routing
