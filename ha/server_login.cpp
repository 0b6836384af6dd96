#include "ha/server_login.hpp"

#include "ha/error.hpp"
#include "ha/number_text.hpp"
#include "protocol/byte_reader.hpp"

#include <utility>

namespace pgtorii::ha {

server_login::server_login(check_login login, protocol::message_buffer& out)
    : login_(std::move(login)),
      out_(out)
{
    out_.startup_message(login_.user, login_.database, {});
}

server_login::outcome server_login::on_message(char type, std::span<const std::byte> body)
{
    switch (type) {
    case 'N':
    case 'A':
    case 'K':
    case 'v': return outcome::pending;
    case 'S': return on_parameter(body);
    case 'E': return on_error(body);
    case 'R':
        if (!is_authenticated_) return on_authentication(body);
        break;
    case 'Z':
        if (is_authenticated_) return outcome::ready;
        break;
    default: break;
    }
    return fail(errc::reply_unexpected);
}

server_login::outcome server_login::on_authentication(std::span<const std::byte> body)
{
    const auto asked = protocol::read_authentication(body);
    if (!asked) return fail(errc::reply_malformed);
    if (asked->is(protocol::authentication_code::ok)) {
        // A server that skips its own proof may be anybody.
        if (scram_ && sasl_ != sasl_step::verified) return fail(errc::reply_unexpected);
        is_authenticated_ = true;
        return outcome::pending;
    }
    if (login_.password.empty()) return refuse(errc::password_missing);
    return answer(*asked);
}

server_login::outcome server_login::answer(const protocol::authentication_message& asked)
{
    using enum protocol::authentication_code;
    if (asked.is(sasl) || asked.is(sasl_continue) || asked.is(sasl_final)) {
        return answer_sasl(asked);
    }
    if (asked.is(cleartext_password)) {
        out_.password_message(login_.password);
        return outcome::pending;
    }
    if (!asked.is(md5_password)) return refuse(errc::authentication_unsupported);
    const auto salt = protocol::read_md5_salt(asked);
    if (!salt) return fail(errc::reply_malformed);
    const auto proof = protocol::md5_response(login_.user, login_.password, *salt);
    if (!proof) return refuse(proof.error());
    out_.password_message(*proof);
    return outcome::pending;
}

server_login::outcome server_login::answer_sasl(const protocol::authentication_message& asked)
{
    using enum protocol::authentication_code;
    if (asked.is(sasl) && sasl_ == sasl_step::none) {
        const auto mechanisms = protocol::read_sasl_mechanisms(asked);
        if (!mechanisms) return fail(errc::reply_malformed);
        if (!mechanisms->contains(protocol::scram_sha_256)) {
            return refuse(errc::authentication_unsupported);
        }
        auto nonce = protocol::scram_client::make_nonce();
        if (!nonce) return refuse(nonce.error());
        scram_.emplace(login_.password, std::move(*nonce));
        out_.sasl_initial_response(protocol::scram_sha_256, scram_->first_message());
        sasl_ = sasl_step::first_sent;
    } else if (asked.is(sasl_continue) && sasl_ == sasl_step::first_sent) {
        const auto final_message = scram_->final_message(protocol::as_text(asked.rest));
        if (!final_message) return fail(final_message.error());
        out_.sasl_response(*final_message);
        sasl_ = sasl_step::final_sent;
    } else if (asked.is(sasl_final) && sasl_ == sasl_step::final_sent) {
        const auto failure = scram_->verify(protocol::as_text(asked.rest));
        if (failure) return fail(failure);
        sasl_ = sasl_step::verified;
    } else {
        return fail(errc::reply_unexpected);
    }
    return outcome::pending;
}

server_login::outcome server_login::on_error(std::span<const std::byte> body)
{
    const auto fields = protocol::read_error(body);
    sqlstate_ = fields.sqlstate.value_or(std::string_view{});
    message_ = fields.message.value_or(std::string_view{});
    return refuse(errc::server_refused);
}

server_login::outcome server_login::on_parameter(std::span<const std::byte> body)
{
    const auto told = protocol::read_parameter_status(body);
    if (!told) return fail(errc::reply_malformed);
    if (told->name == "server_version") {
        const auto major = told->value.substr(0, told->value.find_first_not_of("0123456789"));
        major_version_ = number_from<int>(major, 10).value_or(0);
    }
    return outcome::pending;
}

server_login::outcome server_login::fail(error_code why)
{
    failure_ = why;
    return outcome::failed;
}

server_login::outcome server_login::refuse(error_code why)
{
    failure_ = why;
    return outcome::refused;
}

}  // namespace pgtorii::ha
