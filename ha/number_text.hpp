#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace pgtorii::ha {

/// The integer that is the whole text; nullopt for anything else. No sign "+", no blanks.
template <class Number>
std::optional<Number> number_from(std::string_view text, int base)
{
    Number value{};
    const auto* const end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, value, base);
    if (failure != std::errc{} || stop != end) return std::nullopt;
    return value;
}

/// The same for a decimal fraction, "0.25" or "5e-05". Infinities and NaN are numbers to it.
inline std::optional<double> fraction_from(std::string_view text)
{
    double value = 0;
    const auto* const end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, value);
    if (failure != std::errc{} || stop != end) return std::nullopt;
    return value;
}

}  // namespace pgtorii::ha
