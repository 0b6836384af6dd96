#pragma once

#include "core/runtime/task.hpp"
#include "core/server_link.hpp"
#include "protocol/pg_error.hpp"

#include <functional>
#include <string>

namespace pgtorii::core {

class client_session;
class session_home;

/// How opening a link ended.
struct opening {
    enum class outcome : std::uint8_t {
        ready,
        unreachable,  ///< No connection, or it was lost, or it took too long: the node may be down.
        refused,      ///< The server said no: `error` is its own.
        challenged,   ///< The server asks for a secret and nobody relays: this link is of no use.
        abandoned,    ///< The session ended meanwhile.
    };
    outcome what = outcome::unreachable;
    protocol::pg_error error;
};

}  // namespace pgtorii::core
