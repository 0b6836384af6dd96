#include "config/pool_hba.hpp"

#include "config/pool_hba_options.hpp"
#include "config/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace pgtorii::config {
namespace {

constexpr std::size_t expressions_max = 1'000;

constexpr std::array kind_words{
    std::pair{std::string_view{"local"}, hba_kind::local},
    std::pair{std::string_view{"host"}, hba_kind::host},
    std::pair{std::string_view{"hostssl"}, hba_kind::hostssl},
    std::pair{std::string_view{"hostnossl"}, hba_kind::hostnossl},
    std::pair{std::string_view{"hostgssenc"}, hba_kind::hostgssenc},
    std::pair{std::string_view{"hostnogssenc"}, hba_kind::hostnogssenc},
};
constexpr std::array method_words{
    std::pair{std::string_view{"trust"}, hba_method::trust},
    std::pair{std::string_view{"reject"}, hba_method::reject},
    std::pair{std::string_view{"md5"}, hba_method::md5},
    std::pair{std::string_view{"scram-sha-256"}, hba_method::scram_sha_256},
    std::pair{std::string_view{"password"}, hba_method::password},
    std::pair{std::string_view{"cert"}, hba_method::cert},
    std::pair{std::string_view{"pam"}, hba_method::pam},
    std::pair{std::string_view{"ldap"}, hba_method::ldap},
};

template <class Words, class Value>
bool find_word(const Words& words, std::string_view text, Value& value)
{
    const auto* found = std::ranges::find(words, text, &Words::value_type::first);
    if (found == words.end()) return false;
    value = found->second;
    return true;
}

template <class Words, class Value>
std::string_view find_text(const Words& words, Value value)
{
    return std::ranges::find(words, value, &Words::value_type::second)->first;
}

/// Thrown away with the record that it is about.
struct bad_record {
    problem why;
};

/// Makes a record of the fields of one line.
class record_reader {
public:
    record_reader(const auth_line& line, std::size_t& expression_count)
        : line_(line),
          expression_count_(expression_count)
    {
    }

    /// Throws bad_record. Warnings are in warnings().
    hba_record read()
    {
        hba_record made;
        made.file = line_.file;
        made.line = line_.line;
        const auto& kind = one("the connection type");
        if (!find_word(kind_words, kind.text, made.kind))
            refuse(fmt::format("invalid connection type {}", in_quotes(kind.text)),
                   "Write local, host, hostssl, hostnossl, hostgssenc or hostnogssenc.");
        made.databases = names("the database", database_name_of);
        made.users = names("the user", user_name_of);
        if (made.kind != hba_kind::local) made.address = address();
        const auto& method = one("the authentication method");
        if (!find_word(method_words, method.text, made.method))
            refuse(fmt::format("invalid authentication method {}", in_quotes(method.text)),
                   "Write trust, reject, md5, scram-sha-256, password, cert, pam or ldap.");
        if (made.method == hba_method::cert) made.certificate = client_certificate::verify_full;
        if (made.method == hba_method::ldap) made.ldap = std::make_unique<ldap_options>();
        options(made);
        warn_of_roles(made);
        return made;
    }

    const std::vector<problem>& warnings() const { return warnings_; }

private:
    [[noreturn]] static void refuse(std::string message, std::string hint = {})
    {
        throw bad_record{{std::move(message), std::move(hint)}};
    }

    const auth_field& next(std::string_view what)
    {
        if (at_ == line_.fields.size()) refuse(fmt::format("the line ends before {}", what));
        return line_.fields[at_++];
    }

    const auth_token& one(std::string_view what)
    {
        const auto& field = next(what);
        if (field.size() != 1) refuse(fmt::format("{} is one word, not a list", what));
        return field[0];
    }

    template <class Read>
    std::vector<auth_name> names(std::string_view what, Read read_name)
    {
        std::vector<auth_name> made;
        for (const auto& token : next(what)) {
            auto name = read_name(token);
            if (!name) throw bad_record{name.error()};
            if (name->what == auth_name::kind::expression && ++expression_count_ > expressions_max)
                refuse(fmt::format("more than {} regular expressions", expressions_max));
            made.push_back(std::move(*name));
        }
        if (made.empty())
            warnings_.push_back(
                {fmt::format("the list of {} is empty, and matches nobody", what), {}});
        return made;
    }

    hba_address address()
    {
        const auto& token = one("the address");
        if (token.is_keyword("all")) return any_address{};
        if (token.is_keyword("samehost")) return same_host{};
        if (token.is_keyword("samenet")) return same_network{};
        const std::string_view text = token.text;
        const auto slash = text.find('/');
        const auto base = text.substr(0, slash);
        const auto parsed = ip_address::parse(base);
        const bool is_mapped = base.find(':') != base.npos;
        if (parsed && slash != text.npos)
            return network(*parsed, text.substr(slash + 1), is_mapped);
        if (parsed) return masked(*parsed, is_mapped);
        if (slash != text.npos)
            refuse(fmt::format("{} is no address with a mask", in_quotes(text)),
                   "A mask goes with an IP address only, not with a host name.");
        check_host_name(text);
        return host_name{lower_case(text)};
    }

    static ip_network network(const ip_address& base, std::string_view prefix, bool is_mapped)
    {
        unsigned bits = 0;
        const auto* const end = prefix.data() + prefix.size();
        const auto read = std::from_chars(prefix.data(), end, bits);
        const auto made = read.ec == std::errc{} && read.ptr == end
                              ? ip_network::of_prefix(base, bits, is_mapped)
                              : std::nullopt;
        if (!made)
            refuse(fmt::format("invalid CIDR mask {} of address {}", in_quotes(prefix),
                               base.to_text()));
        return *made;
    }

    ip_network masked(const ip_address& base, bool is_mapped)
    {
        const auto& token = one("the mask of the address");
        const auto mask = ip_address::parse(token.text);
        if (!mask)
            refuse(fmt::format("invalid IP mask {}", in_quotes(token.text)),
                   "Write the mask behind the address, or address/bits.");
        // An IPv4 address in IPv6 form has a mask in IPv6 form, all ones where ours has nothing.
        auto effective = *mask;
        if (base.is_ipv4() && is_mapped && !mask->is_ipv4()) {
            constexpr std::size_t head = ip_address::ipv6_bytes - ip_address::ipv4_bytes;
            const auto bytes = mask->bytes();
            if (std::ranges::all_of(bytes.first(head), [](auto each) { return each == 0xff; }))
                effective = ip_address{
                    std::span<const std::uint8_t, ip_address::ipv4_bytes>{bytes.subspan(head)}};
        }
        const auto made = ip_network::of_mask(base, effective);
        if (!made) refuse("address and mask are not of one family");
        return *made;
    }

    static void check_host_name(std::string_view text)
    {
        if (text.empty() || text == ".") refuse("the address is empty");
        const bool is_number =
            std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
        if (is_number || text.find(':') != text.npos)
            refuse(fmt::format("invalid IP address {}", in_quotes(text)),
                   "Write an IPv4 address with all four numbers, without leading zeros.");
    }

    void options(hba_record& made)
    {
        for (; at_ < line_.fields.size(); ++at_) {
            for (const auto& token : line_.fields[at_]) take(apply_option(made, token.text));
        }
        take(check_options(made));
    }

    void take(option_outcome outcome)
    {
        if (outcome.error) throw bad_record{std::move(*outcome.error)};
        if (outcome.warning) warnings_.push_back(std::move(*outcome.warning));
    }

    void warn_of_roles(const hba_record& made)
    {
        const auto is_role = [](const auth_name& name) {
            return name.what == auth_name::kind::same_role || name.what == auth_name::kind::member;
        };
        if (std::ranges::none_of(made.databases, is_role) &&
            std::ranges::none_of(made.users, is_role))
            return;
        warnings_.push_back({"who is in a role is not known here: samerole, samegroup and +role "
                             "match nobody",
                             made.method == hba_method::reject
                                 ? "Those whom this record should refuse are let through to the "
                                   "next ones: write their names."
                                 : "Write the users' names."});
    }

    const auth_line& line_;
    std::size_t& expression_count_;
    std::size_t at_ = 0;
    std::vector<problem> warnings_;
};

void warn_of_kind(auth_lines& lines, const hba_record& record, bool has_tls)
{
    if (record.kind == hba_kind::hostssl && !has_tls)
        lines.report(severity::warning, record.file, record.line,
                     "a hostssl record can't match, since ssl is off");
    if (record.kind == hba_kind::hostgssenc)
        lines.report(severity::warning, record.file, record.line,
                     "a hostgssenc record can't match, since there is no GSS encryption");
}

pool_hba_outcome read_records(auth_lines& lines, const std::string& name, bool has_tls)
{
    std::vector<hba_record> records;
    std::size_t expression_count = 0;
    for (const auto& line : lines.lines()) {
        if (lines.is_stopped()) break;
        record_reader reader{line, expression_count};
        try {
            records.push_back(reader.read());
            for (const auto& each : reader.warnings())
                lines.report(severity::warning, line.file, line.line, each.message, each.hint);
            warn_of_kind(lines, records.back(), has_tls);
        } catch (const bad_record& bad) {
            lines.report(severity::error, line.file, line.line, bad.why.message, bad.why.hint);
        }
    }
    pool_hba_outcome made;
    made.diagnostics = std::move(lines.diagnostics());
    if (records.empty() && !made.has_errors())
        made.diagnostics.push_back({severity::error, name, 0, "the file has no record",
                                    "Without one, nobody could log in."});
    if (!made.has_errors()) made.rules = pool_hba{std::move(records)};
    return made;
}

}  // namespace

std::string_view word_of(hba_kind kind)
{
    return find_text(kind_words, kind);
}

std::string_view word_of(hba_method method)
{
    return find_text(method_words, method);
}

bool pool_hba_outcome::has_errors() const
{
    return std::ranges::any_of(
        diagnostics, [](const diagnostic& each) { return each.level == severity::error; });
}

pool_hba_outcome load_pool_hba(const std::string& path, bool has_tls, file_source source)
{
    auth_lines lines{std::move(source)};
    lines.read_main(path);
    return read_records(lines, path, has_tls);
}

pool_hba_outcome load_pool_hba_text(const std::string& name, std::string_view text, bool has_tls,
                                    file_source source)
{
    auth_lines lines{std::move(source)};
    lines.read_text(name, text);
    return read_records(lines, name, has_tls);
}

}  // namespace pgtorii::config
