#include "admin/route_log_record.hpp"

#include "routing/lexer.hpp"

namespace pgtorii::admin::route {

namespace {

bool take_prefix(std::string_view& text, std::string_view prefix)
{
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

/// "duration: 0.123 ms  " before a statement that has been completed.
bool take_duration(std::string_view& text)
{
    auto rest = text;
    if (!take_prefix(rest, "duration: ")) return false;
    while (!rest.empty() && (routing::is_digit(rest.front()) || rest.front() == '.'))
        rest.remove_prefix(1);
    if (!take_prefix(rest, " ms  ")) return false;
    text = rest;
    return true;
}

/// The text of "statement: ..." or of "execute name: ..." and "execute name/portal: ...".
bool take_statement(std::string_view& text, bool& is_extended)
{
    is_extended = false;
    if (take_prefix(text, "statement: ")) return true;
    // A further fetch from a portal is none: it goes where the portal is.
    if (text.starts_with("execute fetch from ") || !take_prefix(text, "execute ")) return false;
    const auto end = text.find(": ");
    if (end == std::string_view::npos) return false;
    text.remove_prefix(end + 2);
    is_extended = true;
    return true;
}

}  // namespace

bool take_record(const log_record& record, const limits& bounds, const sink& take)
{
    event found;
    found.session = record.session;
    found.user = record.user;
    found.database = record.database;
    found.application = record.application;
    found.line = record.line;
    const auto give = [&](event_kind what, std::string_view sql) {
        found.what = what;
        found.is_cut = sql.size() > bounds.text_bytes_max;
        found.sql = sql.substr(0, bounds.text_bytes_max);
        take(found);
        return true;
    };
    if (record.severity == "LOG") {
        if (record.message.starts_with("disconnection: ")) return give(event_kind::end, {});
        auto text = record.message;
        found.is_completed = take_duration(text);
        return take_statement(text, found.is_extended) && give(event_kind::statement, text);
    }
    // Errors of the server's own processes are nobody's.
    if (record.user.empty()) return false;
    if (record.severity == "ERROR") return give(event_kind::failure, record.statement);
    if (record.severity == "FATAL") return give(event_kind::end, {});
    return false;
}

}  // namespace pgtorii::admin::route
