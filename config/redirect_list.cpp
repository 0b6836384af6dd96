#include "config/redirect_list.hpp"

#include "config/settings.hpp"
#include "config/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>

namespace pgtorii::config {
namespace {

using boost::system::result;

constexpr const char* form_hint =
    "Write pattern:node or pattern:node(ratio); node is primary, standby or a node id.";

/// "(0.5)" or "(0.5", as Pgpool-II takes it. Pgpool-II does not check the number: text that is none
/// reads as 0.
result<double, problem> parse_ratio(std::string_view text)
{
    text.remove_prefix(1);
    if (text.ends_with(')')) text.remove_suffix(1);
    const std::string number(trimmed(text));
    char* end = nullptr;
    const double ratio = std::strtod(number.c_str(), &end);
    if (number.empty() || *end != '\0' || !(ratio >= 0 && ratio <= 1))
        return problem{in_quotes(number) + " is no ratio", "Write a number from 0 to 1."};
    return ratio;
}

std::optional<problem> parse_target(std::string_view text, redirect_list::entry& made)
{
    if (text == "primary")
        made.target = redirect_target::primary;
    else if (text == "standby")
        made.target = redirect_target::standby;
    else {
        const bool is_number = !text.empty() && text.size() <= 3 &&
                               text.find_first_not_of("0123456789") == std::string_view::npos;
        made.target = redirect_target::node;
        made.node = is_number ? std::atoi(std::string(text).c_str()) : -1;
        if (made.node < 0 || made.node > static_cast<int>(backend_index_max))
            return problem{in_quotes(text) + " is no node",
                           fmt::format("Write primary, standby (both in lower case) or a node id "
                                       "from 0 to {}.",
                                       backend_index_max)};
    }
    return std::nullopt;
}

result<redirect_list::entry, problem> parse_item(std::string_view item)
{
    const auto open = item.find('(', std::min(item.rfind(':'), item.size()));
    const auto colon = item.rfind(':', open);
    if (colon == std::string_view::npos)
        return problem{in_quotes(item) + " has no colon", form_hint};
    const auto pattern_text = trimmed(item.substr(0, colon));
    if (pattern_text.empty())
        return problem{in_quotes(item) + " has no pattern before the colon", form_hint};

    redirect_list::entry made;
    auto pattern = pattern_list::parse(pattern_text, pattern_syntax::names);
    if (!pattern) return pattern.error();
    made.pattern = std::move(*pattern);
    const auto target_end = std::min(open, item.size());
    if (auto failure = parse_target(trimmed(item.substr(colon + 1, target_end - colon - 1)), made))
        return *failure;
    if (open != std::string_view::npos) {
        const auto ratio = parse_ratio(item.substr(open));
        if (!ratio) return ratio.error();
        made.ratio = *ratio;
    }
    return made;
}

}  // namespace

result<redirect_list, problem> redirect_list::parse(std::string_view text)
{
    redirect_list list;
    list.text_ = text;
    for (const auto item : split_list(text, ',')) {
        auto made = parse_item(item);
        if (!made) return made.error();
        list.entries_.push_back(std::move(*made));
    }
    return list;
}

const redirect_list::entry* redirect_list::find(std::string_view name) const
{
    const auto found = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const entry& each) { return each.pattern.matches(name); });
    return found == entries_.end() ? nullptr : &*found;
}

}  // namespace pgtorii::config
