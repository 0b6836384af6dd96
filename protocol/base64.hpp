#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pgtorii::protocol {

std::string to_base64(std::span<const unsigned char> bytes);

/// The bytes of a base64 text in its one canonical form, without blanks; nothing for others, and
/// nothing for an empty one.
std::optional<std::vector<unsigned char>> from_base64(std::string_view text);

}  // namespace pgtorii::protocol
