#include "config/pool_hba_options.hpp"

#include "config/text.hpp"

#include <fmt/format.h>

#include <charconv>

namespace pgtorii::config {
namespace {

using set_function = std::optional<problem> (*)(hba_record& record, std::string_view value);

/// What happens to an option on another method than its own.
enum class elsewhere : std::uint8_t {
    error,
    warning,  // Pgpool-II only logs it
};

constexpr unsigned bit(hba_method method)
{
    return 1U << static_cast<unsigned>(method);
}
constexpr unsigned any_method = ~0U;

struct option_row {
    std::string_view name;
    unsigned methods = any_method;
    elsewhere on_others = elsewhere::error;
    set_function set = nullptr;
};

std::optional<problem> wrong_value(std::string_view value, std::string hint)
{
    return problem{fmt::format("{} is no value of this option", in_quotes(value)), std::move(hint)};
}

std::optional<problem> set_switch(bool& target, std::string_view value)
{
    if (value != "0" && value != "1") return wrong_value(value, "Write 0 or 1.");
    target = value == "1";
    return std::nullopt;
}

template <std::string ldap_options::* member>
std::optional<problem> set_ldap(hba_record& record, std::string_view value)
{
    record.ldap.get()->*member = value;
    return std::nullopt;
}

std::optional<problem> set_ldap_port(hba_record& record, std::string_view value)
{
    const auto* const end = value.data() + value.size();
    const auto read = std::from_chars(value.data(), end, record.ldap->port);
    if (read.ec == std::errc{} && read.ptr == end && record.ldap->port > 0) return std::nullopt;
    return wrong_value(value, "Write a port number from 1 to 65535.");
}

std::optional<problem> set_ldap_scheme(hba_record& record, std::string_view value)
{
    if (value != "ldap" && value != "ldaps") return wrong_value(value, "Write ldap or ldaps.");
    record.ldap->is_ldaps = value == "ldaps";
    return std::nullopt;
}

std::optional<problem> set_client_certificate(hba_record& record, std::string_view value)
{
    if (record.kind != hba_kind::hostssl)
        return problem{"clientcert is for hostssl records only", {}};
    if (value == "verify-full") {
        record.certificate = client_certificate::verify_full;
    } else if (value == "verify-ca" && record.method != hba_method::cert) {
        record.certificate = client_certificate::verify_ca;
    } else {
        return wrong_value(value, record.method == hba_method::cert
                                      ? "With the method cert only verify-full makes sense."
                                      : "Write verify-ca or verify-full.");
    }
    return std::nullopt;
}

std::optional<problem> set_certificate_name(hba_record& record, std::string_view value)
{
    if (record.kind != hba_kind::hostssl)
        return problem{"clientname is for hostssl records only", {}};
    if (value != "CN" && value != "DN") return wrong_value(value, "Write CN or DN.");
    record.name_in_certificate =
        value == "DN" ? certificate_name::distinguished_name : certificate_name::common_name;
    return std::nullopt;
}

constexpr unsigned of_ldap = bit(hba_method::ldap);

constexpr option_row option_rows[] = {
    {"map", bit(hba_method::cert), elsewhere::error,
     [](hba_record& record, std::string_view value) -> std::optional<problem> {
         record.map = value;
         return std::nullopt;
     }},
    {"clientcert", any_method, elsewhere::error, set_client_certificate},
    {"clientname", any_method, elsewhere::error, set_certificate_name},
    {"pamservice", bit(hba_method::pam), elsewhere::warning,
     [](hba_record& record, std::string_view value) -> std::optional<problem> {
         if (value.empty()) return wrong_value(value, "Write the name of a PAM service.");
         record.pam_service = value;
         return std::nullopt;
     }},
    {"pam_use_hostname", bit(hba_method::pam), elsewhere::warning,
     [](hba_record& record, std::string_view value) {
         return set_switch(record.pam_uses_host_name, value);
     }},
    {"backend_use_passwd", of_ldap | bit(hba_method::pam) | bit(hba_method::password),
     elsewhere::warning,
     [](hba_record& record, std::string_view value) {
         return set_switch(record.passes_password_on, value);
     }},
    {"ldapserver", of_ldap, elsewhere::error, set_ldap<&ldap_options::server>},
    {"ldapport", of_ldap, elsewhere::error, set_ldap_port},
    {"ldapscheme", of_ldap, elsewhere::error, set_ldap_scheme},
    {"ldaptls", of_ldap, elsewhere::error,
     [](hba_record& record, std::string_view value) {
         return set_switch(record.ldap->starts_tls, value);
     }},
    {"ldapbinddn", of_ldap, elsewhere::error, set_ldap<&ldap_options::bind_name>},
    {"ldapbindpasswd", of_ldap, elsewhere::error,
     [](hba_record& record, std::string_view value) -> std::optional<problem> {
         record.ldap->bind_password = secret{value};
         return std::nullopt;
     }},
    {"ldapsearchattribute", of_ldap, elsewhere::error, set_ldap<&ldap_options::search_attribute>},
    {"ldapsearchfilter", of_ldap, elsewhere::error, set_ldap<&ldap_options::search_filter>},
    {"ldapbasedn", of_ldap, elsewhere::error, set_ldap<&ldap_options::base_name>},
    {"ldapprefix", of_ldap, elsewhere::error, set_ldap<&ldap_options::prefix>},
    {"ldapsuffix", of_ldap, elsewhere::error, set_ldap<&ldap_options::suffix>},
    {"ldapurl", of_ldap, elsewhere::error,
     [](hba_record& record, std::string_view value) { return read_ldap_url(value, *record.ldap); }},
};

}  // namespace

option_outcome apply_option(hba_record& record, std::string_view text)
{
    const auto equals = text.find('=');
    if (equals == text.npos)
        return {.error = problem{fmt::format("{} is no option", in_quotes(text)),
                                 "Options are written name=value."}};
    const auto name = text.substr(0, equals);
    for (const auto& row : option_rows) {
        if (row.name != name) continue;
        if ((row.methods & bit(record.method)) == 0) {
            problem wrong{fmt::format("option {} does not belong to the method {}", name,
                                      word_of(record.method)),
                          {}};
            if (row.on_others == elsewhere::error) return {.error = std::move(wrong)};
            return {.warning = std::move(wrong)};
        }
        auto wrong = row.set(record, text.substr(equals + 1));
        if (wrong) wrong->message = fmt::format("{}: {}", name, wrong->message);
        return {.error = std::move(wrong)};
    }
    return {.error = problem{fmt::format("unknown option {}", in_quotes(name)), {}}};
}

option_outcome check_options(const hba_record& record)
{
    const bool has_tls_certificates = record.kind == hba_kind::hostssl;
    if (record.method == hba_method::cert && !has_tls_certificates) {
        const bool can_be_tls =
            record.kind == hba_kind::host || record.kind == hba_kind::hostnogssenc;
        return {.warning = problem{can_be_tls ? "without TLS, the method cert refuses everybody"
                                              : "the method cert refuses everybody here",
                                   "Write hostssl."}};
    }
    if (record.method != hba_method::ldap) return {};
    const auto& ldap = *record.ldap;
    const auto refuse = [](std::string why) {
        return option_outcome{.error = problem{std::move(why), {}}};
    };
    if (ldap.server.empty()) return refuse("the method ldap needs ldapserver or ldapurl");
    const bool has_affixes = !ldap.prefix.empty() || !ldap.suffix.empty();
    const bool has_search = ldap.searches() || !ldap.bind_name.empty() ||
                            !ldap.bind_password.empty() || !ldap.search_attribute.empty() ||
                            !ldap.search_filter.empty();
    if (has_affixes && has_search)
        return refuse("ldapprefix and ldapsuffix don't go with the options of a search");
    if (!has_affixes && !ldap.searches())
        return refuse("the method ldap needs ldapbasedn, ldapprefix or ldapsuffix");
    if (!ldap.search_attribute.empty() && !ldap.search_filter.empty())
        return refuse("of ldapsearchattribute and ldapsearchfilter only one can be set");
    return {};
}

}  // namespace pgtorii::config
