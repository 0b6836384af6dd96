#include "config/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgtorii::config {

std::string_view trimmed(std::string_view text)
{
    constexpr std::string_view blanks = " \t\r\n\v\f";
    const auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::vector<std::string_view> split_list(std::string_view text, char separator)
{
    std::vector<std::string_view> items;
    std::size_t begin = 0;
    while (begin < text.size()) {
        const auto end = std::min(text.find(separator, begin), text.size());
        const auto item = trimmed(text.substr(begin, end - begin));
        if (!item.empty()) items.push_back(item);
        begin = end + 1;
    }
    return items;
}

std::string printable(std::string_view text)
{
    std::string shown;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f)
            shown += fmt::format("\\x{:02x}", byte);
        else
            shown += c;
    }
    return shown;
}

std::string in_quotes(std::string_view text)
{
    constexpr std::size_t length_max = 80;
    auto length = std::min(text.size(), length_max);
    // A character of UTF-8 stays whole.
    while (length < text.size() && length > 0 &&
           (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80)
        --length;
    return fmt::format("\"{}{}\"", printable(text.substr(0, length)),
                       length < text.size() ? "..." : "");
}

std::string lower_case(std::string_view text)
{
    std::string lower(text);
    for (char& c : lower) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return lower;
}

}  // namespace pgtorii::config
