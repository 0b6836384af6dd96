#pragma once

#include "core/catalog_lookup.hpp"
#include "core/link_pool.hpp"
#include "core/session_settings.hpp"
#include "routing/catalog_facts.hpp"
#include "routing/relation_cache.hpp"

#include <cstdint>
#include <memory>
#include <unordered_map>

namespace pgtorii::core {

class session_home;

/// What the catalogs say, for the sessions of one worker: the cache, and the look-ups under way.
/// Home worker only.
class catalog_service {
public:
    explicit catalog_service(session_home& home);

    /// See session_home.
    const routing::catalog_facts* facts_for(const pool& of, session_settings& settings,
                                            const routing::query_facts_ptr& text);
    bool ask(const std::shared_ptr<pool>& of, session_settings& settings,
             const routing::query_facts_ptr& text, std::uint64_t session);
    /// The home's settings are new.
    void reconfigure();

    const routing::relation_cache& cache() const { return cache_; }

private:
    const routing::catalog_namespace_ptr& space_of(const pool& of, session_settings& settings);
    int node_to_ask() const;
    void on_told(std::uint64_t id, catalog_lookup::failure outcome);

    session_home& home_;
    routing::relation_cache cache_;
    std::unordered_map<std::uint64_t, std::unique_ptr<catalog_lookup>> look_ups_;
};

}  // namespace pgtorii::core
