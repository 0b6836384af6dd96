#include "config/settings.hpp"

#include "config/parameter.hpp"
#include "config/text.hpp"
#include "config/words.hpp"
#include "core/base/always_assert.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace pgtorii::config {

settings::settings()
{
    for_each_parameter([this](const section&, const parameter& row) {
        if (row.slots != slots::none || !row.alias_of.empty()) return;
        // wd_listen_port: its default 0 is out of its own range, and can't be written in a file.
        if (row.kind == kind::integer && row.default_text == "0") return;
        const auto failure = assign(*this, row, 0, row.name, row.default_text);
        always_assert(!failure);
    });
}

bool string_list::contains(const std::string& item) const
{
    return std::find(items.begin(), items.end(), item) != items.end();
}

bool is_logged(message_level level, message_level minimum)
{
    if (level == message_level::log)
        return minimum == message_level::log || minimum <= message_level::error;
    if (minimum == message_level::log) return level >= message_level::fatal;
    return level >= minimum;
}

bool is_sent_to_client(message_level level, message_level minimum)
{
    return level >= minimum || level == message_level::info;
}

pool_mode pool_mode_of(const settings& of, std::string_view user, std::string_view database)
{
    const auto find = [](const string_list& list, std::string_view name) {
        std::optional<pool_mode> found;
        for (const std::string_view item : list) {
            const auto colon = item.find(':');
            if (trimmed(item.substr(0, colon)) != name) continue;
            const auto mode = trimmed(item.substr(colon + 1));
            for (const auto& each : word_lists::pool_modes) {
                if (each.text == mode) found = static_cast<pool_mode>(each.number);
            }
        }
        return found;
    };
    if (const auto found = find(of.user_pool_mode_list, user)) return *found;
    if (const auto found = find(of.database_pool_mode_list, database)) return *found;
    return of.pool_mode;
}

std::optional<std::size_t> count_from(std::string_view text)
{
    std::size_t count = 0;
    const auto* const end = text.data() + text.size();
    const auto [at, failure] = std::from_chars(text.data(), end, count);
    if (failure != std::errc{} || at != end || count < 1 || count > 1'000'000) return std::nullopt;
    return count;
}

std::unordered_map<std::string, std::size_t> connection_limits(const string_list& list)
{
    std::unordered_map<std::string, std::size_t> limits;
    for (const std::string_view item : list) {
        const auto colon = item.rfind(':');
        if (const auto count = count_from(trimmed(item.substr(colon + 1))))
            limits[std::string{trimmed(item.substr(0, colon))}] = *count;
    }
    return limits;
}

}  // namespace pgtorii::config
