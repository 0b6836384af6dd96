#include "config/pool_hba_options.hpp"
#include "config/text.hpp"

#include <charconv>
#include <optional>
#include <string>

namespace pgtorii::config {
namespace {

/// `text` with %xx as bytes, or nothing when it has a percent sign without two digits, or a zero.
std::optional<std::string> decoded(std::string_view text)
{
    std::string made;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '%') {
            made += text[at];
            continue;
        }
        unsigned value = 0;
        const auto digits = text.substr(at + 1, 2);
        const auto* const end = digits.data() + digits.size();
        const auto read = std::from_chars(digits.data(), end, value, 16);
        if (digits.size() != 2 || read.ptr != end || value == 0) return std::nullopt;
        made += static_cast<char>(value);
        at += 2;
    }
    return made;
}

/// The text up to `mark`, taken off the head of `rest` with it.
std::string_view take_up_to(std::string_view& rest, char mark)
{
    const auto end = rest.find(mark);
    const auto taken = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    return taken;
}

bool read_scope(std::string_view text, ldap_scope& scope)
{
    if (text.empty() || text == "base") {
        scope = ldap_scope::base;  // the default of the URL, not of the method
    } else if (text == "one") {
        scope = ldap_scope::one;
    } else if (text == "sub") {
        scope = ldap_scope::subtree;
    } else {
        return false;
    }
    return true;
}

bool read_server(std::string_view text, ldap_options& into)
{
    const bool is_ipv6 = text.starts_with('[');
    const auto host_end = is_ipv6 ? text.find(']') : text.find(':');
    if (is_ipv6 && host_end == text.npos) return false;
    auto port =
        host_end == text.npos ? std::string_view{} : text.substr(host_end + (is_ipv6 ? 1U : 0U));
    auto server = decoded(is_ipv6 ? text.substr(0, host_end + 1) : text.substr(0, host_end));
    if (!server) return false;
    into.server = std::move(*server);
    if (port.empty()) return true;
    if (!port.starts_with(':')) return false;
    port.remove_prefix(1);
    const auto* const end = port.data() + port.size();
    const auto read = std::from_chars(port.data(), end, into.port);
    return read.ec == std::errc{} && read.ptr == end && into.port > 0;
}

}  // namespace

std::optional<problem> read_ldap_url(std::string_view text, ldap_options& into)
{
    const problem wrong{"the LDAP URL can't be read",
                        "Write ldap://host:port/base?attribute?scope?filter."};
    constexpr std::uint16_t port_of_ldap = 389;
    constexpr std::uint16_t port_of_ldaps = 636;
    const auto lower = lower_case(text);
    into.is_ldaps = lower.starts_with("ldaps://");
    if (!into.is_ldaps && !lower.starts_with("ldap://")) return wrong;
    into.port = into.is_ldaps ? port_of_ldaps : port_of_ldap;
    auto rest = text.substr(text.find("//") + 2);
    if (!read_server(take_up_to(rest, '/'), into)) return wrong;
    const auto base = decoded(take_up_to(rest, '?'));
    const auto attributes = decoded(take_up_to(rest, '?'));
    const auto scope = take_up_to(rest, '?');
    const auto filter = decoded(take_up_to(rest, '?'));
    if (!base || !attributes || !filter || !read_scope(scope, into.scope)) return wrong;
    if (!rest.empty()) return problem{"the LDAP URL has extensions, which are not supported", {}};
    into.base_name = *base;
    // One attribute is of use; of several the first, as PostgreSQL takes it.
    into.search_attribute = attributes->substr(0, attributes->find(','));
    into.search_filter = *filter;
    return std::nullopt;
}

}  // namespace pgtorii::config
