#pragma once

#include "core/base/always_assert.hpp"
#include "protocol/message.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace pgtorii::protocol {

/// A message as the scanner met it in a piece of the stream.
struct scanned_frame {
    char type = 0;
    std::uint32_t length = 0;  ///< The length word: it counts itself.
    std::size_t offset = 0;    ///< Of the type byte, in the piece.
    bool is_complete = false;  ///< The last byte of the message is in the piece too.

    std::size_t total() const { return std::size_t{length} + 1; }
    std::size_t end() const { return offset + total(); }
};

enum class scan : std::uint8_t {
    found,       ///< A message begins here; `frame` describes it.
    exhausted,   ///< No further header in the piece: the bytes from position() on are unread.
    bad_length,  ///< A length word below 4 or above the limit: the stream can't be followed
                 ///< further.
};

/// Walks the messages of a byte stream that arrives in arbitrary pieces, without copying. For each
/// piece: feed(), then next() until it is not `found`. Of the piece, the first continued() bytes
/// belong to a message of an earlier piece; the last piece.size() - position() bytes (a cut header,
/// at most 4) were not looked at, and the caller presents them again at the head of the next piece.
/// The same goes for an incomplete message that the caller wants to see whole: see hold().
class frame_scanner {
public:
    explicit frame_scanner(std::uint32_t length_max = message_length_max) : length_max_(length_max)
    {
    }

    /// Begins with the next piece. It must stay in place until the last next() on it.
    void feed(std::span<const std::byte> piece)
    {
        piece_ = piece;
        continued_ = std::min(skip_, piece.size());
        skip_ -= continued_;
        position_ = continued_;
    }

    /// The next message that begins in the piece. After an incomplete one, only `exhausted`
    /// follows.
    scan next(scanned_frame& frame)
    {
        if (piece_.size() - position_ < frame_header::size) return scan::exhausted;
        const std::byte* at = piece_.data() + position_;
        frame.type = static_cast<char>(*at);
        frame.length = read_uint32(at + 1);
        if (frame.length < 4 || frame.length > length_max_) return scan::bad_length;
        frame.offset = position_;
        const std::size_t rest = piece_.size() - position_;
        frame.is_complete = rest >= frame.total();
        if (frame.is_complete) {
            position_ += frame.total();
        } else {
            skip_ = frame.total() - rest;
            position_ = piece_.size();
        }
        return scan::found;
    }

    /// Takes back the incomplete message that next() has just reported: the caller keeps its bytes
    /// and presents them again with more behind them.
    void hold(const scanned_frame& frame)
    {
        always_assert(!frame.is_complete && position_ == piece_.size());
        position_ = frame.offset;
        skip_ = 0;
        piece_ = piece_.first(position_);
    }

    /// Bytes at the head of the piece that end, or go on with, a message of an earlier piece.
    std::size_t continued() const { return continued_; }
    /// Where the bytes begin that have to be presented again.
    std::size_t position() const { return position_; }
    /// Bytes of the last message that are still to come in later pieces.
    std::size_t skip() const { return skip_; }

    /// Goes on in the middle of a message: `bytes` of it are still to come.
    void set_skip(std::size_t bytes) { skip_ = bytes; }

private:
    std::span<const std::byte> piece_;
    std::size_t position_ = 0;
    std::size_t continued_ = 0;
    std::size_t skip_ = 0;
    std::uint32_t length_max_;
};

}  // namespace pgtorii::protocol
