#pragma once

#include "ha/cluster_config.hpp"
#include "ha/observation.hpp"
#include "ha/reply_frames.hpp"
#include "ha/server_login.hpp"
#include "protocol/writer.hpp"

#include <cstddef>
#include <span>

namespace pgtorii::ha {

/// One look at one server, without I/O: logs in, asks what the server is, and leaves the connection
/// open and idle.
///
/// The driver sends output() after construction and after each on_bytes, until is_done. The
/// questions go out in one piece; only the first must be answered (are you in recovery?), so that a
/// server that knows no WAL positions (Aurora) or hides its control data still has a role. The
/// server is not trusted: everything is bounded.
class probe {
public:
    explicit probe(check_login login);
    probe(const probe&) = delete;
    probe& operator=(const probe&) = delete;

    /// What is to be sent now; may hold a password. Valid until the next call that is not const.
    std::span<const std::byte> output() const { return output_.bytes(); }
    /// All of output() has been sent; it is overwritten.
    void on_sent() { output_.wipe(); }

    /// What the server has sent, in pieces of any size.
    void on_bytes(std::span<const std::byte> bytes);
    /// The server has closed the connection.
    void on_end();

    bool is_done() const { return is_done_; }
    /// What was learnt; `node` and `addresses` are the driver's to fill in. Once, after is_done.
    observation take_result();

    static constexpr std::size_t message_bytes_max = reply_frames::message_bytes_max;
    static constexpr std::size_t input_bytes_max = 1024 * 1024;
    static constexpr std::size_t receiver_count_max = 1'000;

private:
    enum question : std::size_t {
        q_recovery,
        q_position,
        q_history,
        q_receivers,
        q_limits,
        question_count
    };

    bool on_message(char type, std::span<const std::byte> body);
    void on_login_message(char type, std::span<const std::byte> body);
    void on_answer_message(char type, std::span<const std::byte> body);
    void on_error(std::span<const std::byte> body);
    void on_row(std::span<const std::byte> body);
    void on_ready();
    void ask();
    void fail(error_code why);
    void refuse(error_code why);
    void take_columns(std::span<const reply_column> row);
    void take_history(std::span<const reply_column> row);
    void take_receiver(std::span<const reply_column> row);
    void take_limits(std::span<const reply_column> row);

    protocol::message_buffer output_;
    server_login login_;
    reply_frames frames_;
    std::size_t input_bytes_ = 0;  // in all
    bool is_logged_in_ = false;
    std::size_t question_ = q_recovery;
    bool role_is_known_ = false;
    bool is_done_ = false;
    observation result_;
};

}  // namespace pgtorii::ha
