#include "config/row.hpp"
#include "config/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgtorii::config {
namespace {

std::string joined(std::span<const word> words)
{
    std::string list;
    for (const auto& each : words) list += fmt::format("{}{}", list.empty() ? "" : ", ", each.text);
    return list;
}

}  // namespace

std::string text_of(const backend_flags& flags)
{
    std::string text = flags.allow_to_failover ? "ALLOW_TO_FAILOVER" : "DISALLOW_TO_FAILOVER";
    if (flags.always_primary) text += "|ALWAYS_PRIMARY";
    return text;
}

std::optional<problem> store(backend_flags& member, const std::string& text)
{
    bool allow = false;
    bool disallow = false;
    bool always = false;
    for (const auto& item : split_list(text, '|')) {
        if (item == "ALLOW_TO_FAILOVER")
            allow = true;
        else if (item == "DISALLOW_TO_FAILOVER")
            disallow = true;
        else if (item == "ALWAYS_PRIMARY")
            always = true;
        else
            return problem{in_quotes(item) + " is no flag",
                           "Write ALLOW_TO_FAILOVER or DISALLOW_TO_FAILOVER, and |ALWAYS_PRIMARY "
                           "behind it where due, in capitals."};
    }
    if (allow && disallow)
        return problem{"ALLOW_TO_FAILOVER and DISALLOW_TO_FAILOVER exclude each other", {}};
    member.allow_to_failover = !disallow;
    member.always_primary = always;
    return std::nullopt;
}

std::optional<problem> store(string_list& member, const parameter& row, const std::string& text)
{
    string_list given{text, {}};
    for (const auto item : split_list(text, row.separator)) given.items.emplace_back(item);
    for (const auto& item : given.items) {
        const auto is_item = [&](const word& each) { return each.text == item; };
        if (!row.words.empty() && std::none_of(row.words.begin(), row.words.end(), is_item))
            return problem{in_quotes(item) + " is not known",
                           fmt::format("Available values: {}.", joined(row.words))};
        if (!row.is_pair_list) continue;
        const auto colon = item.find(':');
        if (colon == std::string::npos || colon == 0 || colon + 1 == item.size())
            return problem{in_quotes(item) + " has no colon between two names",
                           "Write pairs like table_1:table_2, separated by commas."};
        const auto right = trimmed(std::string_view{item}.substr(colon + 1));
        if (row.pairs_name_counts && !count_from(right))
            return problem{in_quotes(item) + " has no number behind its colon",
                           "Write pairs like name:10, separated by commas."};
        const auto is_right = [&](const word& each) { return each.text == right; };
        if (!row.pair_words.empty() &&
            std::none_of(row.pair_words.begin(), row.pair_words.end(), is_right))
            return problem{in_quotes(item) + " has no known word behind its colon",
                           fmt::format("Available values: {}.", joined(row.pair_words))};
    }
    member = std::move(given);
    return std::nullopt;
}

std::optional<problem> store(patterns_ptr& member, const parameter& row, const std::string& text)
{
    auto parsed = pattern_list::parse(text, row.patterns);
    if (!parsed) return parsed.error();
    member = std::make_shared<const pattern_list>(std::move(*parsed));
    return std::nullopt;
}

std::optional<problem> store(redirects_ptr& member, const std::string& text)
{
    auto parsed = redirect_list::parse(text);
    if (!parsed) return parsed.error();
    member = std::make_shared<const redirect_list>(std::move(*parsed));
    return std::nullopt;
}

}  // namespace pgtorii::config
