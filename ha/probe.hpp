#pragma once

#include "ha/cluster_config.hpp"
#include "ha/observation.hpp"
#include "protocol/authentication.hpp"
#include "protocol/message.hpp"
#include "protocol/server_messages.hpp"
#include "protocol/writer.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pgtorii::ha {

/// One look at one server, without I/O: logs in, asks what the server is, and leaves the connection
/// open and idle.
///
/// The driver sends output() after construction and after each on_bytes, until is_done. The four
/// questions go out in one piece; only the first must be answered (are you in recovery?), so that a
/// server that knows no WAL positions (Aurora) or hides its control data still has a role. The
/// server is not trusted: everything is bounded.
class probe {
public:
    explicit probe(check_login login);

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

    static constexpr std::size_t message_bytes_max = 64 * 1024;
    static constexpr std::size_t input_bytes_max = 1024 * 1024;
    static constexpr std::size_t receiver_count_max = 1'000;

private:
    enum class phase : std::uint8_t { login, start, questions };
    enum class sasl_step : std::uint8_t { none, first_sent, final_sent, verified };
    enum question : std::size_t { q_recovery, q_position, q_history, q_receivers, question_count };
    struct column {
        bool is_null = true;
        std::string_view text;
    };

    void on_message(char type, std::span<const std::byte> body);
    void on_authentication(std::span<const std::byte> body);
    void answer_sasl(const protocol::authentication_message& asked);
    void answer_password(std::string_view password);
    void on_error(std::span<const std::byte> body);
    void on_row(std::span<const std::byte> body);
    void on_ready();
    void on_parameter(std::span<const std::byte> body);
    void ask();
    void fail(error_code why);
    void refuse(error_code why);
    void take_columns(std::span<const column> row);

    check_login login_;
    protocol::message_buffer output_;
    std::vector<std::byte> input_;  // of a message that is not whole yet
    std::size_t input_bytes_ = 0;   // in all
    std::optional<protocol::scram_client> scram_;
    sasl_step sasl_ = sasl_step::none;
    int major_version_ = 0;
    phase phase_ = phase::login;
    std::size_t question_ = q_recovery;
    bool role_is_known_ = false;
    bool is_done_ = false;
    observation result_;
};

}  // namespace pgtorii::ha
