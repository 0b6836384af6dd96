#include "ha/reply_frames.hpp"

#include "ha/number_text.hpp"
#include "protocol/byte_reader.hpp"

namespace pgtorii::ha {

error_code read_columns(std::span<const std::byte> body, std::span<reply_column> row)
{
    constexpr std::uint32_t null = 0xffff'ffff;
    protocol::byte_reader reader(body);
    const std::size_t count = reader.uint16();
    if (count > row.size()) return errc::reply_malformed;
    for (std::size_t i = 0; i < count; ++i) {
        const auto length = reader.uint32();
        if (length == null) continue;
        row[i] = {.is_null = false, .text = protocol::as_text(reader.take(length))};
    }
    if (reader.finish()) return errc::reply_malformed;
    return {};
}

std::optional<std::uint64_t> lsn_from(std::string_view text)
{
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto high = number_from<std::uint32_t>(text.substr(0, slash), 16);
    const auto low = number_from<std::uint32_t>(text.substr(slash + 1), 16);
    if (!high || !low) return std::nullopt;
    return std::uint64_t{*high} << 32 | *low;
}

std::optional<std::uint32_t> timeline_from(std::string_view wal_file_name)
{
    return number_from<std::uint32_t>(wal_file_name.substr(0, 8), 16);
}

}  // namespace pgtorii::ha
