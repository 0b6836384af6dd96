#pragma once

#include "config/settings.hpp"
#include "core/base/result.hpp"
#include "protocol/message.hpp"
#include "protocol/pg_error.hpp"

#include <chrono>
#include <cstdint>

namespace pgtorii::core {

/// How long a client may be silent, and by which parameter.
struct idle_limit {
    enum class kind : std::uint8_t {
        none,         ///< For ever.
        client,       ///< client_idle_limit: whatever the session has open.
        transaction,  ///< idle_in_transaction_timeout.
    };
    kind what = kind::none;
    std::chrono::seconds length{};
};

/// The limit that is reached first. `in_transaction`: the session keeps a transaction open, a
/// failed one or that of an unfinished unit included.
idle_limit idle_limit_of(const config::settings& settings, bool in_transaction);

/// What a client is told whose session ends by `limit`. client_idle_limit has Pgpool-II's text and
/// SQLSTATE, idle_in_transaction_timeout PostgreSQL's.
protocol::pg_error idle_limit_error(const idle_limit& limit);

/// protocol::check_client_header, where no message may be longer than `length_max`, whatever its
/// type.
[[nodiscard]] error_code check_message_size(protocol::frame_header header, std::int64_t length_max);

/// Whether sessions that are idle now have other limits after a reload.
bool has_other_idle_limits(const config::settings& before, const config::settings& after);

}  // namespace pgtorii::core
