#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace pgtorii::config {

/// A text that is overwritten when it goes: a password, a key. Never to be logged or shown. Moving
/// leaves nothing behind; a copy is made by name only.
class secret {
public:
    secret() = default;
    explicit secret(std::string_view text) : text_(text) {}
    ~secret() { wipe(); }
    secret(secret&& other) noexcept;
    secret& operator=(secret&& other) noexcept;
    secret(const secret&) = delete;
    secret& operator=(const secret&) = delete;

    /// A second one, overwritten by itself.
    secret copy() const { return secret{text_}; }
    /// Valid until this object changes or goes.
    std::string_view view() const { return text_; }
    bool empty() const { return text_.empty(); }
    void wipe();

private:
    std::string text_;
};

/// Overwrites a text that held a secret, in a way that the compiler keeps, then clears it.
void wipe(std::string& text);

}  // namespace pgtorii::config
