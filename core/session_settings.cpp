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
        uncommitted_.push_back({setting_change::none, facts.name, {}});
        if (uncommitted_.size() > entry_count_max) is_certain_ = false;
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
        uncommitted_.push_back(std::move(made));
        if (uncommitted_.size() > entry_count_max) is_certain_ = false;
        return;
    }
    apply(made);
}

bool session_settings::has_uncommitted() const
{
    return std::ranges::any_of(
        uncommitted_, [](const change& each) { return each.kind != setting_change::none; });
}

std::size_t session_settings::transaction_change_count() const
{
    return uncommitted_.size();
}

std::vector<std::string> session_settings::transaction_statements(std::size_t from) const
{
    std::vector<std::string> statements;
    for (auto at = from; at < uncommitted_.size(); ++at) statements.push_back(uncommitted_[at].sql);
    return statements;
}

void session_settings::committed()
{
    for (const auto& each : uncommitted_) {
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
    if (!uncommitted_.empty()) text_settings_are_known_ = false;
    uncommitted_.clear();
    namespace_is_local_ = false;
}

/// RELEASE keeps what was set since the savepoint and forgets it and those inside it; ROLLBACK TO
/// does the reverse.
void session_settings::leave_savepoint(const std::string& name, bool keeps_changes)
{
    auto at = uncommitted_.size();
    while (at > 0 && !(uncommitted_[at - 1].kind == setting_change::none &&
                       uncommitted_[at - 1].name == name))
        --at;
    if (at == 0) {
        // A savepoint that nobody saw being set (more of them than are kept).
        if (!uncommitted_.empty()) is_certain_ = false;
        return;
    }
    const auto mark = uncommitted_.begin() + static_cast<std::ptrdiff_t>(at - 1);
    text_settings_are_known_ = false;
    if (!keeps_changes) {
        uncommitted_.erase(mark + 1, uncommitted_.end());
        return;
    }
    const auto kept = std::remove_if(mark, uncommitted_.end(), [](const change& each) {
        return each.kind == setting_change::none;
    });
    uncommitted_.erase(kept, uncommitted_.end());
}

void session_settings::apply(const change& what)
{
    ++version_;
    const bool names_one = what.kind == setting_change::set || what.kind == setting_change::reset;
    if (!names_one || is_of_namespace(what.name)) namespace_.reset();
    if (!names_one || is_of_texts(what.name)) text_settings_are_known_ = false;
    switch (what.kind) {
    case setting_change::none:
    case setting_change::set_local: return;
    case setting_change::discard_all:
        entries_.clear();
        discarded_at_ = version_;
        is_certain_ = true;
        return;
    case setting_change::reset_all: {
        // RESET ALL leaves the role and the session user alone.
        std::erase_if(entries_, [](const auto& each) {
            return each.first != "role" && each.first != "session_authorization";
        });
        entries_["reset all"] = {version_, what.sql, true};
        return;
    }
    case setting_change::set:
    case setting_change::reset:
        // SET SESSION AUTHORIZATION also resets the role.
        if (what.name == "session_authorization") entries_.erase("role");
        // Each SET SESSION CHARACTERISTICS names some of them only: all are kept.
        entries_[what.name == "session characteristics" ? what.sql : what.name] = {
            version_, what.sql, what.kind == setting_change::reset};
        if (entries_.size() > entry_count_max) is_certain_ = false;
        return;
    }
}

std::vector<std::string> session_settings::statements_after(std::uint64_t version) const
{
    std::vector<const entry*> missing;
    for (const auto& [name, each] : entries_) {
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
    for (const auto& [name, each] : entries_) {
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
    for (const auto& [name, each] : entries_) {
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
    const auto found = entries_.find("search_path");
    if (found != entries_.end() && !found->second.is_reset) sql = found->second.sql;
    for (const auto& each : uncommitted_) {
        if (each.kind == setting_change::reset_all) sql.clear();
        if (each.name == "search_path") sql = each.kind == setting_change::reset ? "" : each.sql;
    }
    return sql;
}

const session_settings::text_settings_ptr& session_settings::text_settings_now()
{
    if (std::exchange(text_settings_are_known_, true)) return text_settings_;
    text_settings found;
    for (const auto& [name, each] : entries_) {
        if (is_of_texts(name) && !each.is_reset) found.emplace(name, each.sql);
    }
    for (const auto& each : uncommitted_) {
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
    return std::ranges::none_of(uncommitted_, [](const change& each) {
        return each.kind == setting_change::reset_all ||
               (each.kind != setting_change::none && is_of_namespace(each.name));
    });
}

}  // namespace pgtorii::core
