#include "routing/rules.hpp"

#include "routing/text_outline.hpp"

#include <algorithm>

namespace pgtorii::routing {

namespace {

bool is_set(const std::shared_ptr<const config::pattern_list>& list)
{
    return list && !list->empty();
}

bool is_mode_balanced(config::clustering_mode mode)
{
    return mode == config::clustering_mode::streaming_replication ||
           mode == config::clustering_mode::logical_replication;
}

}  // namespace

rules::rules(routing_parameters parameters) : parameters_(std::move(parameters))
{
    for (std::string_view item : parameters_.dml_adaptive_object_relationship_list) {
        const auto colon = item.find(':');
        if (colon == std::string_view::npos) continue;
        auto left = item.substr(0, colon);
        const bool is_function = left.ends_with("()");
        if (is_function) left.remove_suffix(2);
        relationships_.push_back(
            {std::string(last_part(left)), std::string(item.substr(colon + 1)), is_function});
    }
}

bool rules::is_balancing() const
{
    return parameters_.load_balance_mode && is_mode_balanced(parameters_.backend_clustering_mode);
}

bool rules::has_function_lists() const
{
    return is_set(parameters_.read_only_function_list) || is_set(parameters_.write_function_list);
}

reason rules::judge_functions(const statement_facts& facts, const catalog_facts* catalog) const
{
    // These change the session on the server that runs them, whatever a list says.
    if (facts.calls_set_config || facts.takes_advisory_lock) return reason::writing_function;
    const auto& names = facts.functions;
    if (is_set(parameters_.read_only_function_list)) {
        const auto& list = *parameters_.read_only_function_list;
        const bool all_listed = std::all_of(names.begin(), names.end(),
                                            [&](const auto& name) { return list.matches(name); });
        return all_listed ? reason::read_balanced : reason::function_list;
    }
    if (is_set(parameters_.write_function_list)) {
        const auto& list = *parameters_.write_function_list;
        const bool any_listed = std::any_of(names.begin(), names.end(),
                                            [&](const auto& name) { return list.matches(name); });
        return any_listed ? reason::function_list : reason::read_balanced;
    }
    const bool is_volatile = catalog != nullptr && catalog->calls_volatile_function;
    return facts.calls_writing_function || is_volatile ? reason::writing_function
                                                       : reason::read_balanced;
}

bool rules::asks_catalog(const statement_facts& facts, bool wants_tables) const
{
    if (!has_function_lists() &&
        (facts.asks_functions || !facts.operators.empty() || !facts.cast_types.empty())) {
        return true;
    }
    if (facts.relations.empty()) return false;
    // What a view reads or calls is asked along with its tables, but is no reason of its own to
    // ask: with these checks off a user wants no questions.
    return wants_tables || parameters_.check_unlogged_table ||
           parameters_.check_temp_table == config::temp_table_check::catalog;
}

bool rules::may_write_unnamed(const statement_facts& facts, const catalog_facts* catalog) const
{
    if (facts.writes_unknown) return true;
    if (has_function_lists()) return judge_functions(facts, catalog) == reason::function_list;
    return catalog != nullptr ? catalog->calls_volatile_function : facts.calls_unknown_function;
}

void rules::add_related(std::string_view table, written_tables& written) const
{
    for (const auto& pair : relationships_) {
        if (!pair.is_function && equals_ignoring_case(pair.left, last_part(table))) {
            written.add(pair.right);
        }
    }
}

void rules::add_related_to_function(std::string_view function, written_tables& written) const
{
    for (const auto& pair : relationships_) {
        if (pair.is_function && equals_ignoring_case(pair.left, last_part(function))) {
            written.add(pair.right);
        }
    }
}

std::chrono::microseconds rules::write_lifetime(const ha::cluster_view& view) const
{
    using std::chrono::microseconds;
    constexpr microseconds shortest = std::chrono::milliseconds{100};
    constexpr microseconds longest = std::chrono::hours{1};
    microseconds delay{0};
    for (const auto& node : view.nodes) {
        if (node.is_valid() && node.id != view.primary) {
            delay = std::max(delay, node.replication_delay_time);
        }
    }
    const double wanted =
        static_cast<double>(delay.count()) * parameters_.track_table_mutation_ttl_factor;
    if (wanted >= static_cast<double>(longest.count())) return longest;
    return std::max(shortest, microseconds{static_cast<std::int64_t>(wanted)});
}

bool rules::has_delay_limit() const
{
    // In logical replication nothing tells how far a subscriber is.
    return parameters_.backend_clustering_mode == config::clustering_mode::streaming_replication &&
           (parameters_.delay_threshold > 0 || parameters_.delay_threshold_by_time.count() > 0);
}

bool rules::is_late(const ha::node_view& node) const
{
    if (!has_delay_limit()) return false;
    if (parameters_.delay_threshold_by_time.count() > 0) {
        return node.replication_delay_time > parameters_.delay_threshold_by_time;
    }
    return node.replication_delay > parameters_.delay_threshold;
}

bool rules::is_read_by_text(const query_facts& facts) const
{
    if (parameters_.allow_sql_comments) return true;
    if (facts.starts_with_blank && !parameters_.ignore_leading_white_space) return false;
    return facts.starts_like_read;
}

const config::redirect_list::entry* rules::redirect(std::string_view user,
                                                    std::string_view database,
                                                    std::string_view application) const
{
    if (!is_mode_balanced(parameters_.backend_clustering_mode)) return nullptr;
    const config::redirect_list::entry* found = nullptr;
    if (parameters_.app_name_redirect_preference_list && !application.empty()) {
        found = parameters_.app_name_redirect_preference_list->find(application);
    }
    if (found == nullptr && parameters_.database_redirect_preference_list) {
        found = parameters_.database_redirect_preference_list->find(database);
    }
    if (found == nullptr && parameters_.user_redirect_preference_list) {
        found = parameters_.user_redirect_preference_list->find(user);
    }
    return found;
}

rules make_rules(const config::settings& settings)
{
    routing_parameters taken;
    taken.backend_clustering_mode = settings.backend_clustering_mode;
    taken.load_balance_mode = settings.load_balance_mode;
    taken.allow_sql_comments = settings.allow_sql_comments;
    taken.ignore_leading_white_space = settings.ignore_leading_white_space;
    taken.prefer_lower_delay_standby = settings.prefer_lower_delay_standby;
    taken.disable_load_balance_on_write = settings.disable_load_balance_on_write;
    taken.delay_threshold = settings.delay_threshold;
    taken.delay_threshold_by_time = settings.delay_threshold_by_time;
    taken.check_temp_table = settings.check_temp_table;
    taken.check_unlogged_table = settings.check_unlogged_table;
    taken.track_table_mutation_ttl_factor = settings.track_table_mutation_ttl_factor;
    taken.dml_adaptive_object_relationship_list =
        settings.dml_adaptive_object_relationship_list.items;
    taken.read_only_function_list = settings.read_only_function_list;
    taken.write_function_list = settings.write_function_list;
    taken.primary_routing_query_pattern_list = settings.primary_routing_query_pattern_list;
    taken.app_name_redirect_preference_list = settings.app_name_redirect_preference_list;
    taken.database_redirect_preference_list = settings.database_redirect_preference_list;
    taken.user_redirect_preference_list = settings.user_redirect_preference_list;
    return rules(std::move(taken));
}

}  // namespace pgtorii::routing
