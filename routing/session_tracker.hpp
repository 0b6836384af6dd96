#pragma once

#include "routing/decision.hpp"
#include "routing/statement_facts.hpp"
#include "routing/written_tables.hpp"

#include <cstddef>
#include <memory>
#include <string_view>

namespace pgtorii::routing {

class rules;

/// What is known of a single statement besides its text.
struct statement_context {
    const catalog_facts* catalog = nullptr;  ///< Null: the catalog has not been asked.
    /// Of EXECUTE: the facts of the text that made the statement (a PREPARE or a Parse); null: not
    /// known.
    const query_facts* prepared = nullptr;
    /// It goes to a standby, which lets nothing be written: whatever it calls is no write.
    bool is_on_standby = false;
};

/// What routing must remember of a session: how its transaction stands, what was written in it,
/// what keeps its reads on the primary. Fed in the order of the protocol with what is sent to
/// servers, and with what they answer. Units that a standby runs as a reader of the transaction are
/// told of like all others; its status is that of the transaction (T or E). Pure, and small enough
/// to be a member of each session.
///
/// A unit is what ends with one ReadyForQuery: a Query, or extended messages up to their Sync.
/// Calls of one unit: sent() for each text when it is sent (of an extended unit: for each Execute),
/// then completed() for each statement that the server has completed, failed() for an
/// ErrorResponse, then ready(). What is answered locally is no unit.
class session_tracker {
public:
    /// A text is about to be sent.
    void sent(const query_facts& facts, const rules& rules, const statement_context& known = {});
    /// So is something that has no text: a FunctionCall, an Execute of a statement that is not
    /// known. A write of everything.
    void sent_unknown();
    /// A server has completed a statement with this command tag (empty for EmptyQueryResponse); of
    /// COMMIT the tag "ROLLBACK" means that it failed. Only needed when has_session_effects().
    void completed(const statement_facts& facts, std::string_view tag);
    /// A server has answered with an ErrorResponse: what the unit did outside of a transaction is
    /// undone.
    void failed() { unit_.has_failed = true; }
    /// ReadyForQuery with its status: I, T or E.
    void ready(char status);
    /// The server that has the transaction is lost, and with it the transaction.
    void lost_transaction();

    /// What decide() needs to know, as far as the session's history tells. The caller adds what it
    /// alone knows: the catalog's answer, the prepared statement, the node, the time, and whether
    /// the session is bound to its server for other reasons. `written` looks into this object.
    session_traits traits() const;

    char status() const { return status_; }
    bool is_pinned() const { return is_pinned_; }
    /// State that only one server has (temporary tables ...) keeps reads where it is, until the
    /// next DISCARD ALL.
    void pin() { is_pinned_ = true; }
    /// The server says that there is none (any more).
    void unpin() { is_pinned_ = false; }
    /// No standby may join the transaction that is open.
    void keep_transaction() { is_shareable_ = false; }
    /// default_transaction_isolation as the session found it, which RESET brings back. When that is
    /// not known: unspecified.
    void set_start_isolation(isolation level)
    {
        start_isolation_ = default_isolation_ = pending_isolation_ = committed_isolation_ = level;
    }

    // The unit at work, or the last one when the next has not begun.
    bool unit_writes() const { return unit_.writes; }    ///< Something counted as a write.
    bool unit_is_read() const { return unit_.is_read; }  ///< All proven to change nothing.
    bool unit_commits() const { return unit_.commits; }  ///< COMMIT and its like were sent.
    /// The schema may have changed, by the unit or by the transaction that it has ended: what the
    /// catalog said of the database holds no longer.
    bool unit_changes_schema() const { return unit_.changes_schema || ended_ddl_; }

    /// Tables whose writes the last ready() has made visible to others: for written_table_clock.
    /// Kept under disable_load_balance_on_write = dml_adaptive and dml_adaptive_global only.
    const written_tables& published() const;

private:
    struct unit {
        bool is_over = true;
        bool writes = false;
        bool is_read = true;
        bool commits = false;
        bool changes_schema = false;
        bool pins = false;       // an EXECUTE in it may leave session state
        bool has_ended = false;  // a transaction, in this unit
        bool has_failed = false;
        std::size_t statements = 0;
    };

    void begin_unit();
    void note_written(const statement_facts& facts, const rules& rules,
                      const statement_context& context);
    void begin_transaction(const statement_facts& begin);
    void end_transaction(const statement_facts& end, bool is_committed);
    void set_isolation(const statement_facts& facts);
    void settle_default(bool is_committed);

    unit unit_;
    char status_ = 'I';
    bool is_in_block_ = false;  // as of the last statement completed
    bool is_pinned_ = false;

    // The transaction.
    bool is_written_ = false;
    bool has_ddl_ = false;
    bool ended_ddl_ = false;  // the last ready() has ended a transaction with DDL
    bool is_shareable_ = false;
    bool is_plain_ = false;  // its characteristics let a standby join; AND CHAIN keeps them
    isolation isolation_ = isolation::unspecified;

    // The session.
    bool session_written_ = false;
    bool session_transaction_written_ = false;
    isolation start_isolation_ = isolation::unspecified;
    isolation default_isolation_ = isolation::unspecified;
    // The default after a COMMIT, and after a ROLLBACK, of the transaction that is open.
    isolation pending_isolation_ = isolation::unspecified;
    isolation committed_isolation_ = isolation::unspecified;

    struct table_record {
        written_tables written;  // in the transaction
        written_tables of_unit;
        written_tables published;
    };
    table_record& tables();
    std::unique_ptr<table_record> tables_;  // null: none were ever noted
};

/// Whether the session has to be told when a statement of this text is completed.
bool has_session_effects(const query_facts& facts);

}  // namespace pgtorii::routing
