#pragma once

#include "core/base/result.hpp"
#include "ha/error.hpp"
#include "protocol/message.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace pgtorii::ha {

/// Whole messages of a server out of pieces of any size. The server is not trusted: what is kept is
/// bounded.
class reply_frames {
public:
    static constexpr std::size_t message_bytes_max = 64 * 1024;

    /// Takes bytes and calls `on_message(type, body)` for each whole message, until one gives
    /// false. Bodies live during the call. Errors: errc::reply_malformed, errc::reply_too_big.
    template <class OnMessage>
    error_code feed(std::span<const std::byte> bytes, OnMessage on_message)
    {
        input_.insert(input_.end(), bytes.begin(), bytes.end());
        std::span<const std::byte> rest = input_;
        bool goes_on = true;
        while (goes_on) {
            const auto header = protocol::peek_header(rest);
            if (!header) break;
            if (protocol::check_server_header(*header)) return errc::reply_malformed;
            if (header->total() > message_bytes_max) return errc::reply_too_big;
            if (rest.size() < header->total()) break;
            goes_on = on_message(header->type,
                                 rest.subspan(protocol::frame_header::size, header->body_size()));
            rest = rest.subspan(header->total());
        }
        input_.erase(input_.begin(), input_.end() - static_cast<std::ptrdiff_t>(rest.size()));
        return {};
    }

private:
    std::vector<std::byte> input_;  // of a message that is not whole yet
};

/// A column of a DataRow, as text; it looks into the message.
struct reply_column {
    bool is_null = true;
    std::string_view text;
};

/// The columns of a DataRow, in text format, into `row`; those that it has not stay null. Error:
/// errc::reply_malformed, also when it has more.
[[nodiscard]] error_code read_columns(std::span<const std::byte> body, std::span<reply_column> row);

/// A pg_lsn: two hexadecimal halves, "16/B374D848". Nullopt when it is none.
[[nodiscard]] std::optional<std::uint64_t> lsn_from(std::string_view text);

/// The timeline in the name of a WAL file: its first eight hexadecimal digits.
[[nodiscard]] std::optional<std::uint32_t> timeline_from(std::string_view wal_file_name);

}  // namespace pgtorii::ha
