#include "routing/rules.hpp"

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

bool rules::is_balancing() const
{
    return parameters_.load_balance_mode && is_mode_balanced(parameters_.backend_clustering_mode);
}

bool rules::has_function_lists() const
{
    return is_set(parameters_.read_only_function_list) || is_set(parameters_.write_function_list);
}

reason rules::judge_functions(const statement_facts& facts) const
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
    if (facts.calls_writing_function) return reason::writing_function;
    if (facts.calls_unknown_function) return reason::unknown_function;
    return reason::read_balanced;
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
    taken.read_only_function_list = settings.read_only_function_list;
    taken.write_function_list = settings.write_function_list;
    taken.primary_routing_query_pattern_list = settings.primary_routing_query_pattern_list;
    taken.app_name_redirect_preference_list = settings.app_name_redirect_preference_list;
    taken.database_redirect_preference_list = settings.database_redirect_preference_list;
    taken.user_redirect_preference_list = settings.user_redirect_preference_list;
    return rules(std::move(taken));
}

}  // namespace pgtorii::routing
