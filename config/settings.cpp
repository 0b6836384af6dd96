#include "config/settings.hpp"

#include "config/parameter.hpp"
#include "core/base/always_assert.hpp"

#include <algorithm>

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

}  // namespace pgtorii::config
