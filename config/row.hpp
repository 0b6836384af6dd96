#pragma once

#include "config/parameter.hpp"
#include "config/words.hpp"

#include <chrono>
#include <type_traits>
#include <utility>

/// Builds rows of the parameter table out of members of `settings`: kind, unit and list separator
/// follow from the member's type. Only the tables include it.
namespace pgtorii::config {

template <class T>
inline constexpr bool is_duration = false;
template <class Rep, class Period>
inline constexpr bool is_duration<std::chrono::duration<Rep, Period>> = true;

using patterns_ptr = std::shared_ptr<const pattern_list>;
using redirects_ptr = std::shared_ptr<const redirect_list>;

template <class T>
constexpr kind kind_of()
{
    if constexpr (std::is_same_v<T, bool>)
        return kind::boolean;
    else if constexpr (std::is_enum_v<T>)
        return kind::word;
    else if constexpr (std::is_integral_v<T> || is_duration<T>)
        return kind::integer;
    else if constexpr (std::is_same_v<T, double>)
        return kind::real;
    else if constexpr (std::is_same_v<T, string_list> || std::is_same_v<T, patterns_ptr>)
        return kind::text_list;
    else
        return kind::text;
}

template <class T>
constexpr unit unit_of()
{
    if constexpr (std::is_same_v<T, std::chrono::milliseconds>)
        return unit::milliseconds;
    else if constexpr (std::is_same_v<T, std::chrono::seconds>)
        return unit::seconds;
    else if constexpr (std::is_same_v<T, std::chrono::minutes>)
        return unit::minutes;
    else
        return unit::none;
}

std::string text_of(const backend_flags& flags);
std::optional<problem> store(backend_flags& member, const std::string& text);
std::optional<problem> store(string_list& member, const parameter& row, const std::string& text);
std::optional<problem> store(patterns_ptr& member, const parameter& row, const std::string& text);
std::optional<problem> store(redirects_ptr& member, const std::string& text);

template <class T>
value load(const T& member)
{
    if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, double> ||
                  std::is_same_v<T, std::string>)
        return member;
    else if constexpr (is_duration<T>)
        return std::int64_t{member.count()};
    else if constexpr (std::is_enum_v<T> || std::is_integral_v<T>)
        return static_cast<std::int64_t>(member);
    else if constexpr (std::is_same_v<T, string_list>)
        return member.text;
    else if constexpr (std::is_same_v<T, backend_flags>)
        return text_of(member);
    else
        return member ? member->text() : std::string();
}

template <class T>
std::optional<problem> store_any(T& member, const parameter& row, const value& given)
{
    if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, double> ||
                  std::is_same_v<T, std::string>)
        member = std::get<T>(given);
    else if constexpr (is_duration<T>)
        member = T{std::get<std::int64_t>(given)};
    else if constexpr (std::is_enum_v<T> || std::is_integral_v<T>)
        member = static_cast<T>(std::get<std::int64_t>(given));
    else if constexpr (std::is_same_v<T, backend_flags> || std::is_same_v<T, redirects_ptr>)
        return store(member, std::get<std::string>(given));
    else
        return store(member, row, std::get<std::string>(given));
    return std::nullopt;
}

/// A row, and the changes to it that are written behind row<...>(...) and slot<...>(...).
struct row_builder : parameter {
    using self = row_builder;
    constexpr self& at_reload() { return (context = config::context::reload, *this); }
    constexpr self& in_session() { return (context = config::context::session, *this); }
    constexpr self& password() { return (is_password = true, *this); }
    constexpr self& octal() { return (is_octal = true, *this); }
    constexpr self& pairs() { return (is_pair_list = true, *this); }
    constexpr self& pairs_with(std::span<const word> right)
    {
        pair_words = right;
        return pairs();
    }
    constexpr self& pairs_with_counts()
    {
        pairs_name_counts = true;
        return pairs();
    }
    constexpr self& ours() { return (is_ours = true, *this); }
    constexpr self& plain_number() { return (takes_suffix = false, *this); }
    constexpr self& in(config::unit native) { return (unit = native, *this); }
    constexpr self& from(std::string_view version) { return (since = version, *this); }
    constexpr self& separated_by(char c) { return (separator = c, *this); }
    constexpr self& of(std::span<const word> allowed) { return (words = allowed, *this); }
    constexpr self& of_queries() { return (patterns = pattern_syntax::queries, *this); }
    constexpr self& old_name_of(std::string_view name_now) { return (alias_of = name_now, *this); }
    constexpr self& without_effect(std::string_view text) { return (instead = text, *this); }
    constexpr self& range(std::int64_t least, std::int64_t most)
    {
        minimum = least;
        maximum = most;
        return *this;
    }
};

template <class T>
constexpr row_builder typed_row(std::string_view name, std::string_view default_text,
                                std::string_view meaning)
{
    row_builder row;
    row.name = name;
    row.default_text = default_text;
    row.meaning = meaning;
    row.kind = kind_of<T>();
    row.unit = unit_of<T>();
    if constexpr (kind_of<T>() == kind::text_list || std::is_same_v<T, redirects_ptr>)
        row.separator = ',';
    if constexpr (std::is_enum_v<T>) row.words = words_of<T>();
    return row;
}

/// A parameter without an index.
template <auto Member>
constexpr row_builder row(std::string_view name, std::string_view default_text,
                          std::string_view meaning)
{
    using member_type = std::remove_cvref_t<decltype(std::declval<settings&>().*Member)>;
    row_builder built = typed_row<member_type>(name, default_text, meaning);
    built.get = [](const settings& values, std::size_t) { return load(values.*Member); };
    built.set = [](settings& values, std::size_t, const parameter& declared, const value& given) {
        return store_any(values.*Member, declared, given);
    };
    return built;
}

/// An indexed parameter: member `Member` of the elements of the vector `Slots`. Reading one that is
/// not there gives an empty element's value; writing makes it.
template <auto Slots, auto Member>
constexpr row_builder slot(std::string_view name, std::string_view default_text,
                           std::string_view meaning)
{
    using vector_type = std::remove_cvref_t<decltype(std::declval<settings&>().*Slots)>;
    using slot_type = typename vector_type::value_type;
    using member_type = std::remove_cvref_t<decltype(std::declval<slot_type&>().*Member)>;
    row_builder built = typed_row<member_type>(name, default_text, meaning);
    built.at_reload();
    if constexpr (std::is_same_v<slot_type, backend>)
        built.slots = slots::backends;
    else if constexpr (std::is_same_v<slot_type, watchdog_node>)
        built.slots = slots::watchdog_nodes;
    else
        built.slots = slots::heartbeats;
    built.get = [](const settings& values, std::size_t index) {
        const auto& all = values.*Slots;
        return index < all.size() ? load(all[index].*Member) : load(slot_type{}.*Member);
    };
    built.set = [](settings& values, std::size_t index, const parameter& declared,
                   const value& given) {
        auto& all = values.*Slots;
        if (index >= all.size()) all.resize(index + 1);
        return store_any(all[index].*Member, declared, given);
    };
    return built;
}

}  // namespace pgtorii::config
