#include "config/unserved.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgtorii::config {

std::vector<diagnostic> find_unserved(const settings& values, const std::string& file)
{
    std::vector<diagnostic> found;
    if (values.enable_pool_hba) {
        found.push_back({severity::error, file, 0,
                         "enable_pool_hba = on is not supported yet: without pool_hba.conf every "
                         "client would be let through to the servers",
                         "Set it to off, and let the servers' pg_hba.conf decide."});
    }
    struct row {
        const char* name;
        bool is_set;
    };
    const row rows[] = {
        {"ssl", values.ssl},
        {"use_watchdog", values.use_watchdog},
        {"memory_cache_enabled", values.memory_cache_enabled},
        {"failover_command", !values.failover_command.empty()},
        {"failback_command", !values.failback_command.empty()},
        {"follow_primary_command", !values.follow_primary_command.empty()},
        {"recovery_1st_stage_command", !values.recovery_1st_stage_command.empty()},
        {"auto_failback", values.auto_failback},
        {"reserved_connections", values.reserved_connections > 0},
        {"allow_clear_text_frontend_auth", values.allow_clear_text_frontend_auth},
    };
    for (const auto& each : rows) {
        if (!each.is_set) continue;
        found.push_back({severity::warning,
                         file,
                         0,
                         fmt::format("{} is set, and has no effect yet", each.name),
                         {}});
    }
    if (!std::ranges::any_of(values.backends, &backend::configured)) {
        found.push_back({severity::warning, file, 0,
                         "no backend is configured: clients will be turned away",
                         "Set backend_hostname0 and backend_port0."});
    }
    return found;
}

}  // namespace pgtorii::config
