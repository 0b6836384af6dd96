#include "core/session_settings.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace pgtorii::core {

using routing::setting_change;
using routing::statement_kind;

namespace {

/// Settings that decide what a name means.
bool is_of_namespace(std::string_view name)
{
    return name == "search_path" || name == "role" || name == "session_authorization" ||
           name == "client_encoding";
}

/// Settings that decide what a text means when it is parsed: constants become values then, and stay
/// so in a prepared statement.
bool is_of_texts(std::string_view name)
{
    constexpr std::array<std::string_view, 12> names{
        "datestyle",       "intervalstyle", "timezone",
        "client_encoding", "xmloption",     "standard_conforming_strings",
        "backslash_quote", "array_nulls",   "transform_null_equals",
        "lc_monetary",     "lc_time",       "default_text_search_config"};
    return std::ranges::find(names, name) != names.end();
}

}  // namespace

void session_settings::completed(const routing::statement_facts& facts, std::string_view text,
                                 bool in_transaction)
{
    switch (facts.kind) {
    case statement_kind::savepoint:
        note_uncommitted({setting_change::none, facts.name, {}});
        return;
    case statement_kind::release_savepoint: leave_savepoint(facts.name, true); return;
    case statement_kind::rollback_to_savepoint: leave_savepoint(facts.name, false); return;
    default: break;
    }
    if (facts.change == setting_change::set_local && is_of_namespace(facts.name)) {
        namespace_is_local_ = true;
    }
    const bool is_local = facts.change == setting_change::set_local;
    if (facts.change == setting_change::none || (is_local && !in_transaction)) return;
    if (text.size() > text_bytes_max) {
        is_certain_ = false;
        return;
    }
    change made{facts.change, facts.name, std::string{text}};
    if (in_transaction && facts.change != setting_change::discard_all) {
        text_settings_are_known_ = false;
        note_uncommitted(std::move(made));
        return;
    }
    apply(made);
}

const session_settings::record& session_settings::kept() const
{
    static const record nothing;
    return record_ ? *record_ : nothing;
}

session_settings::record& session_settings::changeable()
{
    if (!record_) record_ = std::make_unique<record>();
    return *record_;
}

void session_settings::note_uncommitted(change&& made)
{
    auto& changes = changeable().uncommitted;
    changes.push_back(std::move(made));
    if (changes.size() > entry_count_max) is_certain_ = false;
}

bool session_settings::has_uncommitted() const
{
    return std::ranges::any_of(
        kept().uncommitted, [](const change& each) { return each.kind != setting_change::none; });
}

std::size_t session_settings::transaction_change_count() const
{
    return kept().uncommitted.size();
}

std::vector<std::string> session_settings::transaction_statements(std::size_t from) const
{
    std::vector<std::string> statements;
    const auto& changes = kept().uncommitted;
    for (auto at = from; at < changes.size(); ++at) statements.push_back(changes[at].sql);
    return statements;
}

void session_settings::committed()
{
    for (const auto& each : kept().uncommitted) {
        if (each.kind != setting_change::set_local) apply(each);
    }
    end_transaction();
}

void session_settings::rolled_back()
{
    end_transaction();
}

void session_settings::end_transaction()
{
    if (!kept().uncommitted.empty()) {
        text_settings_are_known_ = false;
        record_->uncommitted.clear();
    }
    namespace_is_local_ = false;
}

/// RELEASE keeps what was set since the savepoint and forgets it and those inside it; ROLLBACK TO
/// does the reverse.
void session_settings::leave_savepoint(const std::string& name, bool keeps_changes)
{
    auto& changes = changeable().uncommitted;
    auto at = changes.size();
    while (at > 0 &&
           !(changes[at - 1].kind == setting_change::none && changes[at - 1].name == name))
        --at;
    if (at == 0) {
        // A savepoint that nobody saw being set (more of them than are kept).
        if (!changes.empty()) is_certain_ = false;
        return;
    }
    const auto mark = changes.begin() + static_cast<std::ptrdiff_t>(at - 1);
    text_settings_are_known_ = false;
    if (!keeps_changes) {
        changes.erase(mark + 1, changes.end());
        return;
    }
    const auto left = std::remove_if(
        mark, changes.end(), [](const change& each) { return each.kind == setting_change::none; });
    changes.erase(left, changes.end());
}

void session_settings::apply(const change& what)
{
    ++version_;
    const bool names_one = what.kind == setting_change::set || what.kind == setting_change::reset;
    if (!names_one || is_of_namespace(what.name)) namespace_.reset();
    if (!names_one || is_of_texts(what.name)) text_settings_are_known_ = false;
    auto& entries = changeable().entries;
    switch (what.kind) {
    case setting_change::none:
    case setting_change::set_local: return;
    case setting_change::discard_all:
        entries.clear();
        discarded_at_ = version_;
        is_certain_ = true;
        return;
    case setting_change::reset_all: {
        // RESET ALL leaves the role and the session user alone.
        std::erase_if(entries, [](const auto& each) {
            return each.first != "role" && each.first != "session_authorization";
        });
        entries["reset all"] = {version_, what.sql, true};
        return;
    }
    case setting_change::set:
    case setting_change::reset:
        // SET SESSION AUTHORIZATION also resets the role.
        if (what.name == "session_authorization") entries.erase("role");
        // Each SET SESSION CHARACTERISTICS names some of them only: all are kept.
        entries[what.name == "session characteristics" ? what.sql : what.name] = {
            version_, what.sql, what.kind == setting_change::reset};
        if (entries.size() > entry_count_max) is_certain_ = false;
        return;
    }
}

std::vector<std::string> session_settings::statements_after(std::uint64_t version) const
{
    std::vector<const entry*> missing;
    for (const auto& [name, each] : kept().entries) {
        if (each.version > version) missing.push_back(&each);
    }
    std::ranges::sort(missing, {}, [](const entry* each) { return each->version; });
    std::vector<std::string> statements;
    if (discarded_at_ > version) statements.emplace_back("DISCARD ALL");
    for (const auto* each : missing) statements.push_back(each->sql);
    return statements;
}

std::vector<std::string> session_settings::namespace_statements() const
{
    // RESET needs no statement: a fresh link is as it leaves things, and what came before it is
    // forgotten here.
    std::vector<const entry*> deciding;
    for (const auto& [name, each] : kept().entries) {
        if (is_of_namespace(name) && !each.is_reset) deciding.push_back(&each);
    }
    std::ranges::sort(deciding, {}, [](const entry* each) { return each->version; });
    std::vector<std::string> statements;
    for (const auto* each : deciding) statements.push_back(each->sql);
    return statements;
}

const session_settings::link_settings_ptr& session_settings::link_settings()
{
    if (link_settings_version_ == version_) return link_settings_;
    link_settings_version_ = version_;
    link_settings_.reset();
    std::vector<std::pair<std::uint64_t, setting>> found;
    for (const auto& [name, each] : kept().entries) {
        if (!each.is_reset) found.push_back({each.version, {name, each.sql}});
    }
    if (found.empty()) return link_settings_;
    std::ranges::sort(found, {}, [](const auto& each) { return each.first; });
    auto made = std::make_shared<std::vector<setting>>();
    for (auto& each : found) made->push_back(std::move(each.second));
    link_settings_ = std::move(made);
    return link_settings_;
}

std::vector<std::string> session_settings::statements_between(const link_settings_ptr& from,
                                                              const link_settings_ptr& to)
{
    std::vector<std::string> statements;
    static const std::vector<setting> none;
    const auto& there = from ? *from : none;
    const auto& wanted = to ? *to : none;
    if (from == to || there == wanted) return statements;
    // What was set in the same order is there; anything else may depend on what has to go.
    const bool is_start =
        there.size() <= wanted.size() && std::equal(there.begin(), there.end(), wanted.begin());
    if (!is_start) {
        // RESET ALL leaves the identity alone; and another one may not be allowed what follows.
        const auto is_of_identity = [](const setting& each) {
            return each.name == "role" || each.name == "session_authorization";
        };
        if (std::ranges::any_of(there, is_of_identity)) {
            statements.emplace_back("RESET SESSION AUTHORIZATION");
            statements.emplace_back("RESET ROLE");
        }
        statements.emplace_back("RESET ALL");
    }
    for (auto at = is_start ? there.size() : 0; at < wanted.size(); ++at)
        statements.push_back(wanted[at].sql);
    return statements;
}

std::string session_settings::search_path_now() const
{
    std::string sql;
    const auto found = kept().entries.find("search_path");
    if (found != kept().entries.end() && !found->second.is_reset) sql = found->second.sql;
    for (const auto& each : kept().uncommitted) {
        if (each.kind == setting_change::reset_all) sql.clear();
        if (each.name == "search_path") sql = each.kind == setting_change::reset ? "" : each.sql;
    }
    return sql;
}

const session_settings::text_settings_ptr& session_settings::text_settings_now()
{
    if (std::exchange(text_settings_are_known_, true)) return text_settings_;
    text_settings found;
    for (const auto& [name, each] : kept().entries) {
        if (is_of_texts(name) && !each.is_reset) found.emplace(name, each.sql);
    }
    for (const auto& each : kept().uncommitted) {
        if (each.kind == setting_change::reset_all) found.clear();
        if (!is_of_texts(each.name)) continue;
        if (each.kind == setting_change::reset)
            found.erase(each.name);
        else
            found.insert_or_assign(each.name, each.sql);
    }
    text_settings_ = found.empty() ? nullptr : std::make_shared<text_settings>(std::move(found));
    return text_settings_;
}

std::vector<std::string> session_settings::statements_between(const text_settings_ptr& from,
                                                              const text_settings_ptr& to)
{
    std::vector<std::string> statements;
    if (from == to) return statements;
    static const text_settings none;
    const auto& left = from ? *from : none;
    const auto& wanted = to ? *to : none;
    for (const auto& [name, sql] : left) {
        if (!wanted.contains(name)) statements.push_back("RESET " + name);
    }
    for (const auto& [name, sql] : wanted) {
        const auto before = left.find(name);
        if (before == left.end() || before->second != sql) statements.push_back(sql);
    }
    return statements;
}

bool session_settings::has_certain_namespace() const
{
    if (!is_certain_ || namespace_is_local_) return false;
    return std::ranges::none_of(kept().uncommitted, [](const change& each) {
        return each.kind == setting_change::reset_all ||
               (each.kind != setting_change::none && is_of_namespace(each.name));
    });
}

}  // namespace pgtorii::core
