#include "protocol/scram_message.hpp"

#include "protocol/base64.hpp"

#include <algorithm>

namespace pgtorii::protocol {

std::optional<std::string_view> take_attribute(std::string_view& text, char name)
{
    if (text.size() < 2 || text[0] != name || text[1] != '=') return std::nullopt;
    const auto comma = text.find(',');
    const auto value = text.substr(2, comma == text.npos ? text.npos : comma - 2);
    text = comma == text.npos ? std::string_view{} : text.substr(comma + 1);
    return value;
}

bool is_scram_nonce(std::string_view text)
{
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f' && c != ','; });
}

std::string channel_binding_attribute(std::string_view gs2_header, std::string_view data)
{
    std::string input(gs2_header);
    input += data;
    return to_base64({reinterpret_cast<const unsigned char*>(input.data()), input.size()});
}

}  // namespace pgtorii::protocol
