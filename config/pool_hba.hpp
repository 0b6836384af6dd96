#pragma once

#include "config/auth_lines.hpp"
#include "config/auth_name.hpp"
#include "config/ip_address.hpp"
#include "config/secret.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// pool_hba.conf: who may log in, from where, and how he proves himself. What Pgpool-II's manual
/// says of the file, and what PostgreSQL's pg_hba.conf has learned since.
/// Source: Pgpool-II, auth-pool-hba-conf; PostgreSQL, auth-pg-hba-conf.
namespace pgtorii::config {

/// Which connections a record is for.
enum class hba_kind : std::uint8_t {
    local,
    host,
    hostssl,
    hostnossl,
    hostgssenc,    ///< Matches nothing: there is no GSS encryption here.
    hostnogssenc,  ///< As host.
};

/// How the client proves himself.
enum class hba_method : std::uint8_t {
    trust,
    reject,
    md5,
    scram_sha_256,
    password,
    cert,
    pam,
    ldap,
};

/// As the file names it.
std::string_view word_of(hba_kind kind);
std::string_view word_of(hba_method method);

enum class client_certificate : std::uint8_t {
    not_demanded,
    verify_ca,    ///< One that the CA has signed.
    verify_full,  ///< And that names the user; always so with the method cert.
};

/// Which name of a certificate is the user's.
enum class certificate_name : std::uint8_t { common_name, distinguished_name };

enum class ldap_scope : std::uint8_t { base, one, subtree };

struct ldap_options {
    std::string server;  ///< One or more, separated by blanks.
    std::uint16_t port = 389;
    bool is_ldaps = false;
    bool starts_tls = false;
    std::string bind_name;
    secret bind_password;
    std::string search_attribute;
    std::string search_filter;
    std::string base_name;
    ldap_scope scope = ldap_scope::subtree;
    std::string prefix;
    std::string suffix;

    /// Search for the user's entry first; else prefix + user + suffix is its name.
    bool searches() const { return !base_name.empty(); }
};

/// The address of a record.
struct any_address {};
struct same_host {};     ///< An address of this machine.
struct same_network {};  ///< An address of a network that this machine is in.
struct host_name {
    std::string text;  ///< In lower case; a name, or with a dot before it what names end with.
};
using hba_address = std::variant<any_address, ip_network, same_host, same_network, host_name>;

struct hba_record {
    hba_kind kind = hba_kind::local;
    std::vector<auth_name> databases;
    std::vector<auth_name> users;
    hba_address address;
    hba_method method = hba_method::reject;

    std::string map;  ///< Of cert, in pool_ident.conf; empty: the names must be equal.
    client_certificate certificate = client_certificate::not_demanded;
    certificate_name name_in_certificate = certificate_name::common_name;
    std::string pam_service = "pgpool";
    bool pam_uses_host_name = false;
    /// The password that the client has typed is for the server too.
    bool passes_password_on = false;
    std::unique_ptr<ldap_options> ldap;  ///< Of the method ldap, never null there.

    std::string file;
    std::size_t line = 0;
};

/// How a client connects for replication: not, as a whole server, or to one database.
enum class hba_replication : std::uint8_t { none, physical, database };

/// What decides which record a client gets.
struct hba_question {
    bool is_local = false;      ///< By a Unix socket.
    bool is_encrypted = false;  ///< The socket speaks TLS.
    ip_address peer;            ///< Of the others.
    std::string_view database;
    std::string_view user;
    hba_replication replication = hba_replication::none;

    enum class name_state : std::uint8_t {
        not_asked,
        unknown,  ///< It has none, or the name does not lead back to the address.
        known,
    };
    /// Of the peer's name: which the address has (getnameinfo) and which leads back to it
    /// (getaddrinfo). Look it up when the answer is needs_name.
    name_state name = name_state::not_asked;
    std::string_view peer_name;

    /// Networks of this machine's interfaces, each with the machine's own address in it.
    struct interface {
        ip_address address;
        ip_network network;
    };
    std::span<const interface> interfaces;
    membership is_in_role;  ///< May be empty.
};

struct hba_answer {
    enum class kind : std::uint8_t {
        none,        ///< No record: the client is refused.
        found,       ///< `record` is not null.
        needs_name,  ///< Ask again when the peer's name has been looked up.
    };
    kind what = kind::none;
    const hba_record* record = nullptr;  ///< As long as the pool_hba lives.
};

/// The records of a file. Immutable after loading; safe to use from all threads.
class pool_hba {
public:
    pool_hba() = default;
    explicit pool_hba(std::vector<hba_record> records) : records_(std::move(records)) {}

    /// The first record that fits. A pure function; takes time linear in the number of names.
    hba_answer match(const hba_question& asked) const;

    const std::vector<hba_record>& records() const { return records_; }

private:
    std::vector<hba_record> records_;
};

struct pool_hba_outcome {
    pool_hba rules;  ///< Empty when there are errors: one bad line refuses the whole file.
    std::vector<diagnostic> diagnostics;

    bool has_errors() const;
};

/// Reads pool_hba.conf and the files that it names. `has_tls`: ssl is on; without it a remark tells
/// of records that can't match. Bounds: see auth_lines, and 1,000 regular expressions.
pool_hba_outcome load_pool_hba(const std::string& path, bool has_tls,
                               file_source source = file_source::of_disk());
/// The same for a text; `name` stands for the file.
pool_hba_outcome load_pool_hba_text(const std::string& name, std::string_view text, bool has_tls,
                                    file_source source = file_source::of_disk());

}  // namespace pgtorii::config
