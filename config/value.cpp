#include "config/parameter.hpp"
#include "config/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdlib>

namespace pgtorii::config {
namespace {

/// A suffix of numbers, worth that many of the smallest one of its family.
struct suffix {
    std::string_view text;
    std::int64_t worth;
};

// Ascending, with PostgreSQL's spelling: KB and MIN are no units.
constexpr std::array<suffix, 6> times{{{"us", 1},
                                       {"ms", 1'000},
                                       {"s", 1'000'000},
                                       {"min", 60'000'000},
                                       {"h", 3'600'000'000},
                                       {"d", 86'400'000'000}}};
constexpr std::array<suffix, 5> sizes{
    {{"B", 1}, {"kB", 1LL << 10}, {"MB", 1LL << 20}, {"GB", 1LL << 30}, {"TB", 1LL << 40}}};

std::span<const suffix> family_of(unit native)
{
    switch (native) {
    case unit::none: return {};
    case unit::milliseconds:
    case unit::seconds:
    case unit::minutes: return times;
    case unit::bytes:
    case unit::kilobytes: return sizes;
    }
    return {};
}

std::int64_t worth_of(unit native)
{
    switch (native) {
    case unit::none:
    case unit::bytes: return 1;
    case unit::milliseconds: return 1'000;
    case unit::seconds: return 1'000'000;
    case unit::minutes: return 60'000'000;
    case unit::kilobytes: return 1 << 10;
    }
    return 1;
}

std::string_view plural_of(unit native)
{
    switch (native) {
    case unit::none: return "";
    case unit::milliseconds: return "milliseconds";
    case unit::seconds: return "seconds";
    case unit::minutes: return "minutes";
    case unit::bytes: return "bytes";
    case unit::kilobytes: return "kilobytes";
    }
    return "";
}

bool is_equal_ignoring_case(std::string_view a, std::string_view b)
{
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
        return std::tolower(x) == std::tolower(y);
    });
}

problem invalid(std::string_view name, std::string_view text, std::string hint)
{
    return {fmt::format("invalid value for parameter \"{}\": {}", name, in_quotes(text)),
            std::move(hint)};
}

std::string unit_hint(const parameter& row)
{
    if (!row.takes_suffix)
        return fmt::format("Write a plain number of {}: this parameter takes no unit.",
                           plural_of(row.unit));
    const auto family = family_of(row.unit);
    if (family.empty())
        return fmt::format("Write a whole number from {} to {} without a unit.", row.minimum,
                           row.maximum);
    std::string list;
    for (std::size_t i = 0; i < family.size(); ++i) {
        if (i > 0) list += i + 1 == family.size() ? ", and " : ", ";
        list += fmt::format("\"{}\"", family[i].text);
    }
    return fmt::format("Valid units for this parameter are {}.", list);
}

boost::system::result<value, problem> parse_boolean(std::string_view name, std::string_view text)
{
    const auto begins = [&](std::string_view word, std::size_t least) {
        return text.size() >= least && text.size() <= word.size() &&
               is_equal_ignoring_case(text, word.substr(0, text.size()));
    };
    if (begins("true", 1) || begins("yes", 1) || begins("on", 2) || text == "1") return value{true};
    if (begins("false", 1) || begins("no", 1) || begins("off", 2) || text == "0")
        return value{false};
    return invalid(name, text, "Write on or off.");
}

/// The number at the head of `text` as C reads it, base detected (010 is 8); a dot or an exponent
/// makes it a floating point number. `rest` is what follows. Empty: no number there.
std::optional<long double> read_number(const char* text, const char*& rest)
{
    char* end = nullptr;
    errno = 0;
    const long long whole = std::strtoll(text, &end, 0);
    long double number = static_cast<long double>(whole);
    if (*end == '.' || *end == 'e' || *end == 'E' || errno == ERANGE)
        number = std::strtold(text, &end);
    rest = end;
    if (end == text || !std::isfinite(number)) return std::nullopt;
    return number;
}

boost::system::result<value, problem> parse_integer(const parameter& row, std::string_view name,
                                                    const std::string& text)
{
    const char* rest = text.c_str();
    const auto number = read_number(text.c_str(), rest);
    if (!number) return invalid(name, text, unit_hint(row));
    const auto suffix_text =
        trimmed(std::string_view(rest, static_cast<std::size_t>(&*text.end() - rest)));
    long double native = *number;
    if (!suffix_text.empty()) {
        const auto family = family_of(row.unit);
        const auto found = std::find_if(family.begin(), family.end(), [&](const suffix& each) {
            return each.text == suffix_text;
        });
        if (found == family.end() || !row.takes_suffix) return invalid(name, text, unit_hint(row));
        native = native * static_cast<long double>(found->worth) /
                 static_cast<long double>(worth_of(row.unit));
    }
    native = std::rint(native);  // half to even, as PostgreSQL does
    if (native < static_cast<long double>(row.minimum) ||
        native > static_cast<long double>(row.maximum))
        return problem{
            fmt::format("{} is outside the valid range for parameter \"{}\" ({} .. {})",
                        suffix_text.empty() ? fmt::format("{:.20g}", native) : in_quotes(text),
                        name, row.minimum, row.maximum),
            row.is_octal ? fmt::format("Write it with a leading zero, in octal: {:#o} to {:#o}.",
                                       row.minimum, row.maximum)
                         : ""};
    return value{static_cast<std::int64_t>(native)};
}

boost::system::result<value, problem> parse_real(const parameter& row, std::string_view name,
                                                 const std::string& text)
{
    char* end = nullptr;
    const double number = std::strtod(text.c_str(), &end);
    const bool is_whole_text =
        end != text.c_str() && trimmed({end, static_cast<std::size_t>(&*text.end() - end)}).empty();
    if (!is_whole_text || std::isnan(number))
        return invalid(name, text,
                       fmt::format("Write a number from {} to {}.", row.minimum, row.maximum));
    if (number < static_cast<double>(row.minimum) || number > static_cast<double>(row.maximum))
        return problem{
            fmt::format("{:g} is outside the valid range for parameter \"{}\" ({} .. {})", number,
                        name, row.minimum, row.maximum),
            {}};
    return value{number};
}

boost::system::result<value, problem> parse_word(const parameter& row, std::string_view name,
                                                 std::string_view text)
{
    std::string known;
    for (const auto& each : row.words) {
        if (is_equal_ignoring_case(each.text, text)) return value{each.number};
        if (!each.is_alias) known += fmt::format("{}{}", known.empty() ? "" : ", ", each.text);
    }
    return invalid(name, text, fmt::format("Available values: {}.", known));
}

std::string integer_text(const parameter& row, std::int64_t number)
{
    if (row.is_octal) return fmt::format("{:04o}", number);
    // Values of indexed parameters stay plain, as in Pgpool-II.
    const bool has_unit = row.takes_suffix && row.slots == slots::none && number > 0;
    const auto family = has_unit ? family_of(row.unit) : std::span<const suffix>();
    for (auto each = family.rbegin(); each != family.rend(); ++each) {
        const auto step = each->worth / worth_of(row.unit);
        if (step > 0 && number % step == 0) return fmt::format("{}{}", number / step, each->text);
    }
    return std::to_string(number);
}

}  // namespace

boost::system::result<value, problem> parse_value(const parameter& row, std::string_view name,
                                                  std::string_view text)
{
    if (text.find('\0') != std::string_view::npos)
        return invalid(name, text, "A value can't hold a zero byte.");
    switch (row.kind) {
    case kind::boolean: return parse_boolean(name, text);
    case kind::integer: return parse_integer(row, name, std::string(text));
    case kind::real: return parse_real(row, name, std::string(text));
    case kind::word: return parse_word(row, name, text);
    case kind::text:
    case kind::text_list: break;
    }
    return value{std::string(text)};
}

std::string to_text(const parameter& row, const value& shown)
{
    if (const auto* flag = std::get_if<bool>(&shown)) return *flag ? "on" : "off";
    if (const auto* real = std::get_if<double>(&shown)) return fmt::format("{:g}", *real);
    if (const auto* text = std::get_if<std::string>(&shown)) return *text;
    const auto number = std::get<std::int64_t>(shown);
    for (const auto& each : row.words) {
        if (each.number == number) return std::string(each.text);
    }
    return integer_text(row, number);
}

std::optional<problem> assign(settings& values, const parameter& row, std::size_t index,
                              std::string_view name, std::string_view text)
{
    const auto parsed = parse_value(row, name, text);
    if (!parsed) return parsed.error();
    auto failure = row.set(values, index, row, *parsed);
    if (failure)
        failure->message =
            fmt::format("invalid value for parameter \"{}\": {}", name, failure->message);
    return failure;
}

}  // namespace pgtorii::config
