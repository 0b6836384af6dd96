#include "config/sample.hpp"

#include "config/parameter.hpp"
#include "config/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgtorii::config {
namespace {

constexpr std::string_view preamble =
    R"(# Configuration of pgtorii. It reads the pgpool.conf of Pgpool-II 4.3 and later.
#
# A line is: name = value. The equals sign may be missing. Texts stand in single quotes, with ''
# for a quote in them; numbers, words and on/off need none. A # begins a comment. The last line of
# a name wins. Time units are us, ms, s, min, h, d; memory units are B, kB, MB, GB, TB. A number
# without a unit has the unit that the parameter's comment names. An indexed parameter is written
# once for each node: backend_port0, backend_port1 and so on.
# include 'other.conf' reads another file at that place.
#
# Every parameter stands here with its default, commented out.
)";

std::string_view name_of(unit native)
{
    switch (native) {
    case unit::none: return "";
    case unit::milliseconds: return "milliseconds";
    case unit::seconds: return "seconds";
    case unit::minutes: return "minutes";
    case unit::bytes: return "bytes";
    case unit::kilobytes: return "kB";
    }
    return "";
}

std::string_view text_of(context when)
{
    switch (when) {
    case context::restart: return "A change needs a restart.";
    case context::reload: return "A change takes effect at reload.";
    case context::session:
        return "A change takes effect at reload; PGPOOL SET changes it in a session.";
    }
    return "";
}

/// Comment lines of at most 100 columns.
std::string wrapped(std::string_view text)
{
    constexpr std::size_t width = 98;
    std::string lines;
    while (!text.empty()) {
        auto end = text.size();
        if (end > width) {
            end = text.rfind(' ', width);
            if (end == std::string_view::npos) end = std::min(text.find(' '), text.size());
        }
        lines += fmt::format("# {}\n", text.substr(0, end));
        text = trimmed(text.substr(end));
    }
    return lines;
}

std::string limits_of(const parameter& row)
{
    if (row.kind == kind::word || !row.words.empty()) {
        std::string list;
        for (const auto& each : row.words) {
            if (!each.is_alias) list += fmt::format("{}{}", list.empty() ? "" : ", ", each.text);
        }
        return fmt::format(" Values: {}.", list);
    }
    if (row.kind != kind::integer && row.kind != kind::real) return {};
    const auto bound = [&](std::int64_t number) {
        return row.is_octal ? fmt::format("{:#o}", number) : std::to_string(number);
    };
    std::string text = row.maximum == int_max || row.maximum == int64_max
                           ? fmt::format(" From {}", bound(row.minimum))
                           : fmt::format(" {} to {}", bound(row.minimum), bound(row.maximum));
    if (row.unit != unit::none)
        text += fmt::format(", in {}{}", name_of(row.unit),
                            row.takes_suffix ? "" : " (written without a unit)");
    return text + ".";
}

/// The value as it is written in a file.
std::string written(const parameter& row)
{
    if (row.kind != kind::text && row.kind != kind::text_list) return std::string(row.default_text);
    std::string text = "'";
    for (const char c : row.default_text) text += c == '\'' ? std::string("''") : std::string(1, c);
    return text + "'";
}

std::string described(const parameter& row)
{
    if (!row.alias_of.empty())
        return fmt::format("# {} is an old name of {}.\n\n", row.name, row.alias_of);
    const auto name = indexed_name(row, 0);
    std::string text =
        wrapped(fmt::format("{}{} {}", row.meaning, limits_of(row), text_of(row.context)));
    if (!row.instead.empty()) text += wrapped(fmt::format("No effect here: {}.", row.instead));
    if (parse_value(row, name, row.default_text).has_value())
        return text + fmt::format("#{} = {}\n\n", name, written(row));
    return text + fmt::format("# {} is not set by default.\n\n", name);
}

}  // namespace

std::string sample_config()
{
    std::string text(preamble);
    for (const auto& part : sections()) {
        const std::string rule(78, '-');
        text += fmt::format("\n# {}\n# {}\n# {}\n\n", rule, part.name, rule);
        for (const auto& row : part.rows) text += described(row);
    }
    return text;
}

}  // namespace pgtorii::config
