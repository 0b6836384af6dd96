#pragma once

#include "core/runtime/task.hpp"
#include "core/server_link.hpp"
#include "protocol/pg_error.hpp"

#include <fmt/format.h>

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
        no_room,      ///< All links that the node may have are in use.
    };
    outcome what = outcome::unreachable;
    protocol::pg_error error;
};

/// What a client is told that needs a link to `node` where there is no room.
inline protocol::pg_error no_room_error(int node)
{
    return {.sqlstate = "53300",
            .message = "sorry, too many clients already",
            .detail = fmt::format("All connections to server {} that node_connection_limit_list "
                                  "allows are in use.",
                                  node)};
}

}  // namespace pgtorii::core
