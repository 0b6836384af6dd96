#include "protocol/login_errors.hpp"

#include "protocol/error.hpp"

#include <fmt/format.h>

#include <utility>

namespace pgtorii::protocol {
namespace {

pg_error fatal(std::string_view code, std::string message, std::string_view detail = {})
{
    pg_error made;
    made.severity = "FATAL";
    made.sqlstate = code;
    made.message = std::move(message);
    made.detail = detail;
    return made;
}

pg_error violation(std::string message, std::string_view detail = {})
{
    return fatal(sqlstate::protocol_violation, std::move(message), detail);
}

pg_error forbidden(std::string message, std::string_view detail = {})
{
    return fatal(sqlstate::invalid_authorization_specification, std::move(message), detail);
}

constexpr const char* malformed = "malformed SCRAM message";

}  // namespace

pg_error password_failed(std::string_view user)
{
    return fatal(sqlstate::invalid_password,
                 fmt::format("password authentication failed for user \"{}\"", user));
}

pg_error empty_password()
{
    return fatal(sqlstate::invalid_password, "empty password returned by client");
}

pg_error authentication_failed(std::string_view method, std::string_view user)
{
    return forbidden(fmt::format("{} authentication failed for user \"{}\"", method, user));
}

pg_error certificate_demanded()
{
    return forbidden("connection requires a valid client certificate");
}

pg_error refused_by_hba(const hba_refusal& client)
{
    const auto* const tls = client.is_encrypted ? "SSL on" : "SSL off";
    const auto host = client.host.empty() ? std::string_view{"[local]"} : client.host;
    if (client.is_replication)
        return forbidden(fmt::format("no pool_hba.conf entry for replication connection from host "
                                     "\"{}\", user \"{}\", {}",
                                     host, client.user, tls));
    return forbidden(
        fmt::format("no pool_hba.conf entry for host \"{}\", user \"{}\", database \"{}\", {}",
                    host, client.user, client.database, tls));
}

pg_error unexpected_answer(bool wants_sasl, char type)
{
    return violation(fmt::format("expected {} response, got message type {}",
                                 wants_sasl ? "SASL" : "password",
                                 unsigned{static_cast<unsigned char>(type)}));
}

pg_error malformed_answer(bool wants_sasl)
{
    return violation(wants_sasl ? "invalid SASL message" : "invalid password packet size");
}

pg_error authentication_late()
{
    return fatal(sqlstate::query_canceled, "canceling authentication due to timeout");
}

pg_error scram_failed(const error_code& why, std::string_view user)
{
    if (why.category() != error_category()) return password_failed(user);
    switch (static_cast<errc>(why.value())) {
    case errc::scram_mechanism_unknown:
        return violation("client selected an invalid SASL authentication mechanism");
    case errc::scram_client_malformed: return violation(malformed);
    case errc::scram_binding_not_selected:
        return violation(malformed, "The client selected SCRAM-SHA-256 without channel binding, "
                                    "but the SCRAM message includes channel binding data.");
    case errc::scram_binding_missing:
        return violation(malformed, "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message "
                                    "does not include channel binding data.");
    case errc::scram_binding_denied:
        return forbidden("SCRAM channel binding negotiation error",
                         "The client supports SCRAM channel binding but thinks the server does "
                         "not.  However, this server does support channel binding.");
    case errc::scram_binding_unsupported:
        return violation("unsupported SCRAM channel-binding type");
    case errc::scram_binding_unexpected:
        return violation("unexpected SCRAM channel-binding attribute in client-final-message");
    case errc::scram_binding_wrong: return forbidden("SCRAM channel binding check failed");
    case errc::scram_identity_unsupported:
        return fatal(sqlstate::feature_not_supported,
                     "client uses authorization identity, but it is not supported");
    case errc::scram_extension_unsupported:
        return fatal(sqlstate::feature_not_supported,
                     "client requires an unsupported SCRAM extension");
    case errc::scram_nonce_unprintable: return violation("non-printable characters in SCRAM nonce");
    case errc::scram_nonce_wrong:
        return violation("invalid SCRAM response", "Nonce does not match.");
    default: return password_failed(user);  // the proof, or a library that refuses
    }
}

}  // namespace pgtorii::protocol
