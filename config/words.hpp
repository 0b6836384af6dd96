#pragma once

#include "config/parameter.hpp"

#include <span>
#include <type_traits>

namespace pgtorii::config {

/// The words of each enumeration of settings.hpp, in the order in which they are listed. The first
/// word of a number is the one that SHOW prints.
namespace word_lists {

template <class Enum>
constexpr word named(std::string_view text, Enum number, bool is_alias = false)
{
    return {text, static_cast<std::int64_t>(number), is_alias};
}

// Pgpool-II prints "debug" for debug2, so the alias stands first.
inline constexpr word message_levels[] = {
    named("debug5", message_level::debug5),   named("debug4", message_level::debug4),
    named("debug3", message_level::debug3),   named("debug", message_level::debug2, true),
    named("debug2", message_level::debug2),   named("debug1", message_level::debug1),
    named("info", message_level::info),       named("notice", message_level::notice),
    named("warning", message_level::warning), named("error", message_level::error),
    named("log", message_level::log),         named("fatal", message_level::fatal),
    named("panic", message_level::panic),
};
inline constexpr word clustering_modes[] = {
    named("streaming_replication", clustering_mode::streaming_replication),
    named("native_replication", clustering_mode::native_replication),
    named("logical_replication", clustering_mode::logical_replication),
    named("slony", clustering_mode::logical_replication, true),
    named("raw", clustering_mode::raw),
    named("snapshot_isolation", clustering_mode::snapshot_isolation),
};
inline constexpr word management_modes[] = {
    named("static", management_mode::static_),
    named("dynamic", management_mode::dynamic),
};
inline constexpr word management_strategies[] = {
    named("aggressive", management_strategy::aggressive),
    named("gentle", management_strategy::gentle),
    named("lazy", management_strategy::lazy),
};
inline constexpr word message_details[] = {
    named("none", message_detail::none),
    named("terse", message_detail::terse),
    named("verbose", message_detail::verbose),
};
inline constexpr word verbosities[] = {
    named("terse", verbosity::terse),
    named("default", verbosity::default_),
    named("verbose", verbosity::verbose),
};
inline constexpr word facilities[] = {
    named("LOCAL0", facility::local0), named("LOCAL1", facility::local1),
    named("LOCAL2", facility::local2), named("LOCAL3", facility::local3),
    named("LOCAL4", facility::local4), named("LOCAL5", facility::local5),
    named("LOCAL6", facility::local6), named("LOCAL7", facility::local7),
};
inline constexpr word write_effects[] = {
    named("off", write_effect::off),
    named("transaction", write_effect::transaction),
    named("trans_transaction", write_effect::trans_transaction),
    named("always", write_effect::always),
    named("dml_adaptive", write_effect::dml_adaptive),
    named("dml_adaptive_global", write_effect::dml_adaptive_global),
};
inline constexpr word delay_loggings[] = {
    named("always", delay_logging::always),
    named("if_over_threshold", delay_logging::if_over_threshold),
    named("none", delay_logging::none),
};
inline constexpr word lifechecks[] = {
    named("query", lifecheck::query),
    named("heartbeat", lifecheck::heartbeat),
    named("external", lifecheck::external),
};
inline constexpr word cache_stores[] = {
    named("shmem", cache_store::shmem),
    named("memcached", cache_store::memcached),
};
inline constexpr word causalities[] = {
    named("off", causality::off),
    named("session", causality::session),
    named("global", causality::global),
};
inline constexpr word pool_modes[] = {
    named("session", pool_mode::session),
    named("transaction", pool_mode::transaction),
    named("statement", pool_mode::statement),
};
inline constexpr word unknown_function_policies[] = {
    named("audit", unknown_function_policy::audit),
    named("pin", unknown_function_policy::pin),
    named("trust", unknown_function_policy::trust),
};
inline constexpr word temp_table_checks[] = {
    named("catalog", temp_table_check::catalog), named("on", temp_table_check::catalog, true),
    named("trace", temp_table_check::trace),     named("none", temp_table_check::none),
    named("off", temp_table_check::none, true),
};
inline constexpr word catalog_nodes[] = {
    named("primary", catalog_node::primary),
    named("load_balance_node", catalog_node::load_balance_node),
};

}  // namespace word_lists

/// The words of the enumeration of type Enum.
template <class Enum>
consteval std::span<const word> words_of()
{
    if constexpr (std::is_same_v<Enum, message_level>)
        return word_lists::message_levels;
    else if constexpr (std::is_same_v<Enum, clustering_mode>)
        return word_lists::clustering_modes;
    else if constexpr (std::is_same_v<Enum, management_mode>)
        return word_lists::management_modes;
    else if constexpr (std::is_same_v<Enum, management_strategy>)
        return word_lists::management_strategies;
    else if constexpr (std::is_same_v<Enum, message_detail>)
        return word_lists::message_details;
    else if constexpr (std::is_same_v<Enum, verbosity>)
        return word_lists::verbosities;
    else if constexpr (std::is_same_v<Enum, facility>)
        return word_lists::facilities;
    else if constexpr (std::is_same_v<Enum, write_effect>)
        return word_lists::write_effects;
    else if constexpr (std::is_same_v<Enum, delay_logging>)
        return word_lists::delay_loggings;
    else if constexpr (std::is_same_v<Enum, lifecheck>)
        return word_lists::lifechecks;
    else if constexpr (std::is_same_v<Enum, cache_store>)
        return word_lists::cache_stores;
    else if constexpr (std::is_same_v<Enum, causality>)
        return word_lists::causalities;
    else if constexpr (std::is_same_v<Enum, pool_mode>)
        return word_lists::pool_modes;
    else if constexpr (std::is_same_v<Enum, unknown_function_policy>)
        return word_lists::unknown_function_policies;
    else if constexpr (std::is_same_v<Enum, temp_table_check>)
        return word_lists::temp_table_checks;
    else
        return word_lists::catalog_nodes;
}

}  // namespace pgtorii::config
