#include "core/session_home.hpp"

#include "core/catalog_service.hpp"
#include "core/client_session.hpp"

namespace pgtorii::core {

session_home::session_home(runtime::worker& worker_loop, gate_services& shared,
                           settings_ptr first_settings, ha::cluster_view_ptr first_view)
    : loop(worker_loop),
      services(shared),
      settings(std::move(first_settings)),
      rules(std::make_shared<const routing::rules>(routing::make_rules(*settings))),
      view(std::move(first_view)),
      facts({.bytes_max = static_cast<std::size_t>(settings->fact_cache_size)}, {},
            std::uint64_t{std::random_device{}()} << 32 | std::random_device{}()),
      statement_ids(worker_loop.index()),
      idle(shared.pool, worker_loop.index(), worker_loop.ready()),
      unreadable_facts(std::make_shared<const routing::query_facts>(routing::unreadable({}))),
      random(std::random_device{}()),
      catalog_(std::make_unique<catalog_service>(*this))
{
    facts.set_query_patterns(settings->primary_routing_query_pattern_list);
}

session_home::~session_home() = default;

std::unique_ptr<unit_at_work> session_home::take_work()
{
    if (spare_work_.empty()) return std::make_unique<unit_at_work>();
    auto spare = std::move(spare_work_.back());
    spare_work_.pop_back();
    return spare;
}

void session_home::return_work(std::unique_ptr<unit_at_work> done)
{
    if (spare_work_.size() == spare_work_count_max) return;
    done->clear();
    spare_work_.push_back(std::move(done));
}

void session_home::adopt(runtime::descriptor socket, std::string peer_host, int peer_port)
{
    const auto id = next_id_++;
    auto made = std::make_unique<client_session>(*this, id, std::move(socket), std::move(peer_host),
                                                 peer_port);
    auto& session = *made;
    sessions_.emplace(id, std::move(made));
    session.start();
}

void session_home::retire(std::uint64_t session)
{
    loop.defer([this, session] {
        sessions_.erase(session);
        session_count.fetch_sub(1, std::memory_order_relaxed);
    });
}

client_session* session_home::find(std::uint64_t session)
{
    const auto found = sessions_.find(session);
    return found == sessions_.end() ? nullptr : found->second.get();
}

const routing::catalog_facts* session_home::catalog_facts_for(const pool& of,
                                                              session_settings& of_session,
                                                              const routing::query_facts_ptr& text)
{
    return catalog_->facts_for(of, of_session, text);
}

bool session_home::ask_catalog(const std::shared_ptr<pool>& of, session_settings& of_session,
                               const routing::query_facts_ptr& text, std::uint64_t session)
{
    return catalog_->ask(of, of_session, text, session);
}

void session_home::publish(settings_ptr new_settings)
{
    const bool wakes_idle = has_other_idle_limits(*settings, *new_settings);
    settings = std::move(new_settings);
    catalog_->reconfigure();
    rules = std::make_shared<const routing::rules>(routing::make_rules(*settings));
    facts.set_query_patterns(settings->primary_routing_query_pattern_list);
    idle.release_all();
    if (!wakes_idle) return;
    for (auto& [id, session] : sessions_) session->on_limits_changed();
}

void session_home::publish(ha::cluster_view_ptr new_view)
{
    view = std::move(new_view);
    idle.drop_if([this](const server_link& link) { return !view->is_valid(link.node()); });
    for (auto& [id, session] : sessions_) session->on_view_changed();
}

void session_home::on_causal_sample()
{
    for (const auto id : std::exchange(causal_waiters, {})) {
        if (auto* const session = find(id)) session->on_causal_sample();
    }
}

void session_home::end_sessions()
{
    for (auto& [id, session] : sessions_) session->end();
}

}  // namespace pgtorii::core
