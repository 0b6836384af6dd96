#include "protocol/reply_ledger.hpp"

#include "core/base/always_assert.hpp"
#include "protocol/server_messages.hpp"

#include <algorithm>
#include <limits>

namespace pgtorii::protocol {
namespace {

bool is_extended(expected_kind kind)
{
    switch (kind) {
    case expected_kind::parse:
    case expected_kind::bind:
    case expected_kind::describe_statement:
    case expected_kind::describe_portal:
    case expected_kind::execute:
    case expected_kind::close: return true;
    case expected_kind::query:
    case expected_kind::sync:
    case expected_kind::function_call: return false;
    }
    return false;
}

bool is_ready_for_query(char type, std::span<const std::byte> body)
{
    return type == 'Z' && read_ready_for_query(body).has_value();
}

step misfit()
{
    return {};
}

}  // namespace

bool reply_ledger::expect(expected_kind kind, std::uint32_t tag, bool swallow)
{
    if (skipping_ && kind != expected_kind::sync) return false;
    if (size_ == entries_.size()) grow();
    entry& added = at(size_);
    added = entry{};
    added.tag = tag;
    added.kind = kind;
    added.swallow = swallow;
    ++size_;
    skipping_ = false;
    unit_open_ = is_extended(kind);
    return true;
}

void reply_ledger::copy_ended()
{
    // With nothing expected the server is not in a COPY and ignores the message.
    if (size_ == 0) return;
    auto& count = at(size_ - 1).copy_end_count;
    if (count != std::numeric_limits<std::uint16_t>::max()) ++count;
}

bool reply_ledger::has_copy_end() const
{
    for (std::size_t index = 0; index != size_; ++index) {
        if (at(index).copy_end_count != 0) return true;
    }
    return false;
}

const reply_ledger::entry& reply_ledger::front() const
{
    always_assert(size_ != 0);
    return at(0);
}

void reply_ledger::clear()
{
    *this = reply_ledger{};
}

step reply_ledger::judge(char type, std::span<const std::byte> body_begin)
{
    skipped_.clear();
    step made;
    switch (type) {
    case 'N':
    case 'A':
    case 'S': return on_async(type);
    case 'E': made = on_error(body_begin); break;
    default:
        if (type != 'Z') drop_optional();
        if (size_ == 0) return misfit();
        made = on_reply(type, body_begin);
    }
    made.skipped = static_cast<std::uint32_t>(skipped_.size());
    return made;
}

step reply_ledger::on_async(char type) const
{
    if (size_ == 0) {
        step made;
        made.what = verdict::forward;
        return made;
    }
    step made = of_front(false);
    // A notification is never caused by what we send for ourselves.
    if (type == 'A') made.what = verdict::forward;
    return made;
}

step reply_ledger::on_error(std::span<const std::byte> body_begin)
{
    const bool is_fatal = is_fatal_error(body_begin);
    if (size_ == 0) {
        step made;
        made.what = is_fatal ? verdict::forward : verdict::misfit;
        made.is_fatal = is_fatal;
        return made;
    }
    if (is_fatal) {
        step made = of_front(false);
        made.is_fatal = true;
        return made;
    }
    // Alone, a Sync that may be unanswered may also fail: then ReadyForQuery follows.
    if (!is_all_optional()) drop_optional();
    if (is_extended(at(0).kind)) return fail_unit();
    if (state_ == state::copy_in) {
        surplus_ = static_cast<std::uint32_t>(early_sync_count());
    }
    // An error of a Sync (a deferred constraint, say) does not make the server skip anything.
    step made = at(0).kind == expected_kind::sync ? of_front(false) : advance(state::failed);
    made.failed = true;
    return made;
}

step reply_ledger::on_reply(char type, std::span<const std::byte> body_begin)
{
    switch (at(0).kind) {
    case expected_kind::query: return on_query_reply(type, body_begin);
    case expected_kind::parse: return type == '1' ? complete_front() : misfit();
    case expected_kind::bind: return type == '2' ? complete_front() : misfit();
    case expected_kind::describe_statement:
    case expected_kind::describe_portal: return on_describe_reply(type);
    case expected_kind::execute: return on_execute_reply(type);
    case expected_kind::close: return type == '3' ? complete_front() : misfit();
    case expected_kind::sync:
        return is_ready_for_query(type, body_begin) ? complete_sync() : misfit();
    case expected_kind::function_call: return on_function_call_reply(type, body_begin);
    }
    return misfit();
}

step reply_ledger::on_query_reply(char type, std::span<const std::byte> body_begin)
{
    switch (state_) {
    case state::fresh:
    case state::completed:
        if (type == 'T') return advance(state::rows);
        if (type == 'C') return advance(state::completed);
        if (type == 'G') return advance(state::copy_in);
        if (type == 'H') return advance(state::copy_out);
        // A text without any command gets EmptyQueryResponse: ReadyForQuery never comes alone.
        if (type == 'I' && state_ == state::fresh) return advance(state::completed);
        if (state_ == state::completed && is_ready_for_query(type, body_begin)) {
            return complete_front();
        }
        return misfit();
    case state::rows: return type == 'C' ? advance(state::completed) : misfit();
    case state::copy_in:
    case state::copy_out:
    case state::copied:
        if (copy_goes_on(type)) return of_front(false);
        if (type != 'C' || state_ == state::copy_out) return misfit();
        if (state_ == state::copy_in && !end_copy_in()) return misfit();
        return advance(state::completed);
    case state::failed: return is_ready_for_query(type, body_begin) ? complete_front() : misfit();
    case state::described: break;
    }
    return misfit();
}

step reply_ledger::on_execute_reply(char type)
{
    switch (state_) {
    case state::fresh:
        if (type == 'D') return advance(state::rows);
        if (type == 'G') return advance(state::copy_in);
        if (type == 'H') return advance(state::copy_out);
        return type == 'C' || type == 'I' || type == 's' ? complete_front() : misfit();
    case state::rows: return type == 'C' || type == 's' ? complete_front() : misfit();
    case state::copy_in:
    case state::copy_out:
    case state::copied:
        if (copy_goes_on(type)) return of_front(false);
        if (type != 'C' || state_ == state::copy_out) return misfit();
        if (state_ == state::copy_in && !end_copy_in()) return misfit();
        return complete_front();
    case state::described:
    case state::completed:
    case state::failed: break;
    }
    return misfit();
}

step reply_ledger::on_describe_reply(char type)
{
    if (state_ == state::fresh && at(0).kind == expected_kind::describe_statement) {
        return type == 't' ? advance(state::described) : misfit();
    }
    return type == 'T' || type == 'n' ? complete_front() : misfit();
}

step reply_ledger::on_function_call_reply(char type, std::span<const std::byte> body_begin)
{
    if (state_ == state::fresh) return type == 'V' ? advance(state::completed) : misfit();
    return is_ready_for_query(type, body_begin) ? complete_front() : misfit();
}

step reply_ledger::advance(state next)
{
    state_ = next;
    return of_front(false);
}

step reply_ledger::complete_front()
{
    const step made = of_front(true);
    pop_front();
    state_ = state::fresh;
    return made;
}

step reply_ledger::complete_sync()
{
    const step made = complete_front();
    if (surplus_ != 0) {
        // Each ReadyForQuery counts for one that had to come, as long as there is one.
        surplus_ = std::min(surplus_, static_cast<std::uint32_t>(sync_run(0)));
    }
    // It was a Sync that the failed COPY had not swallowed: the unit has ended.
    if (size_ == 0) unit_open_ = false;
    return made;
}

/// The oldest expectation, an extended message, has failed.
step reply_ledger::fail_unit()
{
    const std::size_t early_count = state_ == state::copy_in ? early_sync_count() : 0;
    step made = complete_front();
    made.failed = true;
    if (early_count != 0) {
        surplus_ = static_cast<std::uint32_t>(early_count);
        // All of them may have been swallowed: the server may wait for one more.
        if (early_count == size_) unit_open_ = true;
        return made;
    }
    while (size_ != 0 && at(0).kind != expected_kind::sync) skip_front();
    skipping_ = size_ == 0;
    return made;
}

/// A message in the middle of a COPY to the client.
bool reply_ledger::copy_goes_on(char type)
{
    if (state_ != state::copy_out) return false;
    if (type == 'c') state_ = state::copied;
    return type == 'c' || type == 'd';
}

/// The COPY of the oldest expectation ended well: the server has read everything up to a CopyDone,
/// and ignored the Syncs on its way. False: it can't have, so the message is a misfit.
bool reply_ledger::end_copy_in()
{
    if (at(0).copy_end_count == 0) {
        const std::size_t count = early_sync_count();
        if (count == 0 || at(count).copy_end_count == 0) return false;
        entry copying = at(0);
        copying.copy_end_count = at(count).copy_end_count;
        pop_front();
        for (std::size_t left = count; left > 1; --left) skip_front();
        skipped_.push_back(at(0));
        at(0) = copying;
        // The unit has lost its Sync.
        if (size_ == 1 && copying.kind == expected_kind::execute) unit_open_ = true;
    }
    --at(0).copy_end_count;
    return true;
}

/// Syncs that were sent behind the oldest expectation, which copies in, before its CopyDone. Zero
/// also when another message follows them: read within the COPY it would have ended the link, so
/// the COPY was over before the first of these Syncs was read.
std::size_t reply_ledger::early_sync_count() const
{
    if (at(0).copy_end_count != 0) return 0;
    std::size_t count = 0;
    while (count + 1 < size_) {
        const entry& next = at(count + 1);
        if (next.kind != expected_kind::sync) return 0;
        ++count;
        if (next.copy_end_count != 0) break;
    }
    return count;
}

/// How many Syncs stand in a row, from that place on.
std::size_t reply_ledger::sync_run(std::size_t from) const
{
    std::size_t count = 0;
    while (from + count < size_ && at(from + count).kind == expected_kind::sync) ++count;
    return count;
}

bool reply_ledger::is_all_optional() const
{
    return size_ != 0 && size_ <= surplus_ && sync_run(0) == size_;
}

/// A reply has come that is no ReadyForQuery: the Syncs at the head that may stay unanswered will.
void reply_ledger::drop_optional()
{
    if (surplus_ == 0) return;
    const std::size_t count = sync_run(0);
    if (count == 0 || count > surplus_) return;
    for (std::size_t left = count; left != 0; --left) skip_front();
    surplus_ = 0;
}

void reply_ledger::skip_front()
{
    skipped_.push_back(at(0));
    pop_front();
}

void reply_ledger::pop_front()
{
    always_assert(size_ != 0);
    head_ = (head_ + 1) & (entries_.size() - 1);
    --size_;
    if (size_ == 0 && entries_.size() > entry_count_kept) {
        entries_ = {};
        head_ = 0;
    }
}

void reply_ledger::grow()
{
    std::vector<entry> larger(std::max(entry_count_first, entries_.size() * 2));
    for (std::size_t index = 0; index != size_; ++index) larger[index] = at(index);
    entries_ = std::move(larger);
    head_ = 0;
}

}  // namespace pgtorii::protocol
