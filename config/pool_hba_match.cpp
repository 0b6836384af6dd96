#include "config/pool_hba.hpp"

#include "config/text.hpp"

#include <algorithm>

// Which record fits. The order of the tests is free, since all of them have to hold; the peer's
// name comes last, so that it is looked up only for a record that it decides.
namespace pgtorii::config {
namespace {

bool is_kind_fit(hba_kind kind, const hba_question& asked)
{
    switch (kind) {
    case hba_kind::local: return asked.is_local;
    case hba_kind::host:
    case hba_kind::hostnogssenc: return !asked.is_local;
    case hba_kind::hostssl: return !asked.is_local && asked.is_encrypted;
    case hba_kind::hostnossl: return !asked.is_local && !asked.is_encrypted;
    case hba_kind::hostgssenc: return false;
    }
    return false;
}

/// For physical replication only the keyword counts, and it counts for nothing else.
bool is_database(const auth_name& name, const hba_question& asked)
{
    using kind = auth_name::kind;
    if (asked.replication == hba_replication::physical) return name.what == kind::replication;
    switch (name.what) {
    case kind::exact: return asked.database == name.text;
    case kind::all: return true;
    case kind::same_user: return asked.database == asked.user;
    case kind::same_role:
        return asked.is_in_role && asked.is_in_role(asked.database).value_or(false);
    case kind::expression: return name.expression->matches(asked.database);
    case kind::replication:
    case kind::member: break;
    }
    return false;
}

bool is_name_fit(const host_name& wanted, std::string_view peer_name)
{
    const auto name = lower_case(peer_name);
    return wanted.text.starts_with('.') ? name.ends_with(wanted.text) : name == wanted.text;
}

enum class fit : std::uint8_t { no, yes, needs_name };

fit address_fit(const hba_record& record, const hba_question& asked)
{
    if (record.kind == hba_kind::local) return fit::yes;
    const auto is_within = [&](auto member_fits) {
        return std::ranges::any_of(asked.interfaces, member_fits) ? fit::yes : fit::no;
    };
    if (const auto* network = std::get_if<ip_network>(&record.address))
        return network->contains(asked.peer) ? fit::yes : fit::no;
    if (std::holds_alternative<same_host>(record.address))
        return is_within([&](const auto& own) { return own.address == asked.peer; });
    if (std::holds_alternative<same_network>(record.address))
        return is_within([&](const auto& own) { return own.network.contains(asked.peer); });
    if (const auto* wanted = std::get_if<host_name>(&record.address)) {
        if (asked.name == hba_question::name_state::not_asked) return fit::needs_name;
        const bool is_fit =
            asked.name == hba_question::name_state::known && is_name_fit(*wanted, asked.peer_name);
        return is_fit ? fit::yes : fit::no;
    }
    return fit::yes;
}

}  // namespace

hba_answer pool_hba::match(const hba_question& asked) const
{
    for (const auto& record : records_) {
        if (!is_kind_fit(record.kind, asked)) continue;
        const auto names_database = [&](const auth_name& name) { return is_database(name, asked); };
        if (std::ranges::none_of(record.databases, names_database)) continue;
        const auto names_user = [&](const auth_name& name) {
            return is_user(name, asked.user, asked.is_in_role);
        };
        if (std::ranges::none_of(record.users, names_user)) continue;
        switch (address_fit(record, asked)) {
        case fit::no: continue;
        case fit::needs_name: return {hba_answer::kind::needs_name, nullptr};
        case fit::yes: return {hba_answer::kind::found, &record};
        }
    }
    return {};
}

}  // namespace pgtorii::config
