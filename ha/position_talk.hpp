#pragma once

#include "core/base/result.hpp"
#include "ha/causal_board.hpp"
#include "ha/cluster_config.hpp"
#include "ha/reply_frames.hpp"
#include "ha/server_login.hpp"
#include "protocol/writer.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace pgtorii::ha {

/// The whole conversation of the sampler with one server, without I/O: a log-in, then one question
/// for a WAL position after the other on the same connection.
///
/// The driver sends output() after construction, after ask() and after each on_bytes, until
/// is_done; then it may ask (again). A server that gives an error instead of an answer (it is a
/// standby by now, the user may not see it) has no position; the conversation goes on.
class position_talk {
public:
    explicit position_talk(check_login login);
    position_talk(const position_talk&) = delete;
    position_talk& operator=(const position_talk&) = delete;

    std::span<const std::byte> output() const { return output_.bytes(); }
    /// All of output() has been sent; it is overwritten.
    void on_sent() { output_.wipe(); }
    void on_bytes(std::span<const std::byte> bytes);
    /// The server has closed the connection.
    void on_end();

    /// Nothing is owed: logged in, answered, or failed.
    bool is_done() const { return state_ == state::idle || state_ == state::failed; }
    /// Why nothing more can be asked; none while all is well.
    error_code failure() const { return failure_; }

    /// Asks for the insert position (a primary) or the replay position (a standby), with its
    /// timeline. Only when is_done() without failure().
    void ask(bool of_primary);
    /// The answer to the last question. Nullopt: the server has none.
    std::optional<causal_board::floor> position() const { return position_; }

private:
    enum class state : std::uint8_t { logging_in, idle, asking, failed };

    bool on_message(char type, std::span<const std::byte> body);
    void on_login_message(char type, std::span<const std::byte> body);
    void on_answer_message(char type, std::span<const std::byte> body);
    void on_row(std::span<const std::byte> body);
    void fail(error_code why);

    protocol::message_buffer output_;
    server_login login_;
    reply_frames frames_;
    state state_ = state::logging_in;
    bool asks_primary_ = false;
    error_code failure_;
    std::optional<causal_board::floor> position_;
};

}  // namespace pgtorii::ha
