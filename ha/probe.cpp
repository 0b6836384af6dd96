#include "ha/probe.hpp"

#include "core/base/always_assert.hpp"
#include "ha/error.hpp"
#include "protocol/byte_reader.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace pgtorii::ha {
namespace {

using question_texts = std::array<std::string_view, 4>;

// Names are qualified: the search_path of the database is not ours. pg_walfile_name tells the
// timeline that is written now; the control file lags behind until the first checkpoint after a
// promotion.
constexpr question_texts questions_since_10 = {
    "SELECT pg_catalog.pg_is_in_recovery()",
    "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()"
    " ELSE pg_catalog.pg_current_wal_lsn() END",
    "SELECT s.system_identifier, c.timeline_id, CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL"
    " ELSE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()) END"
    " FROM pg_catalog.pg_control_system() s, pg_catalog.pg_control_checkpoint() c",
    "SELECT application_name, state, sync_state FROM pg_catalog.pg_stat_replication",
};
constexpr question_texts questions_before_10 = {
    questions_since_10[0],
    "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_xlog_replay_location()"
    " ELSE pg_catalog.pg_current_xlog_location() END",
    "SELECT s.system_identifier, c.timeline_id, CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL"
    " ELSE pg_catalog.pg_xlogfile_name(pg_catalog.pg_current_xlog_location()) END"
    " FROM pg_catalog.pg_control_system() s, pg_catalog.pg_control_checkpoint() c",
    questions_since_10[3],
};

template <class Number>
std::optional<Number> number_from(std::string_view text, int base)
{
    Number value{};
    const auto* const end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, value, base);
    if (failure != std::errc{} || stop != end) return std::nullopt;
    return value;
}

/// A pg_lsn: two hexadecimal halves, "16/B374D848".
std::optional<std::uint64_t> lsn_from(std::string_view text)
{
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto high = number_from<std::uint32_t>(text.substr(0, slash), 16);
    const auto low = number_from<std::uint32_t>(text.substr(slash + 1), 16);
    if (!high || !low) return std::nullopt;
    return std::uint64_t{*high} << 32 | *low;
}

}  // namespace

probe::probe(check_login login) : login_(std::move(login))
{
    output_.startup_message(login_.user, login_.database, {});
}

void probe::on_bytes(std::span<const std::byte> bytes)
{
    if (is_done_) return;
    input_bytes_ += bytes.size();
    if (input_bytes_ > input_bytes_max) return fail(errc::reply_too_big);
    input_.insert(input_.end(), bytes.begin(), bytes.end());

    std::span<const std::byte> rest = input_;
    while (!is_done_) {
        const auto header = protocol::peek_header(rest);
        if (!header) break;
        if (protocol::check_server_header(*header)) return fail(errc::reply_malformed);
        if (header->total() > message_bytes_max) return fail(errc::reply_too_big);
        if (rest.size() < header->total()) break;
        on_message(header->type, rest.subspan(protocol::frame_header::size, header->body_size()));
        rest = rest.subspan(header->total());
    }
    input_.erase(input_.begin(), input_.end() - static_cast<std::ptrdiff_t>(rest.size()));
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

void probe::on_message(char type, std::span<const std::byte> body)
{
    switch (type) {
    case 'N':
    case 'A': return;
    case 'S': return on_parameter(body);
    case 'E': return on_error(body);
    case 'R':
        if (phase_ == phase::login) return on_authentication(body);
        break;
    case 'K':
    case 'v':
        if (phase_ != phase::questions) return;
        break;
    case 'Z':
        if (phase_ != phase::login) return on_ready();
        break;
    case 'T':
    case 'C':
        if (phase_ == phase::questions) return;
        break;
    case 'D':
        if (phase_ == phase::questions) return on_row(body);
        break;
    default: break;
    }
    fail(errc::reply_unexpected);
}

void probe::on_authentication(std::span<const std::byte> body)
{
    using enum protocol::authentication_code;
    const auto asked = protocol::read_authentication(body);
    if (!asked) return fail(errc::reply_malformed);
    if (asked->is(ok)) {
        // A server that skips its own proof may be anybody.
        if (scram_ && sasl_ != sasl_step::verified) return fail(errc::reply_unexpected);
        phase_ = phase::start;
        return;
    }
    if (login_.password.empty()) return refuse(errc::password_missing);
    if (asked->is(cleartext_password)) return answer_password(login_.password);
    if (asked->is(md5_password)) {
        const auto salt = protocol::read_md5_salt(*asked);
        if (!salt) return fail(errc::reply_malformed);
        const auto answer = protocol::md5_response(login_.user, login_.password, *salt);
        if (!answer) return refuse(answer.error());
        return answer_password(*answer);
    }
    if (asked->is(sasl) || asked->is(sasl_continue) || asked->is(sasl_final)) {
        return answer_sasl(*asked);
    }
    refuse(errc::authentication_unsupported);
}

void probe::answer_password(std::string_view password)
{
    output_.password_message(password);
}

void probe::answer_sasl(const protocol::authentication_message& asked)
{
    using enum protocol::authentication_code;
    if (asked.is(sasl) && sasl_ == sasl_step::none) {
        const auto mechanisms = protocol::read_sasl_mechanisms(asked);
        if (!mechanisms) return fail(errc::reply_malformed);
        if (!mechanisms->contains(protocol::scram_sha_256)) {
            return refuse(errc::authentication_unsupported);
        }
        auto nonce = protocol::scram_client::make_nonce();
        if (!nonce) return refuse(nonce.error());
        scram_.emplace(login_.password, std::move(*nonce));
        output_.sasl_initial_response(protocol::scram_sha_256, scram_->first_message());
        sasl_ = sasl_step::first_sent;
    } else if (asked.is(sasl_continue) && sasl_ == sasl_step::first_sent) {
        const auto answer = scram_->final_message(protocol::as_text(asked.rest));
        if (!answer) return fail(answer.error());
        output_.sasl_response(*answer);
        sasl_ = sasl_step::final_sent;
    } else if (asked.is(sasl_final) && sasl_ == sasl_step::final_sent) {
        const auto failure = scram_->verify(protocol::as_text(asked.rest));
        if (failure) return fail(failure);
        sasl_ = sasl_step::verified;
    } else {
        fail(errc::reply_unexpected);
    }
}

void probe::on_error(std::span<const std::byte> body)
{
    const auto fields = protocol::read_error(body);
    const bool is_needed = phase_ != phase::questions || question_ == q_recovery;
    if (!is_needed && !fields.is_fatal()) return;  // that question has no answer here
    result_.sqlstate = fields.sqlstate.value_or(std::string_view{});
    result_.message = fields.message.value_or(std::string_view{});
    refuse(errc::server_refused);
}

void probe::on_parameter(std::span<const std::byte> body)
{
    const auto told = protocol::read_parameter_status(body);
    if (!told) return fail(errc::reply_malformed);
    if (told->name != "server_version") return;
    const auto major = told->value.substr(0, told->value.find_first_not_of("0123456789"));
    major_version_ = number_from<int>(major, 10).value_or(0);
}

void probe::on_ready()
{
    if (phase_ == phase::start) return ask();
    if (question_ == q_recovery && !role_is_known_) return fail(errc::reply_unexpected);
    if (++question_ < question_count) return;
    result_.verdict = verdict::answered;
    is_done_ = true;
}

void probe::ask()
{
    static_assert(questions_since_10.size() == question_count);
    phase_ = phase::questions;
    // A server that doesn't tell its version is a new one, or a proxy in front of one.
    const bool is_old = major_version_ > 0 && major_version_ < 10;
    for (const auto text : is_old ? questions_before_10 : questions_since_10) output_.query(text);
}

void probe::on_row(std::span<const std::byte> body)
{
    std::array<column, 3> row;
    protocol::byte_reader reader(body);
    const std::size_t count = reader.uint16();
    if (count > row.size()) return fail(errc::reply_malformed);
    for (std::size_t i = 0; i < count; ++i) {
        constexpr std::uint32_t null = 0xffff'ffff;
        const auto length = reader.uint32();
        if (length == null) continue;
        row[i] = {.is_null = false, .text = protocol::as_text(reader.take(length))};
    }
    if (reader.finish()) return fail(errc::reply_malformed);
    take_columns(row);
}

void probe::take_columns(std::span<const column> row)
{
    auto& facts = result_.facts;
    switch (question_) {
    case q_recovery:
        if (row[0].text != "t" && row[0].text != "f") return fail(errc::reply_unexpected);
        facts.in_recovery = row[0].text == "t";
        role_is_known_ = true;
        break;
    case q_position: facts.lsn = lsn_from(row[0].text).value_or(0); break;
    case q_history:
        // A bigint there: large identifiers look negative.
        facts.system_identifier =
            static_cast<std::uint64_t>(number_from<std::int64_t>(row[0].text, 10).value_or(0));
        facts.timeline = number_from<std::uint32_t>(row[1].text, 10).value_or(0);
        if (!row[2].is_null) {
            facts.timeline =
                number_from<std::uint32_t>(row[2].text.substr(0, 8), 16).value_or(facts.timeline);
        }
        break;
    case q_receivers:
        if (facts.receivers.size() == receiver_count_max) return fail(errc::reply_too_big);
        facts.receivers.push_back({.application_name = std::string(row[0].text),
                                   .state = std::string(row[1].text),
                                   .sync_state = std::string(row[2].text)});
        break;
    default: fail(errc::reply_unexpected);
    }
}

}  // namespace pgtorii::ha
