// What a session may have left on its links beyond what its record holds is asked of the servers
// before the links change hands: an answer of "nothing" ends a pin.

#include "core/client_session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

namespace pgtorii::core {

using routing::statement_kind;
using runtime::task;

namespace {

/// One row with one text: what was found, a word for each, and a line feed; the settings that were
/// made in the session, the roles, the names that PREPARE has made. Whatever the search_path, these
/// are PostgreSQL's own functions and operators. What a server can't be asked for (the values of
/// sequences, the seed of random(), loaded libraries) keeps its pin.
constexpr std::string_view audit_query =
    "SELECT pg_catalog.concat_ws(', ',"
    " (SELECT 'temporary tables' WHERE EXISTS (SELECT FROM pg_catalog.pg_depend WHERE"
    " refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass AND"
    " refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())),"
    " (SELECT 'LISTEN' WHERE EXISTS (SELECT FROM pg_catalog.pg_listening_channels())),"
    " (SELECT 'advisory locks' WHERE EXISTS (SELECT FROM pg_catalog.pg_locks WHERE"
    " locktype OPERATOR(pg_catalog.=) 'advisory' AND"
    " pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())),"
    " (SELECT 'a cursor WITH HOLD' WHERE EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE"
    " is_holdable)))"
    " OPERATOR(pg_catalog.||) E'\\n' OPERATOR(pg_catalog.||)"
    " pg_catalog.concat_ws(E'\\x01', session_user, current_user,"
    " (SELECT pg_catalog.string_agg(name OPERATOR(pg_catalog.||) '='"
    " OPERATOR(pg_catalog.||) setting, E'\\x02' ORDER BY name) FROM pg_catalog.pg_settings WHERE"
    " source OPERATOR(pg_catalog.=) 'session'))"
    " OPERATOR(pg_catalog.||) E'\\n' OPERATOR(pg_catalog.||)"
    " pg_catalog.concat_ws(E'\\x01', (SELECT pg_catalog.string_agg(name, E'\\x01') FROM"
    " pg_catalog.pg_prepared_statements WHERE from_sql))";

/// The answer in its three parts.
struct audit_answer {
    std::string found;
    std::string settings;
    std::string statements;
};

audit_answer parts_of(const std::string& value)
{
    const auto first = value.find('\n');
    const auto last = value.rfind('\n');
    if (first == std::string::npos || first == last) return {"an unreadable answer", {}, {}};
    return {.found = value.substr(0, first),
            .settings = value.substr(first + 1, last - first - 1),
            .statements = value.substr(last + 1)};
}

/// A statement after which the cause of a pin may be gone.
bool may_end_pin(const routing::statement_facts& facts)
{
    using routing::setting_change;
    const bool unlocks = std::ranges::any_of(facts.functions, [](std::string_view name) {
        return name.find("advisory_unlock") != std::string_view::npos;
    });
    return unlocks || facts.calls_set_config || facts.change == setting_change::reset ||
           facts.change == setting_change::reset_all || facts.kind == statement_kind::ddl ||
           facts.kind == statement_kind::listen || facts.kind == statement_kind::cursor ||
           facts.kind == statement_kind::discard || facts.kind == statement_kind::deallocate;
}

}  // namespace

void client_session::note_audit(const routing::statement_facts& facts)
{
    if (pin_ && may_end_pin(facts)) audit_is_due_ = true;
}

/// Settings whose look in an audit isn't known yet are looked at while they are certainly what the
/// record says.
bool client_session::must_learn_settings()
{
    if (settings_->pin_unknown_functions != config::unknown_function_policy::audit || pin_ ||
        !settings_record_.is_certain() || settings_record_.has_uncommitted()) {
        return false;
    }
    const auto& now = settings_record_.link_settings();
    if (!now || now == learned_settings_) return false;
    if (!home_.audited.find(user(), *now)) return true;
    learned_settings_ = now;
    return false;
}

bool client_session::is_audit_due()
{
    if (!shares_links() || links_.empty() || status() != 'I' || is_in_unit_ ||
        discards_until_sync_ || !std::ranges::all_of(links_, [](const auto& link) {
            return link->ledger.is_idle() && link->status == 'I' && link->cancels_under_way == 0;
        })) {
        return false;
    }
    return (audit_is_due_ && pin_ && !pin_is_lasting_) || must_learn_settings();
}

/// Asks the session's servers what they keep of it. When that is nothing but what the record holds,
/// the pin ends.
task<> client_session::audit_links()
{
    const bool learns = must_learn_settings();
    audit_is_due_ = false;
    if (!settings_record_.is_certain() || settings_record_.has_uncommitted()) co_return;
    const auto settings = settings_record_.link_settings();
    learned_settings_ = settings;
    for (std::size_t i = 0; i < links_.size(); ++i) {
        auto& link = *links_[i];
        const bool is_brought = link.settings_version == settings_record_.version();
        if (!is_brought && learns) continue;
        if (!is_brought && !co_await bring_settings(link)) co_return;
        if (!co_await run_own(link, audit_query)) co_return;
        const auto answer = parts_of(work_->own_value);
        if (learns) {
            home_.audited.learn(user(), *settings, answer.settings);
            co_return;
        }
        if (!answer.found.empty() || has_foreign(link, answer.settings, answer.statements))
            co_return;
    }
    if (learns) co_return;
    unpin();
    has_server_state_ = false;
    tracker_.unpin();
}

/// Settings or prepared statements are on a link that the records do not hold.
bool client_session::has_foreign(const server_link& link, std::string_view settings,
                                 std::string_view statements)
{
    const auto& record = settings_record_.link_settings();
    const auto plain = fmt::format("{0}\x01{0}", user());
    const auto* const wanted = record ? home_.audited.find(user(), *record) : &plain;
    if (!wanted || *wanted != settings) return true;
    while (!statements.empty()) {
        const auto end = statements.find('\x01');
        if (!link.statements.contains(std::string{statements.substr(0, end)})) return true;
        statements.remove_prefix(end == std::string_view::npos ? statements.size() : end + 1);
    }
    return false;
}

}  // namespace pgtorii::core
