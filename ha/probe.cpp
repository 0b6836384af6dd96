#include "ha/probe.hpp"

#include "core/base/always_assert.hpp"
#include "ha/error.hpp"
#include "ha/number_text.hpp"
#include "protocol/server_messages.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace pgtorii::ha {
namespace {

using question_texts = std::array<std::string_view, 5>;

// Names are qualified: the search_path of the database is not ours. pg_walfile_name tells the
// timeline that is written now, and a walreceiver the one that a standby follows; the control file
// lags behind until the first checkpoint after a promotion.
constexpr question_texts questions_since_10 = {
    "SELECT pg_catalog.pg_is_in_recovery()",
    "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()"
    " ELSE pg_catalog.pg_current_wal_lsn() END",
    "SELECT s.system_identifier, c.timeline_id, CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL"
    " ELSE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()) END,"
    " (SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver)"
    " FROM pg_catalog.pg_control_system() s, pg_catalog.pg_control_checkpoint() c",
    "SELECT application_name, state, sync_state, EXTRACT(epoch FROM replay_lag)"
    " FROM pg_catalog.pg_stat_replication",
    // (the last one is new in 16)
    "SELECT pg_catalog.current_setting('max_connections'),"
    " pg_catalog.current_setting('superuser_reserved_connections'),"
    " pg_catalog.current_setting('reserved_connections', true)",
};
constexpr question_texts questions_before_10 = {
    questions_since_10[0],
    "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_xlog_replay_location()"
    " ELSE pg_catalog.pg_current_xlog_location() END",
    "SELECT s.system_identifier, c.timeline_id, CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL"
    " ELSE pg_catalog.pg_xlogfile_name(pg_catalog.pg_current_xlog_location()) END,"
    " (SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver)"
    " FROM pg_catalog.pg_control_system() s, pg_catalog.pg_control_checkpoint() c",
    "SELECT application_name, state, sync_state FROM pg_catalog.pg_stat_replication",
    questions_since_10[4],
};

/// A replay_lag in seconds; null counts as none, as in Pgpool-II.
std::chrono::microseconds lag_from(const reply_column& seconds)
{
    constexpr double limit = 1e9;  // seconds; far from what microseconds can hold
    const auto lag = seconds.is_null ? std::nullopt : fraction_from(seconds.text);
    if (!lag || !(*lag > 0)) return {};
    const std::chrono::duration<double> bounded(std::min(*lag, limit));
    return std::chrono::duration_cast<std::chrono::microseconds>(bounded);
}

}  // namespace

probe::probe(check_login login) : login_(std::move(login), output_) {}

void probe::on_bytes(std::span<const std::byte> bytes)
{
    if (is_done_) return;
    input_bytes_ += bytes.size();
    if (input_bytes_ > input_bytes_max) return fail(errc::reply_too_big);
    const auto failure = frames_.feed(bytes, [this](char type, std::span<const std::byte> body) {
        return on_message(type, body);
    });
    if (failure) fail(failure);
}

void probe::on_end()
{
    if (!is_done_) fail(errc::connection_lost);
}

observation probe::take_result()
{
    always_assert(is_done_);
    return std::move(result_);
}

void probe::fail(error_code why)
{
    result_.verdict = verdict::absent;
    result_.failure = why;
    is_done_ = true;
}

void probe::refuse(error_code why)
{
    result_.verdict = verdict::refused;
    result_.failure = why;
    is_done_ = true;
}

bool probe::on_message(char type, std::span<const std::byte> body)
{
    if (is_logged_in_)
        on_answer_message(type, body);
    else
        on_login_message(type, body);
    return !is_done_;
}

void probe::on_login_message(char type, std::span<const std::byte> body)
{
    switch (login_.on_message(type, body)) {
    case server_login::outcome::pending: return;
    case server_login::outcome::ready: return ask();
    case server_login::outcome::refused:
        result_.sqlstate = login_.sqlstate();
        result_.message = login_.message();
        return refuse(login_.failure());
    case server_login::outcome::failed: return fail(login_.failure());
    }
}

void probe::on_answer_message(char type, std::span<const std::byte> body)
{
    switch (type) {
    case 'N':
    case 'A':
    case 'S':
    case 'T':
    case 'C': return;
    case 'E': return on_error(body);
    case 'D': return on_row(body);
    case 'Z': return on_ready();
    default: return fail(errc::reply_unexpected);
    }
}

void probe::on_error(std::span<const std::byte> body)
{
    const auto fields = protocol::read_error(body);
    if (question_ != q_recovery && !fields.is_fatal()) return;  // it has no answer to this one
    result_.sqlstate = fields.sqlstate.value_or(std::string_view{});
    result_.message = fields.message.value_or(std::string_view{});
    refuse(errc::server_refused);
}

void probe::on_ready()
{
    if (question_ == q_recovery && !role_is_known_) return fail(errc::reply_unexpected);
    if (++question_ < question_count) return;
    result_.verdict = verdict::answered;
    is_done_ = true;
}

void probe::ask()
{
    static_assert(questions_since_10.size() == question_count);
    is_logged_in_ = true;
    const auto& texts = login_.is_older_than_10() ? questions_before_10 : questions_since_10;
    for (const auto text : texts) output_.query(text);
}

void probe::on_row(std::span<const std::byte> body)
{
    std::array<reply_column, 4> row;
    if (const auto failure = read_columns(body, row)) return fail(failure);
    take_columns(row);
}

void probe::take_columns(std::span<const reply_column> row)
{
    auto& facts = result_.facts;
    switch (question_) {
    case q_recovery:
        if (row[0].text != "t" && row[0].text != "f") return fail(errc::reply_unexpected);
        facts.in_recovery = row[0].text == "t";
        role_is_known_ = true;
        break;
    case q_position: facts.lsn = lsn_from(row[0].text).value_or(0); break;
    case q_history: take_history(row); break;
    case q_receivers: take_receiver(row); break;
    case q_limits: take_limits(row); break;
    default: fail(errc::reply_unexpected);
    }
}

void probe::take_history(std::span<const reply_column> row)
{
    auto& facts = result_.facts;
    // A bigint there: large identifiers look negative.
    facts.system_identifier =
        static_cast<std::uint64_t>(number_from<std::int64_t>(row[0].text, 10).value_or(0));
    facts.timeline = number_from<std::uint32_t>(row[1].text, 10).value_or(0);
    if (!row[2].is_null) facts.timeline = timeline_from(row[2].text).value_or(facts.timeline);
    if (facts.in_recovery && !row[3].is_null) {
        facts.timeline = number_from<std::uint32_t>(row[3].text, 10).value_or(facts.timeline);
    }
}

void probe::take_receiver(std::span<const reply_column> row)
{
    auto& receivers = result_.facts.receivers;
    if (receivers.size() == receiver_count_max) return fail(errc::reply_too_big);
    receivers.push_back({.application_name = std::string(row[0].text),
                         .state = std::string(row[1].text),
                         .sync_state = std::string(row[2].text),
                         .replay_lag = lag_from(row[3])});
}

void probe::take_limits(std::span<const reply_column> row)
{
    int count = number_from<int>(row[0].text, 10).value_or(0);
    for (const auto& reserved : {row[1], row[2]}) {
        count -= std::clamp(number_from<int>(reserved.text, 10).value_or(0), 0, std::max(count, 0));
    }
    result_.facts.connection_count_max = std::max(count, 0);
}

}  // namespace pgtorii::ha
