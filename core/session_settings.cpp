#include "core/session_settings.hpp"

#include <algorithm>

namespace pgtorii::core {

using routing::setting_change;
using routing::statement_kind;

void session_settings::completed(const routing::statement_facts& facts, std::string_view text,
                                 bool in_transaction)
{
    if (facts.kind == statement_kind::rollback_to_savepoint) {
        // Which of the settings since BEGIN stood before the savepoint is not recorded.
        if (!uncommitted_.empty()) is_certain_ = false;
        return;
    }
    if (facts.change == setting_change::none || facts.change == setting_change::set_local) return;
    if (text.size() > text_bytes_max) {
        is_certain_ = false;
        return;
    }
    change made{facts.change, facts.name, std::string{text}};
    if (facts.change == setting_change::reset) made.sql = std::string{text};
    if (in_transaction && facts.change != setting_change::discard_all) {
        uncommitted_.push_back(std::move(made));
        if (uncommitted_.size() > entry_count_max) is_certain_ = false;
        return;
    }
    apply(made);
}

void session_settings::committed()
{
    for (const auto& each : uncommitted_) apply(each);
    uncommitted_.clear();
}

void session_settings::rolled_back() { uncommitted_.clear(); }

void session_settings::apply(const change& what)
{
    ++version_;
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
        entries_["reset all"] = {version_, what.sql};
        return;
    }
    case setting_change::set:
    case setting_change::reset:
        // SET SESSION AUTHORIZATION also resets the role.
        if (what.name == "session_authorization") entries_.erase("role");
        entries_[what.name] = {version_, what.sql};
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

}  // namespace pgtorii::core
