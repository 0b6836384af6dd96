// What log_client_messages and log_per_node_statement write: scripts read these words.

#include "core/client_session.hpp"

#include "protocol/client_messages.hpp"
#include "protocol/message.hpp"

#include <fmt/format.h>

namespace pgtorii::core {

/// Those of `bytes` that are there as a whole.
void client_session::log_client_messages(std::span<const std::byte> bytes) const
{
    for (std::size_t at = 0; at < bytes.size();) {
        const auto header = protocol::peek_header(bytes.subspan(at));
        if (!header) return;
        const bool is_whole = bytes.size() - at >= header->total();
        if (is_whole) log_client_message(header->type, bytes.subspan(at + 5, header->body_size()));
        at += header->total();
    }
}

void client_session::log_client_message(char type, std::span<const std::byte> body) const
{
    std::string detail;
    const auto named = [](char kind, std::string_view name) {
        return kind == 'P' ? fmt::format("portal: \"{}\"", name)
                           : fmt::format("statement: \"{}\"", name);
    };
    switch (type) {
    case 'Q':
        if (const auto sql = protocol::read_query(body))
            detail = fmt::format("query: \"{}\"", *sql);
        break;
    case 'P':
        if (const auto parse = protocol::read_parse(body)) {
            detail =
                fmt::format("statement: \"{}\", query: \"{}\"", parse->statement, parse->query);
        }
        break;
    case 'B':
        if (const auto bind = protocol::read_bind(body)) {
            detail =
                fmt::format("portal: \"{}\", statement: \"{}\"", bind->portal, bind->statement);
        }
        break;
    case 'D':
        if (const auto each = protocol::read_describe(body)) detail = named(each->kind, each->name);
        break;
    case 'C':
        if (const auto each = protocol::read_close(body)) detail = named(each->kind, each->name);
        break;
    case 'E':
        if (const auto execute = protocol::read_execute(body)) detail = named('P', execute->portal);
        break;
    case 'F':
        if (const auto call = protocol::read_function_call(body))
            detail = fmt::format("oid: \"{}\"", call->function_oid);
        break;
    case 'd': detail = fmt::format("count: {}", body.size()); break;
    default: break;
    }
    log(config::message_level::log,
        fmt::format("{} message from frontend.",
                    protocol::name_of(protocol::direction::from_client, type)),
        detail);
}

void client_session::log_node_statement(const server_link& link, std::string_view prefix,
                                        std::string_view text)
{
    if (settings_->log_per_node_statement) {
        log(config::message_level::log,
            fmt::format("DB node id: {} backend pid: {} statement: {}{}", link.node(),
                        link.backend_pid, prefix, text),
            fmt::format("route: {}", routing::text_of(reason_)));
    }
    if (settings_->notice_per_node_statement) {
        protocol::message_buffer notice;
        notice.notice_response(
            {.severity = "NOTICE",
             .sqlstate = "00000",
             .message = fmt::format("DB node id: {} statement: {}{}", link.node(), prefix, text)});
        send_client(notice.bytes());
    }
}

}  // namespace pgtorii::core
