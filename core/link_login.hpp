#pragma once

#include "core/link_opening.hpp"
#include "core/server_link.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pgtorii::core {

/// What a server says between the start-up message and its ReadyForQuery, without I/O: the owner
/// sends the start-up message, feeds what comes back, and obeys next(). Fills in the link's
/// parameters, key and state.
class link_login {
public:
    enum class step : std::uint8_t {
        need_more,
        notice,  ///< Of no matter for the login; a client that is there may see message().
        ask,     ///< message() asks for an answer that only a client has. It goes to the server
                 ///< before more is fed.
        tell,    ///< message() is for the client too, who has nothing to answer.
        ready,
        failed,  ///< outcome() says why.
    };

    /// `relays`: challenges are passed to a client; else a server that asks for a secret is of no
    /// use.
    link_login(server_link& link, std::string_view user, bool relays);

    void feed(std::span<const std::byte> received);
    step next();
    /// The message of the last step, whole. Valid until the next call that isn't const.
    std::span<const std::byte> message() const { return message_; }
    const opening& outcome() const { return outcome_; }

private:
    step on_message(char type);
    step on_challenge(std::span<const std::byte> body);
    step fail(std::string_view why);

    /// The longest message that a server may send during login.
    static constexpr std::size_t message_bytes_max = 1024 * 1024;

    server_link& link_;
    std::string_view user_;
    bool relays_;
    std::vector<std::byte> received_;
    std::size_t used_ = 0;  // of received_
    std::span<const std::byte> message_;
    opening outcome_;
};

}  // namespace pgtorii::core
