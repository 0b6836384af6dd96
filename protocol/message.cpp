#include "protocol/message.hpp"

#include "core/base/always_assert.hpp"

namespace pgtorii::protocol {
namespace {

error_code check(const length_lookup& lookup, frame_header header)
{
    const auto range = lookup[static_cast<unsigned char>(header.type)];
    if (range.max == 0) return errc::unknown_message_type;
    if (header.length < range.min) return errc::length_too_small;
    if (header.length > range.max) return errc::length_too_big;
    return {};
}

}  // namespace

result<std::uint32_t> message_length(std::span<const std::byte> input, std::uint32_t limit)
{
    const auto header = peek_header(input);
    if (!header) return errc::message_truncated;
    if (header->length < 4) return errc::length_too_small;
    if (header->length > limit) return errc::length_too_big;
    return header->length;
}

error_code check_client_header(frame_header header)
{
    return check(client_lengths, header);
}

error_code check_server_header(frame_header header)
{
    return check(server_lengths, header);
}

const message_info* find_message(direction from, char type)
{
    for (const auto& row : message_table) {
        if (row.direction == from && row.type == type) return &row;
    }
    return nullptr;
}

std::string_view name_of(direction from, char type)
{
    const auto* row = find_message(from, type);
    return row ? row->name : std::string_view{"unknown message"};
}

std::optional<message_view> whole_message(std::span<const std::byte> input)
{
    const auto header = peek_header(input);
    if (!header || input.size() < header->total()) return std::nullopt;
    always_assert(header->length >= 4);
    const auto whole = input.first(header->total());
    return message_view{header->type, whole.subspan(frame_header::size), whole};
}

}  // namespace pgtorii::protocol
