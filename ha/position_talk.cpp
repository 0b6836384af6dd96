#include "ha/position_talk.hpp"

#include "core/base/always_assert.hpp"
#include "ha/error.hpp"
#include "ha/number_text.hpp"

#include <array>
#include <string_view>
#include <utility>

namespace pgtorii::ha {
namespace {

struct question_texts {
    std::string_view of_primary;
    std::string_view of_standby;
};

// Position, timeline, and of the primary what page_start_of needs. The insert position, not the
// flushed one: with synchronous_commit = off a commit is visible before it is flushed. A standby
// follows the timeline that its walreceiver gets; without one (an archive) the last restartpoint's,
// which may lag behind and then only costs reads. One that is no standby any more has no replay
// position.
constexpr question_texts texts_since_10 = {
    "SELECT l, w.file_name, w.file_offset, pg_catalog.current_setting('wal_block_size')"
    " FROM pg_catalog.pg_current_wal_insert_lsn() l, pg_catalog.pg_walfile_name_offset(l) w",
    "SELECT pg_catalog.pg_last_wal_replay_lsn(), COALESCE((SELECT received_tli"
    " FROM pg_catalog.pg_stat_wal_receiver), (SELECT timeline_id"
    " FROM pg_catalog.pg_control_checkpoint())) WHERE pg_catalog.pg_is_in_recovery()",
};
constexpr question_texts texts_before_10 = {
    "SELECT l, w.file_name, w.file_offset, pg_catalog.current_setting('wal_block_size')"
    " FROM pg_catalog.pg_current_xlog_insert_location() l, pg_catalog.pg_xlogfile_name_offset(l) w",
    "SELECT pg_catalog.pg_last_xlog_replay_location(), COALESCE((SELECT received_tli"
    " FROM pg_catalog.pg_stat_wal_receiver), (SELECT timeline_id"
    " FROM pg_catalog.pg_control_checkpoint())) WHERE pg_catalog.pg_is_in_recovery()",
};

/// An insert position right behind the header of a page, where nothing has been written yet, stands
/// for the end of the last record, at the start of that page: there replay stops. Without this a
/// floor behind the header would be reached only when the primary writes again.
/// Source: PostgreSQL, access/xlog_internal.h (the first page of a segment has the long header).
std::uint64_t page_start_of(std::uint64_t lsn, std::uint32_t segment_offset, std::uint32_t page)
{
    constexpr std::uint32_t short_header = 24;
    constexpr std::uint32_t long_header = 40;
    if (segment_offset == long_header) return lsn - long_header;
    if (page > long_header && segment_offset > page && segment_offset % page == short_header) {
        return lsn - short_header;
    }
    return lsn;
}

std::optional<causal_board::floor> position_of_primary(std::span<const reply_column> row)
{
    const auto lsn = lsn_from(row[0].text);
    const auto timeline = timeline_from(row[1].text);
    const auto offset = number_from<std::uint32_t>(row[2].text, 10);
    const auto page = number_from<std::uint32_t>(row[3].text, 10);
    if (!lsn || !timeline || *timeline == 0 || !offset || !page || *offset > *lsn) return {};
    return causal_board::floor{.lsn = page_start_of(*lsn, *offset, *page), .timeline = *timeline};
}

std::optional<causal_board::floor> position_of_standby(std::span<const reply_column> row)
{
    const auto lsn = lsn_from(row[0].text);
    const auto timeline = number_from<std::uint32_t>(row[1].text, 10);
    if (!lsn || !timeline || *timeline == 0) return {};
    return causal_board::floor{.lsn = *lsn, .timeline = *timeline};
}

}  // namespace

position_talk::position_talk(check_login login) : login_(std::move(login), output_) {}

void position_talk::ask(bool of_primary)
{
    always_assert(state_ == state::idle);
    const auto& texts = login_.is_older_than_10() ? texts_before_10 : texts_since_10;
    output_.query(of_primary ? texts.of_primary : texts.of_standby);
    asks_primary_ = of_primary;
    position_.reset();
    state_ = state::asking;
}

void position_talk::on_bytes(std::span<const std::byte> bytes)
{
    if (state_ == state::failed) return;
    const auto failure = frames_.feed(bytes, [this](char type, std::span<const std::byte> body) {
        return on_message(type, body);
    });
    if (failure) fail(failure);
}

void position_talk::on_end()
{
    if (state_ != state::failed) fail(errc::connection_lost);
}

void position_talk::fail(error_code why)
{
    failure_ = why;
    position_.reset();
    state_ = state::failed;
}

bool position_talk::on_message(char type, std::span<const std::byte> body)
{
    if (state_ == state::logging_in)
        on_login_message(type, body);
    else
        on_answer_message(type, body);
    return state_ != state::failed;
}

void position_talk::on_login_message(char type, std::span<const std::byte> body)
{
    switch (login_.on_message(type, body)) {
    case server_login::outcome::pending: return;
    case server_login::outcome::ready: state_ = state::idle; return;
    case server_login::outcome::refused:
    case server_login::outcome::failed: return fail(login_.failure());
    }
}

void position_talk::on_answer_message(char type, std::span<const std::byte> body)
{
    const bool is_asking = state_ == state::asking;
    switch (type) {
    case 'N':
    case 'A':
    case 'S': return;
    case 'E':
        // Out of turn it can only be a goodbye.
        if (!is_asking || protocol::read_error(body).is_fatal()) return fail(errc::server_refused);
        position_.reset();
        return;
    case 'T':
    case 'C':
        if (is_asking) return;
        break;
    case 'D':
        if (is_asking) return on_row(body);
        break;
    case 'Z':
        if (!is_asking) break;
        state_ = state::idle;
        return;
    default: break;
    }
    fail(errc::reply_unexpected);
}

void position_talk::on_row(std::span<const std::byte> body)
{
    std::array<reply_column, 4> row;
    if (const auto failure = read_columns(body, row)) return fail(failure);
    position_ = asks_primary_ ? position_of_primary(row) : position_of_standby(row);
}

}  // namespace pgtorii::ha
