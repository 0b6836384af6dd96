#include "config/secret.hpp"

#include <cstring>

namespace pgtorii::config {

void wipe(std::string& text)
{
    ::explicit_bzero(text.data(), text.size());
    text.clear();
}

// A short text is stored in the object itself, and moving would leave it there.
secret::secret(secret&& other) noexcept : text_(std::move(other.text_))
{
    other.text_.resize(other.text_.capacity());
    other.wipe();
}

secret& secret::operator=(secret&& other) noexcept
{
    if (this == &other) return *this;
    wipe();
    text_.swap(other.text_);
    return *this;
}

void secret::wipe()
{
    config::wipe(text_);
}

}  // namespace pgtorii::config
