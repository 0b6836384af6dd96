#include "protocol/startup.hpp"

#include "protocol/byte_reader.hpp"
#include "protocol/writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

namespace pgtorii::protocol {
namespace {

constexpr std::byte tls_handshake_record{0x16};

pg_error fatal(std::string_view code, std::string message)
{
    pg_error made;
    made.severity = "FATAL";
    made.sqlstate = code;
    made.message = std::move(message);
    return made;
}

startup_result refuse(pg_error why)
{
    startup_result made;
    made.what = startup_result::kind::refused;
    made.error = std::move(why);
    return made;
}

startup_result refuse_length(std::string_view what)
{
    return refuse(fatal(sqlstate::protocol_violation, fmt::format("invalid length of {}", what)));
}

char to_lower_ascii(char c)
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool less_without_case(std::string_view a, std::string_view b)
{
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
        return to_lower_ascii(x) < to_lower_ascii(y);
    });
}

bool equal_without_case(std::string_view a, std::string_view b)
{
    return !less_without_case(a, b) && !less_without_case(b, a);
}

bool is_prefix_without_case(std::string_view prefix, std::string_view of)
{
    return prefix.size() <= of.size() && equal_without_case(prefix, of.substr(0, prefix.size()));
}

/// A boolean as PostgreSQL reads it: each word may be cut, as long as it stays unambiguous.
std::optional<bool> parse_bool(std::string_view text)
{
    struct word {
        std::string_view text;
        std::size_t size_min;
        bool value;
    };
    static constexpr std::array words{
        word{"true", 1, true}, word{"false", 1, false}, word{"yes", 1, true}, word{"no", 1, false},
        word{"on", 2, true},   word{"off", 2, false},   word{"1", 1, true},   word{"0", 1, false},
    };
    for (const auto& known : words) {
        if (text.size() >= known.size_min && is_prefix_without_case(text, known.text)) {
            return known.value;
        }
    }
    return std::nullopt;
}

struct name_order {
    bool operator()(const std::string& a, const std::string& b) const
    {
        return less_without_case(a, b);
    }
};

/// PostgreSQL applies settings in the order given, so that the last one of a name counts.
void sort_and_keep_last(startup_parameters& parameters)
{
    std::map<std::string, std::size_t, name_order> last_places;
    for (std::size_t index = 0; index != parameters.size(); ++index) {
        last_places[parameters[index].first] = index;
    }
    startup_parameters kept;
    for (const auto& [name, index] : last_places) kept.push_back(std::move(parameters[index]));
    parameters = std::move(kept);
}

/// Puts one name and value in its place. An error ends the start-up.
std::optional<pg_error> store(startup_result& message, std::string_view name,
                              std::string_view value)
{
    if (name == "user") {
        message.user = value;
    } else if (name == "database") {
        message.database = value;
    } else if (name == "replication") {
        const auto physical = parse_bool(value);
        if (value == "database") {
            message.replication = replication_mode::database;
        } else if (!physical) {
            auto why =
                fatal(sqlstate::invalid_parameter_value,
                      fmt::format("invalid value for parameter \"replication\": \"{}\"", value));
            why.hint = "Valid values are: \"false\", 0, \"true\", 1, \"database\".";
            return why;
        } else if (message.replication != replication_mode::database || !*physical) {
            message.replication = *physical ? replication_mode::physical : replication_mode::none;
        }
    } else if (name.starts_with("_pq_.")) {
        message.negotiated.emplace_back(name);
    } else {
        message.parameters.emplace_back(name, value);
    }
    return std::nullopt;
}

startup_result parse_startup_message(std::uint32_t version, std::span<const std::byte> fields)
{
    startup_result made;
    made.what = startup_result::kind::startup_message;
    made.minor = static_cast<std::uint16_t>(version & 0xffff);

    byte_reader reader(fields);
    bool is_terminated = false;
    while (!is_terminated && !reader.error()) {
        const auto name = reader.string();
        is_terminated = !reader.error() && name.empty();
        if (is_terminated || reader.error()) break;
        const auto value = reader.string();
        if (reader.error()) break;
        if (auto why = store(made, name, value)) return refuse(std::move(*why));
    }
    if (!is_terminated || !reader.is_at_end()) {
        return refuse(fatal(sqlstate::protocol_violation,
                            "invalid startup packet layout: expected terminator as last byte"));
    }
    if (made.user.empty()) {
        return refuse(fatal(sqlstate::invalid_authorization_specification,
                            "no PostgreSQL user name specified in startup packet"));
    }
    if (made.database.empty()) made.database = made.user;
    sort_and_keep_last(made.parameters);
    return made;
}

startup_result parse_cancel_request(std::span<const std::byte> fields)
{
    if (fields.size() < 8 || fields.size() > 4 + cancel_secret_bytes_max) {
        return refuse_length("query cancel packet");
    }
    startup_result made;
    made.what = startup_result::kind::cancel_request;
    made.cancel_pid = read_uint32(fields.data());
    made.cancel_secret.assign(fields.begin() + 4, fields.end());
    return made;
}

startup_result refuse_version(std::uint32_t version)
{
    auto made =
        refuse(fatal(sqlstate::feature_not_supported,
                     fmt::format("unsupported frontend protocol {}.{}: server supports 3.0 to 3.{}",
                                 version >> 16, version & 0xffff, protocol_minor_max)));
    made.is_before_v3 = version >> 16 < 3;
    return made;
}

}  // namespace

std::string startup_packet(std::string_view user, std::string_view database,
                           const startup_parameters& parameters)
{
    message_buffer buffer;
    buffer.startup_message(user, database, parameters);
    return std::string(as_text(buffer.bytes()));
}

startup_result startup_parser::parse(std::span<const std::byte> input)
{
    startup_result made;
    if (input.empty()) return made;
    if (is_first_packet_ && input[0] == tls_handshake_record) {
        made.what = startup_result::kind::direct_tls;
        return made;
    }
    if (input.size() < 4) return made;
    const auto length = read_uint32(input.data());
    if (length < startup_length_min || length > startup_length_max) {
        return refuse_length("startup packet");
    }
    if (input.size() < length) return made;

    is_first_packet_ = false;
    const auto code = read_uint32(input.data() + 4);
    const auto fields = input.subspan(8, length - 8);
    if (code == cancel_request_code) {
        made = parse_cancel_request(fields);
    } else if (code == ssl_request_code && may_request_ssl_) {
        if (!fields.empty()) return refuse_length("startup packet");
        may_request_ssl_ = false;
        made.what = startup_result::kind::ssl_request;
    } else if (code == gssenc_request_code && may_request_gssenc_) {
        if (!fields.empty()) return refuse_length("startup packet");
        may_request_gssenc_ = false;
        made.what = startup_result::kind::gssenc_request;
    } else if (code >> 16 == protocol_version_3_0 >> 16) {
        made = parse_startup_message(code, fields);
    } else {
        made = refuse_version(code);
    }
    if (made.what != startup_result::kind::refused) made.consumed = length;
    return made;
}

}  // namespace pgtorii::protocol
