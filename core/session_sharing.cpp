// Pool modes in which sessions share links: a link goes back at the end of each transaction, with
// the record of what it has, unless something on it binds the session to it.

#include "core/client_session.hpp"

#include "protocol/message.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace pgtorii::core {

using routing::statement_kind;

namespace {

bool names_any(const std::vector<std::string>& names, std::string_view wanted)
{
    return std::ranges::any_of(names, [wanted](std::string_view each) {
        const auto dot = each.rfind('.');
        return each.substr(dot == std::string_view::npos ? 0 : dot + 1) == wanted;
    });
}

/// UPDATE pg_settings is SET.
bool writes_settings(const routing::statement_facts& facts)
{
    return names_any(facts.targets, "pg_settings");
}

/// Builtin functions whose effect stays with the server's session, and which no other fact tells.
const char* state_keeper(const routing::statement_facts& facts)
{
    if (facts.change == routing::setting_change::set && facts.name == "seed") {
        return "the seed of random()";
    }
    if (names_any(facts.functions, "setseed")) return "the seed of random()";
    constexpr std::array<std::string_view, 9> keepers{"pg_backup_start",
                                                      "pg_start_backup",
                                                      "pg_create_physical_replication_slot",
                                                      "pg_create_logical_replication_slot",
                                                      "pg_copy_physical_replication_slot",
                                                      "pg_copy_logical_replication_slot",
                                                      "pg_replication_origin_session_setup",
                                                      "pg_replication_origin_xact_setup",
                                                      "pg_replication_origin_session_reset"};
    const bool keeps = std::ranges::any_of(
        keepers, [&](std::string_view each) { return names_any(facts.functions, each); });
    return keeps ? "a function whose effect stays with its session" : nullptr;
}

}  // namespace

/// Binds the session to its links. Noted when something is sent, since even a statement that fails
/// may leave its lock.
void client_session::pin(const char* why, pin_end until)
{
    if (!shares_links()) return;
    unit_pins_ = true;
    audit_is_due_ = true;  // a statement that fails, or ends at once what it does, leaves nothing
    if (until == pin_end::discard) pin_is_lasting_ = true;
    if (pin_) return;
    pin_ = why;
    home_.services.pins.add({home_.loop.index(), id_},
                            {.user = std::string{user()},
                             .database = std::string{database()},
                             .application_name = std::string{application_name()},
                             .client = fmt::format("{}({})", peer_host_, peer_port_),
                             .why = why,
                             .since = std::chrono::system_clock::now()});
}

void client_session::unpin()
{
    pin_is_lasting_ = false;
    if (std::exchange(pin_, nullptr)) home_.services.pins.remove({home_.loop.index(), id_});
}

/// Calls `look` with what a statement runs: itself, and the prepared statements that it names. A
/// name that isn't known here means nothing on the server either.
template <class Look>
void client_session::look_at_parts(const routing::statement_facts& facts, Look look,
                                   int depth) const
{
    constexpr int depth_max = 10;  // of statements that execute others
    look(facts);
    if (depth == depth_max) return;
    const auto look_at = [&](const routing::query_facts_ptr& made) {
        const auto content = made ? routing::content_of(made) : nullptr;
        if (!content) return;
        for (const auto& each : content->statements) look_at_parts(each, look, depth + 1);
    };
    const auto look_at_named = [&](const std::string& name) {
        if (const auto made = statement_named(name)) look_at(made->facts);
    };
    if (facts.inner) look_at(facts.inner);
    if (facts.kind == statement_kind::execute) look_at_named(facts.name);
    for (const auto& name : facts.executed) look_at_named(name);
}

client_session::pin_end client_session::end_of_unknown() const
{
    const bool is_asked =
        settings_->pin_unknown_functions == config::unknown_function_policy::audit;
    return is_asked ? pin_end::audit : pin_end::discard;
}

/// What a statement that goes to a server may leave there.
void client_session::note_pins(const routing::statement_facts& facts,
                               const routing::catalog_facts* catalog, bool is_parsed)
{
    if (!shares_links()) return;
    const bool pins_functions =
        settings_->pin_unknown_functions != config::unknown_function_policy::trust;
    const auto of_function = end_of_unknown();
    const bool is_harmless = catalog != nullptr && !catalog->calls_volatile_function;
    look_at_parts(facts, [&](const routing::statement_facts& each) {
        if (each.uses_sequence_state) pin("sequence functions");
        if (each.takes_advisory_lock) pin("advisory locks", pin_end::audit);
        if (each.calls_set_config || writes_settings(each)) pin("set_config()", pin_end::audit);
        if (const char* const why = state_keeper(each)) pin(why);
        if (each.calls_unknown_function) {
            if (pins_functions && !is_harmless) pin("a function of users", of_function);
        } else if (each.writes_unknown && is_parsed) {
            pin("a statement that may have any effect", of_function);
        }
        note_audit(each);
    });
}

bool client_session::uses_sequences(const routing::query_facts& facts) const
{
    if (facts.is_stateless) return false;
    return std::ranges::any_of(facts.statements, [this](const auto& statement) {
        bool is_used = false;
        look_at_parts(statement, [&](const auto& each) { is_used |= each.uses_sequence_state; });
        return is_used;
    });
}

/// currval() and lastval() tell what other sessions have done on a link that they had before; but
/// not after this one has written there, when they may tell of its own INSERT.
bool client_session::uses_foreign_sequences(const server_link& link) const
{
    if (!shares_links() || link.sequences_of == id_ || !work_->facts) return false;
    return uses_sequences(*work_->facts);
}

bool client_session::uses_foreign_sequences(const server_link& link, const unit_item& item) const
{
    if (!shares_links() || link.sequences_of == id_ || !item.statement || !item.statement->facts ||
        status() == 'E') {
        return false;
    }
    return uses_sequences(*item.statement->facts);
}

/// Statements of other sessions are on the link, under names that a text of this one means, or may
/// mean, or it lists them all.
bool client_session::shows_foreign_statements(const server_link& link,
                                              const routing::query_facts& facts) const
{
    if (!shares_links() || link.statements.empty() || !facts.names_statements) return false;
    const auto is_foreign = [this](const std::string& name, const placed_statement& there) {
        if (name.empty()) return false;  // of the unnamed one SQL knows nothing
        const auto known = prepared_.find(name);
        if (known && known->id == there.id) return false;
        const auto made = work_->new_statements.find(name);
        return made == work_->new_statements.end() || made->second->id != there.id;
    };
    const auto means_foreign = [&](const std::string& name) {
        const auto there = link.statements.find(name);
        return there != link.statements.end() && is_foreign(name, there->second);
    };
    bool shows_any = false;
    bool means_all = false;
    const auto look = [&](const routing::statement_facts& each) {
        const bool is_deallocate = each.kind == statement_kind::deallocate;
        means_all |= each.effects_unknown || each.lists_statements || each.runs_texts ||
                     (is_deallocate && (each.name.empty() || each.name == "all"));
        const bool names_one = is_deallocate || each.kind == statement_kind::execute ||
                               each.kind == statement_kind::prepare;
        shows_any |= (names_one && means_foreign(each.name)) ||
                     std::ranges::any_of(each.executed, means_foreign);
    };
    for (const auto& each : facts.statements) look_at_parts(each, look);
    if (!means_all) return shows_any;
    return std::ranges::any_of(
        link.statements, [&](const auto& there) { return is_foreign(there.first, there.second); });
}

/// They go, in the middle of a unit; what the session has itself is brought when it is needed.
void client_session::hide_foreign_statements_within(server_link& link)
{
    run_within(link, "DEALLOCATE ALL", brought_tag);
    write_link(link, home_.replies.bytes());
    home_.replies.clear();
    link.note_all_closed();
}

/// What they would tell is forgotten, in the middle of a unit.
void client_session::claim_sequences_within(server_link& link)
{
    run_within(link, "DISCARD SEQUENCES", brought_tag);
    write_link(link, home_.replies.bytes());
    home_.replies.clear();
    link.claim_sequences(id_);
}

/// Nothing of the session is on its links that a record does not hold.
bool client_session::may_share() const
{
    return shares_links() && has_turn_ && !links_.empty() && status() == 'I' && !is_in_unit_ &&
           !has_server_state_ && !pin_ && !tracker_.is_pinned() && !discards_until_sync_ &&
           settings_record_.is_certain() && !settings_record_.has_uncommitted() &&
           settings_->connection_cache && !is_template_database(database());
}

bool client_session::may_share(const server_link& link) const
{
    return link.status == 'I' && !link.is_spoiled && !link.is_lost && !link.in_shared_transaction &&
           link.ledger.is_idle() && !link.ledger.may_owe_more() && link.cancels_under_way == 0 &&
           link.output.is_empty() && link.carry.empty() && link.skip_bytes == 0 &&
           link.transport.is_open() && !link.transport.is_readable() && !link.is_message_cut;
}

/// What has run may have been a statement that isn't known: the tracker has found that out.
void client_session::note_hidden_pin()
{
    if (!pin_ && tracker_.is_pinned())
        pin("a statement that may have any effect", end_of_unknown());
}

/// The session has nothing to do: its links go to whoever has.
void client_session::share_links()
{
    if (links_.empty() && has_turn_ && shares_links() && status() == 'I' && !is_in_unit_) {
        // It got no link, or has lost it, and what it was pinned for with it.
        unpin();
        return_turn();
        return;
    }
    // What a link has been prepared with by many sessions, before it starts anew.
    constexpr std::size_t statement_count_max = 500;
    if (!may_share()) return;
    for (auto& link : links_) {
        if (!may_share(*link)) return;
        if (link->statements.size() > statement_count_max) {
            send_own_query(*link, "DEALLOCATE ALL");
            link->statements.clear();
            return;  // its answer comes, and this is tried again
        }
    }
    for (auto& link : links_) {
        link->names_to_close.clear();
        link->settings_version = server_link::unknown_version;
        link->last_holder = {home_.loop.index(), id_};
        link->transaction_settings = 0;
    }
    has_turn_ = false;
    home_.idle.put(*pool_, std::move(links_), home_.loop.now());
    links_.clear();
}

/// pool_mode = statement has no transactions of several statements. True: the client has been told.
bool client_session::refuses_transaction()
{
    if (mode_ != config::pool_mode::statement || status() == 'I') return false;
    send_fatal({.sqlstate = "0A000",
                .message = "transaction blocks are not allowed in statement pooling mode"});
    return true;
}

}  // namespace pgtorii::core
