#pragma once

#include "core/base/result.hpp"
#include "ha/cluster_config.hpp"
#include "protocol/authentication.hpp"
#include "protocol/scram_client.hpp"
#include "protocol/server_messages.hpp"
#include "protocol/writer.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace pgtorii::ha {

/// A log-in at a server from the startup message to its first ReadyForQuery, without I/O: what
/// every conversation of the control plane begins with. What is to be sent is appended to the
/// owner's buffer, and may hold a password.
class server_login {
public:
    enum class outcome : std::uint8_t {
        pending,
        ready,    ///< Logged in, idle.
        refused,  ///< The server said no, or asks for something that we can't give.
        failed,   ///< It doesn't speak PostgreSQL's language.
    };

    /// Appends the startup message. `out` must outlive it.
    server_login(check_login login, protocol::message_buffer& out);

    /// The next message of the server. Not after an outcome other than `pending`.
    outcome on_message(char type, std::span<const std::byte> body);

    /// Why it was refused or has failed.
    error_code failure() const { return failure_; }
    const std::string& sqlstate() const { return sqlstate_; }  ///< Empty: not the server's word.
    const std::string& message() const { return message_; }    ///< The server's own words.
    /// As told by server_version; 0: not told, so a new one or a proxy in front of one.
    int major_version() const { return major_version_; }
    bool is_older_than_10() const { return major_version_ > 0 && major_version_ < 10; }

private:
    enum class sasl_step : std::uint8_t { none, first_sent, final_sent, verified };

    outcome on_authentication(std::span<const std::byte> body);
    outcome answer(const protocol::authentication_message& asked);
    outcome answer_sasl(const protocol::authentication_message& asked);
    outcome on_error(std::span<const std::byte> body);
    outcome on_parameter(std::span<const std::byte> body);
    outcome fail(error_code why);
    outcome refuse(error_code why);

    check_login login_;
    protocol::message_buffer& out_;
    std::optional<protocol::scram_client> scram_;
    sasl_step sasl_ = sasl_step::none;
    bool is_authenticated_ = false;
    int major_version_ = 0;
    error_code failure_;
    std::string sqlstate_;
    std::string message_;
};

}  // namespace pgtorii::ha
