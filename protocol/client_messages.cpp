#include "protocol/client_messages.hpp"

#include "core/base/always_assert.hpp"
#include "protocol/byte_reader.hpp"

namespace pgtorii::protocol {
namespace {

/// A length that says NULL.
constexpr std::uint32_t null_length = 0xffff'ffff;

/// Format codes: none, one for all, or one for each value. Gives their number, which has to agree
/// with a count that comes later.
std::uint16_t read_formats(byte_reader& reader)
{
    const auto count = reader.uint16();
    reader.take(std::size_t{count} * 2);
    return count;
}

/// The values of a Bind or FunctionCall: each a length, or -1 for NULL, and its bytes. Gives their
/// number.
std::uint16_t read_values(byte_reader& reader, std::uint16_t format_count)
{
    const auto count = reader.uint16();
    if (format_count > 1 && format_count != count) reader.fail(errc::bad_count);
    for (std::uint32_t index = 0; index != count && !reader.error(); ++index) {
        const auto length = reader.uint32();
        if (length != null_length) reader.take(length);
    }
    return count;
}

result<named_object> read_named_object(std::span<const std::byte> body)
{
    byte_reader reader(body);
    named_object found;
    found.kind = static_cast<char>(reader.byte());
    found.name = reader.string();
    if (const auto failure = reader.finish()) return failure;
    if (found.kind != 'S' && found.kind != 'P') return errc::bad_value;
    return found;
}

result<std::string_view> read_only_string(std::span<const std::byte> body)
{
    byte_reader reader(body);
    const auto text = reader.string();
    if (const auto failure = reader.finish()) return failure;
    return text;
}

}  // namespace

std::uint32_t parse_message::type(std::size_t index) const
{
    always_assert(index < type_count);
    return read_uint32(types.data() + index * 4);
}

result<std::string_view> read_query(std::span<const std::byte> body)
{
    return read_only_string(body);
}

result<parse_message> read_parse(std::span<const std::byte> body)
{
    byte_reader reader(body);
    parse_message found;
    found.statement = reader.string();
    found.query = reader.string();
    found.type_count = reader.uint16();
    found.types = reader.take(std::size_t{found.type_count} * 4);
    if (const auto failure = reader.finish()) return failure;
    return found;
}

result<bind_message> read_bind(std::span<const std::byte> body)
{
    byte_reader reader(body);
    bind_message found;
    found.portal = reader.string();
    found.statement = reader.string();
    found.rest = reader.rest();
    found.parameter_count = read_values(reader, read_formats(reader));
    read_formats(reader);  // of the result; only the server knows its columns
    if (const auto failure = reader.finish()) return failure;
    return found;
}

result<named_object> read_describe(std::span<const std::byte> body)
{
    return read_named_object(body);
}

result<named_object> read_close(std::span<const std::byte> body)
{
    return read_named_object(body);
}

result<execute_message> read_execute(std::span<const std::byte> body)
{
    byte_reader reader(body);
    execute_message found;
    found.portal = reader.string();
    found.row_count_max = reader.uint32();
    if (const auto failure = reader.finish()) return failure;
    return found;
}

result<function_call_message> read_function_call(std::span<const std::byte> body)
{
    byte_reader reader(body);
    function_call_message found;
    found.function_oid = reader.uint32();
    read_values(reader, read_formats(reader));
    reader.uint16();  // format of the result
    if (const auto failure = reader.finish()) return failure;
    return found;
}

result<std::string_view> read_copy_fail(std::span<const std::byte> body)
{
    return read_only_string(body);
}

result<std::string_view> read_password(std::span<const std::byte> body)
{
    return read_only_string(body);
}

result<sasl_initial_response> read_sasl_initial_response(std::span<const std::byte> body)
{
    if (body.size() > sasl_message_bytes_max) return errc::length_too_big;
    byte_reader reader(body);
    sasl_initial_response found;
    found.mechanism = reader.string();
    const auto length = reader.uint32();
    if (length != null_length) found.data = as_text(reader.take(length));
    if (const auto failure = reader.finish()) return failure;
    return found;
}

result<std::string_view> read_sasl_response(std::span<const std::byte> body)
{
    if (body.size() > sasl_message_bytes_max) return errc::length_too_big;
    return as_text(body);
}

}  // namespace pgtorii::protocol
