#include "core/catalog_service.hpp"

#include "core/client_session.hpp"
#include "core/session_home.hpp"
#include "routing/choose_node.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <random>
#include <string>
#include <string_view>
#include <utility>

namespace pgtorii::core {

namespace {

routing::relation_cache_limits limits_of(const config::settings& settings)
{
    const auto names = static_cast<std::size_t>(std::max(settings.relcache_size, 1));
    return {.entry_count_max = names,
            .life_time = settings.relcache_expire,
            .verdict_count_max = 8 * names};
}

/// Start-up parameters that many clients send and that no name depends on: sessions that differ in
/// these share what is known.
bool is_of_no_matter(std::string_view name)
{
    constexpr std::array<std::string_view, 6> known{"application_name",   "DateStyle",
                                                    "IntervalStyle",      "TimeZone",
                                                    "extra_float_digits", "statement_timeout"};
    return std::ranges::any_of(known, [name](std::string_view each) {
        return std::ranges::equal(name, each, [](unsigned char a, unsigned char b) {
            return std::tolower(a) == std::tolower(b);
        });
    });
}

/// The key of a namespace: what the start-up message says of it, and the statements since.
std::string key_of(const pool& of, const std::vector<std::string>& statements)
{
    std::string key;
    constexpr std::size_t head_bytes = 8;  // length, version
    std::string_view rest{of.key};
    rest.remove_prefix(std::min(head_bytes, rest.size()));
    const auto take = [&rest] {
        const auto text = rest.substr(0, rest.find('\0'));
        rest.remove_prefix(std::min(text.size() + 1, rest.size()));
        return text;
    };
    while (!rest.empty()) {
        const auto name = take();
        if (name.empty()) break;
        const auto value = take();
        if (is_of_no_matter(name)) continue;
        key.append(name).push_back('\0');
        key.append(value).push_back('\0');
    }
    for (const auto& each : statements) {
        key.push_back('\0');
        key.append(each);
    }
    return key;
}

}  // namespace

catalog_service::catalog_service(session_home& home)
    : home_(home),
      cache_(limits_of(*home.settings))
{
}

void catalog_service::reconfigure()
{
    cache_.set_limits(limits_of(*home_.settings));
}

const routing::catalog_namespace_ptr& catalog_service::space_of(const pool& of,
                                                                session_settings& settings)
{
    if (!settings.known_namespace()) {
        auto statements = settings.namespace_statements();
        auto key = key_of(of, statements);
        settings.remember_namespace(cache_.space_of(key, of.database, std::move(statements),
                                                    home_.services.generations.of(of.database)));
    }
    return settings.known_namespace();
}

const routing::catalog_facts* catalog_service::facts_for(const pool& of, session_settings& settings,
                                                         const routing::query_facts_ptr& text)
{
    if (!settings.has_certain_namespace()) return nullptr;
    return cache_.find(space_of(of, settings), text, home_.loop.now());
}

/// The primary; or, when it is so configured, a node as a session would choose it.
int catalog_service::node_to_ask() const
{
    const auto& view = *home_.view;
    const bool asks_any =
        home_.settings->relcache_query_target == config::catalog_node::load_balance_node;
    int node = view.primary;
    if (asks_any) {
        node = routing::choose_node(view, nullptr,
                                    std::uniform_real_distribution<double>{0.0, 1.0}(home_.random));
    }
    const bool is_there = node >= 0 && static_cast<std::size_t>(node) < view.nodes.size() &&
                          view.nodes[static_cast<std::size_t>(node)].is_valid();
    return is_there ? node : -1;
}

bool catalog_service::ask(const std::shared_ptr<pool>& of, session_settings& settings,
                          const routing::query_facts_ptr& text, std::uint64_t session)
{
    if (!settings.has_certain_namespace() || home_.settings->catalog_wait_timeout.count() == 0) {
        return false;
    }
    const int node = node_to_ask();
    if (node < 0) return false;
    using asked = routing::relation_cache::asked;
    const auto space = space_of(*of, settings);
    routing::relation_cache::look_up started;
    const auto answer = cache_.ask(space, text, session, home_.loop.now(), started);
    if (answer != asked::start) return answer == asked::waiting;
    const auto id = started.id;
    home_.idle.release_pool(*of);  // a link among them is as good as any
    const auto turn = home_.services.pool.take_look_up_turn(*of);
    if (turn == link_pool::look_up_turn::none) {
        on_told(id, routing::look_up_failure::busy);
        return false;
    }
    auto made = std::make_unique<catalog_lookup>(
        home_, catalog_lookup::order{.pool = of, .node = node, .turn = turn, .space = space},
        routing::catalog_question{std::move(started.names)},
        [this, id](catalog_lookup::failure outcome) { on_told(id, outcome); },
        [this, id] { home_.loop.defer([this, id] { look_ups_.erase(id); }); });
    auto& look_up = *made;
    look_ups_.emplace(id, std::move(made));
    look_up.start();
    return true;
}

void catalog_service::on_told(std::uint64_t id, catalog_lookup::failure outcome)
{
    const auto now = home_.loop.now();
    const auto waiters = outcome ? cache_.failed(id, *outcome, now)
                                 : cache_.answered(id, look_ups_.at(id)->question(), now);
    for (const auto session : waiters) {
        if (auto* const found = home_.find(session)) found->on_catalog_answered();
    }
}

}  // namespace pgtorii::core
