#include "protocol/server_messages.hpp"

#include "protocol/byte_reader.hpp"

#include <algorithm>

namespace pgtorii::protocol {
namespace {

bool is_fatal_severity(std::string_view severity)
{
    return severity == "FATAL" || severity == "PANIC";
}

void store_field(error_fields& fields, char code, std::string_view value)
{
    switch (code) {
    case 'S': fields.severity_localized = value; break;
    case 'V': fields.severity = value; break;
    case 'C': fields.sqlstate = value; break;
    case 'M': fields.message = value; break;
    case 'D': fields.detail = value; break;
    case 'H': fields.hint = value; break;
    case 'R': fields.routine = value; break;
    default:
        break;  // Position, source line ...: protocol-error-fields says to ignore what one doesn't
                // know.
    }
}

}  // namespace

bool error_fields::is_fatal() const
{
    return is_fatal_severity(severity_or_empty());
}

pg_error error_fields::to_error() const
{
    pg_error copy;
    copy.severity = severity_or_empty();
    copy.sqlstate = sqlstate.value_or(std::string_view{});
    copy.message = message.value_or(std::string_view{});
    copy.detail = detail.value_or(std::string_view{});
    copy.hint = hint.value_or(std::string_view{});
    return copy;
}

bool sasl_mechanisms::contains(std::string_view name) const
{
    const auto* end = names.data() + count;
    return std::find(names.data(), end, name) != end;
}

error_fields read_error(std::span<const std::byte> body)
{
    byte_reader reader(body);
    error_fields fields;
    for (;;) {
        const char code = static_cast<char>(reader.byte());
        if (code == '\0') break;
        const auto value = reader.string();
        if (reader.error()) break;
        store_field(fields, code, value);
    }
    return fields;
}

result<parameter_status_message> read_parameter_status(std::span<const std::byte> body)
{
    byte_reader reader(body);
    parameter_status_message found;
    found.name = reader.string();
    found.value = reader.string();
    if (const auto failure = reader.finish()) return failure;
    return found;
}

result<backend_key_data_message> read_backend_key_data(std::span<const std::byte> body)
{
    byte_reader reader(body);
    backend_key_data_message found;
    found.pid = reader.uint32();
    if (reader.error()) return reader.error();
    found.secret = reader.rest();
    if (found.secret.size() < 4) return errc::message_truncated;
    if (found.secret.size() > cancel_secret_bytes_max) return errc::length_too_big;
    return found;
}

result<std::string_view> read_command_complete(std::span<const std::byte> body)
{
    byte_reader reader(body);
    const auto tag = reader.string();
    if (const auto failure = reader.finish()) return failure;
    return tag;
}

result<char> read_ready_for_query(std::span<const std::byte> body)
{
    byte_reader reader(body);
    const char status = static_cast<char>(reader.byte());
    if (const auto failure = reader.finish()) return failure;
    if (status != 'I' && status != 'T' && status != 'E') return errc::bad_value;
    return status;
}

result<authentication_message> read_authentication(std::span<const std::byte> body)
{
    byte_reader reader(body);
    authentication_message found;
    found.code = reader.uint32();
    found.rest = reader.rest();
    if (reader.error()) return reader.error();
    return found;
}

result<std::array<std::byte, 4>> read_md5_salt(const authentication_message& from)
{
    if (!from.is(authentication_code::md5_password)) return errc::bad_value;
    if (from.rest.size() < 4) return errc::message_truncated;
    if (from.rest.size() > 4) return errc::trailing_bytes;
    std::array<std::byte, 4> salt{};
    std::copy(from.rest.begin(), from.rest.end(), salt.begin());
    return salt;
}

result<sasl_mechanisms> read_sasl_mechanisms(const authentication_message& from)
{
    if (!from.is(authentication_code::sasl)) return errc::bad_value;
    byte_reader reader(from.rest);
    sasl_mechanisms found;
    for (;;) {
        const auto name = reader.string();
        if (reader.error() || name.empty()) break;
        if (found.count == sasl_mechanisms::count_max) return errc::bad_count;
        found.names[found.count++] = name;
    }
    if (const auto failure = reader.finish()) return failure;
    return found;
}

result<negotiate_protocol_version_message>
read_negotiate_protocol_version(std::span<const std::byte> body)
{
    byte_reader reader(body);
    negotiate_protocol_version_message found;
    found.version = reader.uint32();
    found.option_count = reader.uint32();
    for (std::uint32_t left = found.option_count; left != 0 && !reader.error(); --left) {
        reader.string();
    }
    if (const auto failure = reader.finish()) return failure;
    return found;
}

bool is_fatal_error(std::span<const std::byte> body_begin)
{
    byte_reader reader(body_begin);
    std::string_view localized;
    for (;;) {
        const char code = static_cast<char>(reader.byte());
        const auto value = reader.string();
        if (code == '\0' || reader.error()) break;
        if (code == 'V') return is_fatal_severity(value);
        if (code == 'S') localized = value;
    }
    return is_fatal_severity(localized);
}

std::uint64_t shape_of_row(std::span<const std::byte> body)
{
    constexpr std::uint64_t basis = 0xcbf2'9ce4'8422'2325;  // FNV-1a
    constexpr std::uint64_t prime = 0x100'0000'01b3;
    constexpr std::uint64_t reserved = 2;  // numbers that mean something else
    std::uint64_t shape = basis;
    const auto add = [&shape](std::span<const std::byte> bytes) {
        for (const auto each : bytes)
            shape = (shape ^ std::to_integer<std::uint64_t>(each)) * prime;
    };
    byte_reader in{body};
    const auto count = in.uint16();
    for (unsigned column = 0; column < count; ++column) {
        const auto name = in.string();
        add(std::as_bytes(std::span{name}));
        in.take(6);        // table and column that it comes from
        add(in.take(10));  // type, its size and modifier
        in.take(2);        // format
        if (in.error()) return 0;
    }
    if (in.finish()) return 0;
    return shape < reserved ? reserved : shape;
}

}  // namespace pgtorii::protocol
