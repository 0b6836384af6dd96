#pragma once

#include "protocol/message.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace pgtorii::protocol {

/// What was sent to a server and has to be answered.
enum class expected_kind : std::uint8_t {
    query,
    parse,
    bind,
    describe_statement,
    describe_portal,
    execute,
    close,
    sync,
    function_call,
};

enum class verdict : std::uint8_t {
    forward,  ///< Belongs to the client.
    swallow,  ///< Answers something that we sent for ourselves.
    misfit,   ///< Can't be: the link has to be closed, and not a byte of it may reach the client.
};

/// What a message of the server means.
struct step {
    verdict what = verdict::misfit;
    bool completes = false;  ///< The oldest expectation is over: `kind` and `tag` say which.
    bool failed = false;     ///< With an ErrorResponse (completes: of the extended protocol).
    bool is_fatal = false;   ///< The server closes the link after this message.
    bool swallowed = false;  ///< The expectation that this message belongs to was ours.
    /// The expectation that this message belongs to; not set for asynchronous messages while
    /// nothing is expected.
    expected_kind kind = expected_kind::query;
    std::uint32_t tag = 0;
    /// So many expectations behind it are over too, without any answer: see reply_ledger::skipped.
    std::uint32_t skipped = 0;
};

/// The replies that one link owes, in order. The session calls expect() for each message that it
/// sends (Flush, CopyData and Terminate need none), copy_ended() for each CopyDone and CopyFail,
/// and on_message() for each message that comes back. Replication (CopyBoth) is not served: a link
/// of such a session keeps no ledger.
///
/// What PostgreSQL does, and this class follows (protocol-flow; src/backend/tcop/postgres.c):
/// - After an error in an extended message the server reads and drops everything, a Query and a
///   FunctionCall too, until a Sync. Those expectations are reported as skipped.
/// - While it takes COPY data, the server ignores Sync and Flush. A Sync that was sent behind an
///   Execute before anybody knew that it is a COPY gets no ReadyForQuery, and is reported as
///   skipped when the COPY ends well. When it fails, the server may have read that Sync before or
///   after the failure ("cannot copy to view" comes after CopyInResponse and before any read), and
///   nothing in its replies tells which: so many ReadyForQuery may or may not come, and the ledger
///   takes both. The next reply of another kind shows that they don't; see may_owe_more().
class reply_ledger {
public:
    /// One expectation: 8 bytes.
    struct entry {
        std::uint32_t tag = 0;
        /// CopyDone and CopyFail that were sent after this message and before the next one.
        std::uint16_t copy_end_count = 0;
        expected_kind kind = expected_kind::query;
        bool swallow = false;
    };
    static_assert(sizeof(entry) == 8);

    /// A message was sent. False: nothing was noted, since the server skips it (an error has been
    /// received, and no Sync sent since).
    bool expect(expected_kind kind, std::uint32_t tag = 0, bool swallow = false);

    /// A CopyDone or CopyFail was sent.
    void copy_ended();

    /// Judges the next message of the server. `body_begin` holds the first bytes of its body: all
    /// of it for ReadyForQuery, at least 64 (or all) for ErrorResponse; it may be empty for others.
    /// After a misfit the ledger must not be used further than to destroy or clear it.
    step on_message(char type, std::span<const std::byte> body_begin)
    {
        // Most of what passes.
        if (type == 'D' && state_ == state::rows) return of_front(false);
        if (type == 'd' && state_ == state::copy_out) return of_front(false);
        return judge(type, body_begin);
    }

    /// The expectations that the last step has skipped, oldest first; only when its `skipped` is
    /// not zero. Valid until the next call that changes the ledger.
    std::span<const entry> skipped() const { return skipped_; }

    /// Expectations, answered in part or not at all. The session bounds it: it stops reading from
    /// its client at some size.
    std::size_t size() const { return size_; }

    /// Nothing is owed for certain, and no extended message waits for its Sync.
    bool is_idle() const { return !unit_open_ && !skipping_ && (size_ == 0 || is_all_optional()); }

    /// Everything that was sent so far has been answered, though a Sync may still have to follow.
    bool is_settled() const { return size_ == 0 || is_all_optional(); }

    /// Idle, but a ReadyForQuery may still come (see above). The next command with a reply settles
    /// it; a link must not be handed on before.
    bool may_owe_more() const { return size_ != 0 && is_all_optional(); }

    /// An extended message was sent and no Sync (nor Query) after it.
    bool awaits_sync() const { return unit_open_ || skipping_; }

    /// The server dropped, or drops, all up to the next Sync, which has not been sent yet.
    bool is_skipping() const { return skipping_; }

    /// The server takes COPY data.
    bool is_copying_in() const { return state_ == state::copy_in; }

    /// A CopyDone or CopyFail was sent behind a message that is not answered yet.
    bool has_copy_end() const;

    /// The oldest expectation. Not while size() is zero.
    const entry& front() const;

    /// Forgets all: the link is new or gone.
    void clear();

private:
    /// How far the oldest expectation has been answered.
    enum class state : std::uint8_t {
        fresh,      ///< Not at all.
        rows,       ///< RowDescription (query) or DataRow (execute) came.
        described,  ///< ParameterDescription came; RowDescription or NoData follows.
        copy_in,    ///< CopyInResponse came.
        copy_out,   ///< CopyOutResponse came.
        copied,     ///< CopyDone came; CommandComplete follows.
        completed,  ///< A command of the query, or the function call, was completed.
        failed,     ///< ErrorResponse came; only ReadyForQuery follows.
    };

    step judge(char type, std::span<const std::byte> body_begin);
    step on_async(char type) const;
    step on_error(std::span<const std::byte> body_begin);
    step on_reply(char type, std::span<const std::byte> body_begin);
    step on_query_reply(char type, std::span<const std::byte> body_begin);
    step on_execute_reply(char type);
    step on_describe_reply(char type);
    step on_function_call_reply(char type, std::span<const std::byte> body_begin);
    step advance(state next);
    step complete_front();
    step complete_sync();
    step fail_unit();
    bool copy_goes_on(char type);
    bool end_copy_in();
    std::size_t early_sync_count() const;
    std::size_t sync_run(std::size_t from) const;
    bool is_all_optional() const;
    void drop_optional();
    void skip_front();

    step of_front(bool completes) const
    {
        const entry& oldest = entries_[head_];
        step made;
        made.what = oldest.swallow ? verdict::swallow : verdict::forward;
        made.completes = completes;
        made.swallowed = oldest.swallow;
        made.kind = oldest.kind;
        made.tag = oldest.tag;
        return made;
    }
    entry& at(std::size_t index) { return entries_[(head_ + index) & (entries_.size() - 1)]; }
    const entry& at(std::size_t index) const
    {
        return entries_[(head_ + index) & (entries_.size() - 1)];
    }
    void pop_front();
    void grow();

    static constexpr std::size_t entry_count_first = 16;
    static constexpr std::size_t entry_count_kept = 1'024;

    std::vector<entry> entries_;  // a ring; its size is zero or a power of two
    std::vector<entry> skipped_;  // by the last step
    std::size_t head_ = 0;
    std::size_t size_ = 0;
    /// Of the Syncs at the head of the queue (behind a failed query), so many may stay unanswered.
    std::uint32_t surplus_ = 0;
    state state_ = state::fresh;
    bool unit_open_ = false;
    bool skipping_ = false;
};

}  // namespace pgtorii::protocol
