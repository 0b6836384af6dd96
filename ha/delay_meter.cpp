#include "ha/delay_meter.hpp"

#include "core/base/always_assert.hpp"

#include <algorithm>

namespace pgtorii::ha {

void delay_meter::configure(const delay_config& config)
{
    const bool is_same_way = config.is_measured == config_.is_measured &&
                             config.by_time == config_.by_time && config.command == config_.command;
    config_ = config;
    if (!is_same_way) on_primary_changed();
}

delay_meter::record& delay_meter::at(int node)
{
    always_assert(node >= 0);
    const auto id = static_cast<std::size_t>(node);
    if (id >= records_.size()) records_.resize(id + 1);
    return records_[id];
}

void delay_meter::on_primary(const server_facts& facts, const std::vector<node_config>& nodes,
                             clock::time_point now)
{
    if (!measures_itself()) return;
    history_.on_position(facts.lsn, now);
    for (const auto& node : nodes) {
        if (!node.is_configured || node.application_name.empty()) continue;
        for (const auto& row : facts.receivers) {  // of several rows the last, as Pgpool-II
            if (row.application_name == node.application_name) at(node.id).told = row.replay_lag;
        }
    }
}

void delay_meter::on_standby(int node, std::uint64_t replayed_lsn, clock::time_point now)
{
    if (!measures_itself()) return;
    at(node).overdue =
        std::chrono::duration_cast<std::chrono::microseconds>(history_.overdue(replayed_lsn, now));
}

void delay_meter::on_command(int node, std::chrono::microseconds delay)
{
    if (!config_.is_measured || config_.command.empty()) return;
    at(node).told = delay;
}

void delay_meter::on_primary_changed()
{
    history_.clear();
    for (auto& each : records_) each.told = each.overdue = {};
}

void delay_meter::forget(int node)
{
    at(node) = {};
}

std::chrono::microseconds delay_meter::time_of(int node) const
{
    const auto id = static_cast<std::size_t>(node);
    if (!config_.is_measured || !config_.by_time || id >= records_.size()) return {};
    return std::max(records_[id].told, records_[id].overdue);
}

bool delay_meter::begins_log(int node, std::int64_t delay_bytes, clock::time_point now)
{
    if (!config_.is_measured) return false;
    bool is_worth_it = false;
    switch (config_.logging) {
    case config::delay_logging::none: break;
    case config::delay_logging::always:
        is_worth_it = config_.by_time ? time_of(node).count() > 0 : delay_bytes > 0;
        break;
    case config::delay_logging::if_over_threshold:
        is_worth_it = config_.by_time
                          ? time_of(node) > config_.threshold_time
                          : config_.threshold_bytes > 0 && delay_bytes > config_.threshold_bytes;
        break;
    }
    auto& log = at(node);
    if (!is_worth_it || (log.was_logged && now - log.logged < config_.period)) return false;
    log.was_logged = true;
    log.logged = now;
    return true;
}

}  // namespace pgtorii::ha
