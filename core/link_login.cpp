#include "core/link_login.hpp"

#include "protocol/message.hpp"
#include "protocol/server_messages.hpp"

#include <fmt/format.h>

namespace pgtorii::core {

link_login::link_login(server_link& link, std::string_view user, bool relays)
    : link_(link),
      user_(user),
      relays_(relays)
{
}

void link_login::feed(std::span<const std::byte> received)
{
    message_ = {};
    received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(used_));
    used_ = 0;
    received_.insert(received_.end(), received.begin(), received.end());
}

/// Works off messages until one of them is the owner's matter.
link_login::step link_login::next()
{
    for (;;) {
        const auto rest = std::span<const std::byte>{received_}.subspan(used_);
        const auto header = protocol::peek_header(rest);
        if (!header) return step::need_more;
        if (protocol::check_server_header(*header) || header->total() > message_bytes_max) {
            return fail("the server sent a malformed message");
        }
        if (rest.size() < header->total()) return step::need_more;
        message_ = rest.first(header->total());
        used_ += header->total();
        const auto made = on_message(header->type);
        if (made != step::need_more) return made;
    }
}

link_login::step link_login::fail(std::string_view why)
{
    outcome_.what = opening::outcome::unreachable;
    outcome_.error.message = why;
    return step::failed;
}

/// need_more: nothing that the owner has to know.
link_login::step link_login::on_message(char type)
{
    const auto body = message_.subspan(protocol::frame_header::size);
    switch (type) {
    case 'R': return on_challenge(body);
    case 'S':
        if (const auto told = protocol::read_parameter_status(body)) {
            link_.parameters.emplace_back(told->name, told->value);
        }
        return step::need_more;
    case 'K':
        if (const auto key = protocol::read_backend_key_data(body)) {
            link_.backend_pid = key->pid;
            link_.cancel_secret.assign(key->secret.begin(), key->secret.end());
        }
        return step::need_more;
    case 'N': return step::notice;
    case 'E':
        outcome_.what = opening::outcome::refused;
        outcome_.error = protocol::read_error(body).to_error();
        return step::failed;
    case 'Z':
        if (!link_.is_authenticated) break;
        // Nothing may follow that nobody has asked for.
        if (used_ != received_.size()) return fail("the server sent more than was asked for");
        link_.status = 'I';
        link_.is_message_cut = false;
        outcome_.what = opening::outcome::ready;
        return step::ready;
    default: break;
    }
    return fail("the server sent an unexpected message during login");
}

link_login::step link_login::on_challenge(std::span<const std::byte> body)
{
    const auto asked = protocol::read_authentication(body);
    if (!asked) return fail("the server sent a malformed message");
    using code = protocol::authentication_code;
    if (asked->is(code::ok)) {
        link_.is_authenticated = true;  // our welcome has an AuthenticationOk of its own
        return step::need_more;
    }
    if (!relays_) {
        outcome_.what = opening::outcome::challenged;
        outcome_.error = {.sqlstate = "28000",
                          .message =
                              fmt::format("server {} asks user \"{}\" for a password, which is "
                                          "not at hand",
                                          link_.node(), user_)};
        return step::failed;
    }
    // Others need what a relay can't give.
    const bool is_sasl = asked->is(code::sasl) || asked->is(code::sasl_continue);
    if (!asked->is(code::cleartext_password) && !asked->is(code::md5_password) && !is_sasl &&
        !asked->is(code::sasl_final)) {
        outcome_.what = opening::outcome::challenged;
        outcome_.error = {.sqlstate = "28000",
                          .message =
                              fmt::format("authentication method {} requested by server {} can't "
                                          "be passed through",
                                          asked->code, link_.node())};
        return step::failed;
    }
    link_.was_challenged = true;
    return asked->is(code::sasl_final) ? step::tell : step::ask;
}

}  // namespace pgtorii::core
