#pragma once

#include "core/session_settings.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pgtorii::core {

/// How a server describes a session that has just these settings: by it an audit tells whether a
/// function has set something besides. One worker's.
class audited_settings {
public:
    using settings = std::vector<session_settings::setting>;

    /// Null: not known. Valid until the next learn().
    const std::string* find(std::string_view user, const settings& of) const
    {
        const auto found = texts_.find(key_of(user, of));
        return found == texts_.end() ? nullptr : &found->second;
    }
    /// Forgets all when they are too large together: they are looked at again.
    void learn(std::string_view user, const settings& of, std::string text)
    {
        auto key = key_of(user, of);
        constexpr std::size_t entry_bytes = 150;
        const std::size_t bytes = key.size() + text.size() + entry_bytes;
        if (bytes_ + bytes > bytes_max) {
            texts_.clear();
            bytes_ = 0;
        }
        bytes_ += bytes;
        texts_[std::move(key)] = std::move(text);
    }
    std::size_t bytes() const { return bytes_; }

    static constexpr std::size_t bytes_max = 1024 * 1024;

private:
    static std::string key_of(std::string_view user, const settings& of)
    {
        std::string key{user};
        key.push_back('\0');
        for (const auto& each : of) {
            key += each.sql;
            key.push_back('\0');
        }
        return key;
    }

    std::unordered_map<std::string, std::string> texts_;
    std::size_t bytes_ = 0;  // at least theirs
};

}  // namespace pgtorii::core
