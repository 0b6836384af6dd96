#include "routing/session_tracker.hpp"

#include "routing/rules.hpp"

#include <algorithm>

namespace pgtorii::routing {

namespace {

using sk = statement_kind;

bool ends_transaction(statement_kind kind)
{
    return kind == sk::commit || kind == sk::rollback || kind == sk::prepare_transaction;
}

/// What runs when a statement does: of EXECUTE the statement that was prepared; null: not known.
const statement_facts* work_of(const statement_facts& facts, const query_facts* prepared)
{
    if (facts.kind != sk::execute) return &facts;
    if (prepared == nullptr) return nullptr;
    const auto& made = prepared->first();
    if (made.kind != sk::prepare) return &made;
    return made.inner ? &made.inner->first() : nullptr;
}

bool is_standby_level(isolation level)
{
    return level == isolation::unspecified || level == isolation::read_committed;
}

bool keeps_tables(const rules& rules)
{
    using config::write_effect;
    const auto mode = rules.parameters().disable_load_balance_on_write;
    return mode == write_effect::dml_adaptive || mode == write_effect::dml_adaptive_global;
}

}  // namespace

session_tracker::table_record& session_tracker::tables()
{
    if (!tables_) tables_ = std::make_unique<table_record>();
    return *tables_;
}

const written_tables& session_tracker::published() const
{
    static const written_tables none;
    return tables_ ? tables_->published : none;
}

void session_tracker::begin_unit()
{
    if (!unit_.is_over) return;
    unit_ = unit{};
    unit_.is_over = false;
    if (tables_) {
        tables_->of_unit.clear();
        tables_->published.clear();
    }
    is_in_block_ = status_ != 'I';
}

void session_tracker::sent(const query_facts& facts, const rules& rules,
                           const statement_context& known)
{
    begin_unit();
    // Which of several statements an answer is about nobody can tell.
    auto context = known;
    if (facts.is_multi()) {
        context.catalog = nullptr;
        context.prepared = nullptr;
    }
    unit_.statements += facts.statements.size();
    if (!context.is_on_standby &&
        counts_as_write(facts, rules, context.catalog, context.prepared)) {
        unit_.writes = true;
    }
    for (const auto& each : facts.statements) {
        if (each.changes_schema) unit_.changes_schema = true;
        if (each.kind == sk::commit || each.kind == sk::prepare_transaction ||
            each.kind == sk::commit_prepared) {
            unit_.commits = true;
        }
        const auto* const work = work_of(each, context.prepared);
        if (work == nullptr || !work->is_read) unit_.is_read = false;
        if (each.kind == sk::execute && (work == nullptr || work->calls_set_config)) {
            unit_.pins = true;
        }
        if (keeps_tables(rules)) note_written(each, rules, context);
    }
}

void session_tracker::sent_unknown()
{
    begin_unit();
    ++unit_.statements;
    unit_.writes = true;
    unit_.is_read = false;
    tables().of_unit.add_everything();
}

/// routing.md, section 7: what is written, what is tied to it, and what is tied to the functions
/// that are called.
void session_tracker::note_written(const statement_facts& facts, const rules& rules,
                                   const statement_context& context)
{
    const auto* const work = work_of(facts, context.prepared);
    const bool only_describes =
        work != nullptr &&
        (work->kind == sk::prepare || (work->kind == sk::explain && !work->counts_as_write));
    if (only_describes) return;
    if (work == nullptr ||
        (!context.is_on_standby && rules.may_write_unnamed(*work, context.catalog))) {
        tables().of_unit.add_everything();
        return;
    }
    for (const auto& name : work->targets) {
        tables().of_unit.add(name);
        rules.add_related(name, tables_->of_unit);
    }
    for (const auto& name : work->functions) rules.add_related_to_function(name, tables().of_unit);
}

void session_tracker::completed(const statement_facts& facts, std::string_view tag)
{
    if (facts.kind == sk::begin) {
        // A second one is a warning, and forgets nothing; but its modes count as SET TRANSACTION's.
        if (!is_in_block_) {
            begin_transaction(facts);
        } else if (facts.begin_isolation != isolation::unspecified) {
            is_plain_ = is_shareable_ = false;
            isolation_ = facts.begin_isolation;
        }
    } else if (ends_transaction(facts.kind)) {
        end_transaction(facts, facts.kind != sk::rollback && tag != "ROLLBACK");
    } else if (facts.kind == sk::savepoint) {
        is_shareable_ = false;  // a reader would not have it
    } else if (facts.kind == sk::rollback_to_savepoint) {
        // Which of the two the default is now depends on where it was set: the stricter one.
        default_isolation_ = pending_isolation_ =
            std::max(pending_isolation_, committed_isolation_);
    } else if (facts.kind == sk::execute && unit_.pins) {
        is_pinned_ = true;
    }
    set_isolation(facts);
    if (facts.change == setting_change::discard_all) is_pinned_ = false;
    if (facts.creates_temp || facts.calls_set_config || facts.effects_unknown) is_pinned_ = true;
}

void session_tracker::begin_transaction(const statement_facts& begin)
{
    is_in_block_ = true;
    isolation_ = begin.begin_isolation != isolation::unspecified ? begin.begin_isolation
                                                                 : default_isolation_;
    is_plain_ = is_standby_level(isolation_);
    // What else the unit holds is in the transaction too, and only one server has it.
    is_shareable_ = is_plain_ && unit_.statements == 1;
}

void session_tracker::end_transaction(const statement_facts& end, bool is_committed)
{
    if (!is_in_block_ && unit_.statements <= 1) return;  // a warning: there was none
    settle_default(is_committed);
    unit_.has_ended = true;
    is_in_block_ = end.chain;
    if (tables_) {
        if (is_committed) tables_->published.add(tables_->written);
        tables_->written.clear();
    }
    // The next one has the same characteristics.
    is_shareable_ = end.chain && is_plain_ && unit_.statements == 1;
    if (!end.chain) isolation_ = isolation::unspecified;
}

/// What SET and its like say of isolation levels, and what they do to the open transaction.
void session_tracker::set_isolation(const statement_facts& facts)
{
    const bool is_reset =
        facts.change == setting_change::reset_all || facts.change == setting_change::discard_all;
    if (facts.kind == sk::set_transaction && !facts.changes_default_isolation) {
        // READ ONLY and the like change nothing for a reader on a standby; an imported snapshot
        // does.
        const bool is_level = facts.begin_isolation != isolation::unspecified;
        if (is_level || facts.name != "transaction") is_plain_ = is_shareable_ = false;
        if (is_level) isolation_ = facts.begin_isolation;
    } else if (facts.kind == sk::set && facts.name == "transaction_isolation") {
        is_plain_ = is_shareable_ = false;
        if (facts.begin_isolation != isolation::unspecified) isolation_ = facts.begin_isolation;
    }
    // A reader gets what SET and RESET of one setting change, not more.
    if (is_reset) is_shareable_ = false;
    if (facts.changes_default_isolation || is_reset) {
        const bool is_known = facts.begin_isolation != isolation::unspecified;
        default_isolation_ = is_known ? facts.begin_isolation : start_isolation_;
        // SET LOCAL ends with the transaction, however that ends.
        const bool lasts = facts.change != setting_change::set_local;
        if (lasts) pending_isolation_ = default_isolation_;
    }
}

/// The transaction (or the unit outside of one) has ended: the default that was set in it counts,
/// or the one before it does again.
void session_tracker::settle_default(bool is_committed)
{
    if (is_committed) committed_isolation_ = pending_isolation_;
    default_isolation_ = pending_isolation_ = committed_isolation_;
}

void session_tracker::ready(char status)
{
    begin_unit();  // a Sync alone
    const char before = status_;
    const bool was_open = before != 'I';
    const bool is_open = status != 'I';
    if (unit_.writes) {
        session_written_ = true;
        if (was_open || is_open) session_transaction_written_ = true;
    }
    const bool starts_anew = !was_open || unit_.has_ended || !is_open;
    // Others see the change only now, and may have asked the catalog since it was made.
    ended_ddl_ = starts_anew && has_ddl_;
    if (starts_anew) {
        // An ErrorResponse to COMMIT ends the transaction too, and then nothing was completed.
        const bool is_lost = was_open && !is_open && !unit_.has_ended;
        if (tables_ && !is_lost && (!is_open || unit_.has_ended))
            tables_->published.add(tables_->of_unit);
        if (!is_open) {
            settle_default(!is_lost && !unit_.has_failed);
            if (tables_) tables_->written.clear();
            isolation_ = isolation::unspecified;
        }
        is_written_ = false;
        has_ddl_ = false;
    }
    if (is_open) {
        if (!is_in_block_) is_shareable_ = false;  // begun by what nobody has told of
        is_written_ = is_written_ || unit_.writes;
        has_ddl_ = has_ddl_ || unit_.changes_schema;
        if (tables_) tables_->written.add(tables_->of_unit);
    } else {
        is_shareable_ = false;
        is_plain_ = false;
    }
    status_ = status;
    unit_.is_over = true;
}

void session_tracker::lost_transaction()
{
    settle_default(false);
    status_ = 'I';
    is_written_ = has_ddl_ = is_shareable_ = is_plain_ = is_in_block_ = false;
    isolation_ = isolation::unspecified;
    if (tables_) tables_->written.clear();
    unit_.is_over = true;
}

session_traits session_tracker::traits() const
{
    session_traits known;
    known.in_transaction = status_ != 'I';
    known.transaction_failed = status_ == 'E';
    known.transaction_written = is_written_;
    known.transaction_shareable = is_shareable_;
    known.transaction_has_ddl = has_ddl_;
    known.session_written = session_written_;
    known.session_transaction_written = session_transaction_written_;
    known.session_pinned = is_pinned_;
    known.transaction_isolation = isolation_;
    known.default_isolation = default_isolation_;
    static const written_tables none;
    known.written = tables_ ? &tables_->written : &none;
    return known;
}

bool has_session_effects(const query_facts& facts)
{
    return std::any_of(facts.statements.begin(), facts.statements.end(), [](const auto& each) {
        switch (each.kind) {
        case sk::select:
        case sk::insert:
        case sk::update:
        case sk::delete_:
        case sk::merge:
            return each.creates_temp || each.calls_set_config || each.takes_advisory_lock ||
                   each.effects_unknown;
        case sk::empty:
        case sk::show: return false;
        default: return true;
        }
    });
}

}  // namespace pgtorii::routing
