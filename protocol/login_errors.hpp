#pragma once

#include "core/base/result.hpp"
#include "protocol/pg_error.hpp"

#include <string_view>

/// What a client is told when it may not log in: FATAL, in PostgreSQL's words and SQLSTATEs, on
/// which drivers and pools branch (28P01: the password; 28000: the rules). No text tells more than
/// what the client has sent itself, and none whether the user exists.
/// Source: PostgreSQL, auth.c and auth-scram.c; Pgpool-II's words for pool_hba.conf.
namespace pgtorii::protocol {

/// A user who is unknown, has no password or gave a wrong one.
pg_error password_failed(std::string_view user);
pg_error empty_password();
/// `method` as PostgreSQL names it: "PAM", "LDAP", "certificate".
pg_error authentication_failed(std::string_view method, std::string_view user);
pg_error certificate_demanded();

/// No record of pool_hba.conf fits, or one that rejects. `host` is an address, or empty for a Unix
/// socket.
struct hba_refusal {
    std::string_view host;
    std::string_view user;
    std::string_view database;
    bool is_encrypted = false;
    bool is_replication = false;  ///< Physical: there is no database.
};
pg_error refused_by_hba(const hba_refusal& client);

/// Another message than the password or the SASL message that was asked for.
pg_error unexpected_answer(bool wants_sasl, char type);
/// A body that read_password or a SASL reader has refused.
pg_error malformed_answer(bool wants_sasl);
pg_error authentication_late();

/// What becomes of an error of scram_server; `user` is the one of the start-up message.
pg_error scram_failed(const error_code& why, std::string_view user);

}  // namespace pgtorii::protocol
