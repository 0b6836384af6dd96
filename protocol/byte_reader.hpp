#pragma once

#include "protocol/error.hpp"
#include "protocol/message.hpp"

#include <cstring>
#include <span>
#include <string_view>

namespace pgtorii::protocol {

inline std::string_view as_text(std::span<const std::byte> bytes)
{
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline std::span<const std::byte> as_byte_span(std::string_view text)
{
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

/// Reads the fields of a body in order. The first field that is not there sets error(), and all
/// later ones are empty or zero: a reader reads all fields and asks once.
class byte_reader {
public:
    explicit byte_reader(std::span<const std::byte> body) : rest_(body) {}

    std::uint8_t byte()
    {
        const auto bytes = take(1);
        return bytes.empty() ? std::uint8_t{0} : std::to_integer<std::uint8_t>(bytes[0]);
    }
    std::uint16_t uint16()
    {
        const auto bytes = take(2);
        return bytes.empty() ? std::uint16_t{0} : read_uint16(bytes.data());
    }
    std::uint32_t uint32()
    {
        const auto bytes = take(4);
        return bytes.empty() ? 0 : read_uint32(bytes.data());
    }
    /// Text up to the next zero byte, which is read too.
    std::string_view string()
    {
        const auto* end =
            rest_.empty()
                ? nullptr
                : static_cast<const std::byte*>(std::memchr(rest_.data(), 0, rest_.size()));
        if (end == nullptr) {
            fail(errc::string_unterminated);
            return {};
        }
        const auto text = rest_.first(static_cast<std::size_t>(end - rest_.data()));
        rest_ = rest_.subspan(text.size() + 1);
        return as_text(text);
    }
    std::span<const std::byte> take(std::size_t count)
    {
        if (rest_.size() < count) {
            fail(errc::message_truncated);
            return {};
        }
        const auto taken = rest_.first(count);
        rest_ = rest_.subspan(count);
        return taken;
    }
    /// The rest, which stays unread.
    std::span<const std::byte> rest() const { return rest_; }
    bool is_at_end() const { return rest_.empty(); }

    void fail(errc why)
    {
        if (!error_) error_ = why;
        rest_ = {};
    }
    error_code error() const { return error_; }
    /// error(), or errc::trailing_bytes when something is left.
    error_code finish()
    {
        if (!error_ && !rest_.empty()) error_ = errc::trailing_bytes;
        return error_;
    }

private:
    std::span<const std::byte> rest_;
    error_code error_;
};

}  // namespace pgtorii::protocol
