#pragma once

#include "core/runtime/worker.hpp"

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

namespace pgtorii::core {

/// What a client has sent and nobody has dealt with yet. Borrows a buffer of the worker while it
/// holds something; a message that is to be seen whole and is larger gets memory of its own for the
/// time it takes. Home worker only.
class input_buffer {
public:
    explicit input_buffer(runtime::worker& home) : home_(home) {}
    ~input_buffer() { home_.return_buffer(std::move(borrowed_)); }
    input_buffer(const input_buffer&) = delete;
    input_buffer& operator=(const input_buffer&) = delete;

    std::size_t size() const { return end_ - begin_; }
    bool is_empty() const { return begin_ == end_; }
    std::span<std::byte> bytes() { return {data() + begin_, size()}; }

    /// Room for at least `wanted` bytes in all (those present included), and for at least one more
    /// byte. Moves what is there to the front when that helps. Views into the buffer end with it.
    std::span<std::byte> prepare(std::size_t wanted)
    {
        if (begin_ == end_) begin_ = end_ = 0;
        if (capacity() == 0 && wanted <= runtime::worker::buffer_bytes) {
            borrowed_ = home_.borrow_buffer();
        } else if (wanted > capacity()) {
            grow(wanted);
        } else if (begin_ + wanted > capacity() || end_ == capacity()) {
            std::memmove(data(), data() + begin_, size());
            end_ = size();
            begin_ = 0;
        }
        return {data() + end_, capacity() - end_};
    }
    bool has_room() const { return capacity() == 0 || size() < capacity(); }
    void commit(std::size_t count) { end_ += count; }
    void consume(std::size_t count)
    {
        begin_ += count;
        if (begin_ == end_) release();
    }

private:
    std::byte* data() { return own_ ? own_.get() : borrowed_.get(); }
    std::size_t capacity() const
    {
        if (own_) return own_bytes_;
        return borrowed_ ? runtime::worker::buffer_bytes : 0;
    }
    void grow(std::size_t wanted)
    {
        auto larger = std::make_unique_for_overwrite<std::byte[]>(wanted);
        if (size() > 0) std::memcpy(larger.get(), data() + begin_, size());
        end_ = size();
        begin_ = 0;
        own_ = std::move(larger);
        own_bytes_ = wanted;
        home_.return_buffer(std::move(borrowed_));
    }
    void release()
    {
        begin_ = end_ = 0;
        own_.reset();
        own_bytes_ = 0;
        home_.return_buffer(std::move(borrowed_));
    }

    runtime::worker& home_;
    std::unique_ptr<std::byte[]> borrowed_;
    std::unique_ptr<std::byte[]> own_;
    std::size_t own_bytes_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace pgtorii::core
