#pragma once

#include <utility>

namespace pgtorii::runtime {

/// Owns one file descriptor. Closing is all that it does: what watches it is `readiness`.
class descriptor {
public:
    descriptor() = default;
    explicit descriptor(int fd) : fd_(fd) {}
    descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    descriptor& operator=(descriptor&& other) noexcept
    {
        if (this != &other) {
            close();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    ~descriptor() { close(); }

    int get() const { return fd_; }
    bool is_open() const { return fd_ >= 0; }
    void close();
    int release() { return std::exchange(fd_, -1); }

private:
    int fd_ = -1;
};

}  // namespace pgtorii::runtime
