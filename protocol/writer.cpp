#include "protocol/writer.hpp"

#include "core/base/always_assert.hpp"
#include "protocol/byte_reader.hpp"
#include "protocol/server_messages.hpp"

#include <openssl/crypto.h>

#include <limits>

namespace pgtorii::protocol {

/// A message under construction: puts the type byte and a place for the length word, which the
/// destructor fills in.
class message_buffer::frame {
public:
    static constexpr char no_type = '\0';

    frame(message_buffer& buffer, char type) : buffer_(buffer)
    {
        if (type != no_type) buffer_.put_byte(type);
        begin_ = buffer_.size();
        buffer_.put_uint32(0);
    }
    ~frame()
    {
        const std::size_t length = buffer_.size() - begin_;
        always_assert(length <= message_length_max);
        for (std::size_t index = 0; index != 4; ++index) {
            buffer_.bytes_[begin_ + index] = static_cast<std::byte>(length >> (24 - 8 * index));
        }
    }
    frame(const frame&) = delete;
    frame& operator=(const frame&) = delete;

private:
    message_buffer& buffer_;
    std::size_t begin_;
};

namespace {

std::uint32_t code_of(authentication_code code)
{
    return static_cast<std::uint32_t>(code);
}

std::uint32_t checked_count(std::size_t count)
{
    always_assert(count <= std::numeric_limits<std::uint16_t>::max());
    return static_cast<std::uint32_t>(count);
}

}  // namespace

std::vector<std::byte> message_buffer::take()
{
    std::vector<std::byte> given;
    given.swap(bytes_);
    return given;
}

void message_buffer::wipe()
{
    OPENSSL_cleanse(bytes_.data(), bytes_.size());
    bytes_.clear();
}

void message_buffer::put(std::span<const std::byte> bytes)
{
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void message_buffer::put_text(std::string_view text)
{
    put(as_byte_span(text));
}

void message_buffer::put_string(std::string_view text)
{
    put_text(text.substr(0, text.find('\0')));
    put_byte('\0');
}

void message_buffer::put_byte(char value)
{
    bytes_.push_back(static_cast<std::byte>(value));
}

void message_buffer::put_uint16(std::uint32_t value)
{
    put_byte(static_cast<char>(value >> 8));
    put_byte(static_cast<char>(value));
}

void message_buffer::put_uint32(std::uint32_t value)
{
    put_uint16(value >> 16);
    put_uint16(value);
}

message_buffer& message_buffer::raw(std::span<const std::byte> messages)
{
    put(messages);
    return *this;
}

message_buffer& message_buffer::head(char type, std::uint32_t length)
{
    put_byte(type);
    put_uint32(length);
    return *this;
}

message_buffer& message_buffer::bare(char type)
{
    const frame message(*this, type);
    return *this;
}

// What a server says.

void message_buffer::put_error_fields(const pg_error& error)
{
    const auto field = [this](char code, std::string_view value) {
        put_byte(code);
        put_string(value);
    };
    field('S', error.severity);
    field('V', error.severity);
    field('C', error.sqlstate);
    field('M', error.message);
    if (!error.detail.empty()) field('D', error.detail);
    if (!error.hint.empty()) field('H', error.hint);
    put_byte('\0');
}

message_buffer& message_buffer::error_response(const pg_error& error)
{
    const frame message(*this, 'E');
    put_error_fields(error);
    return *this;
}

message_buffer& message_buffer::notice_response(const pg_error& notice)
{
    const frame message(*this, 'N');
    put_error_fields(notice);
    return *this;
}

message_buffer& message_buffer::error_response_before_v3(const pg_error& error)
{
    put_byte('E');
    put_text(error.severity);
    put_text(":  ");
    put_text(std::string_view{error.message}.substr(0, error.message.find('\0')));
    put_byte('\n');
    put_byte('\0');
    return *this;
}

message_buffer& message_buffer::ready_for_query(char transaction_status)
{
    const frame message(*this, 'Z');
    put_byte(transaction_status);
    return *this;
}

message_buffer& message_buffer::authentication_ok()
{
    const frame message(*this, 'R');
    put_uint32(code_of(authentication_code::ok));
    return *this;
}

message_buffer& message_buffer::authentication_cleartext_password()
{
    const frame message(*this, 'R');
    put_uint32(code_of(authentication_code::cleartext_password));
    return *this;
}

message_buffer& message_buffer::authentication_md5_password(std::span<const std::byte, 4> salt)
{
    const frame message(*this, 'R');
    put_uint32(code_of(authentication_code::md5_password));
    put(salt);
    return *this;
}

message_buffer& message_buffer::authentication_sasl(std::span<const std::string_view> mechanisms)
{
    const frame message(*this, 'R');
    put_uint32(code_of(authentication_code::sasl));
    for (const auto name : mechanisms) put_string(name);
    put_byte('\0');
    return *this;
}

message_buffer& message_buffer::authentication_sasl_continue(std::string_view data)
{
    const frame message(*this, 'R');
    put_uint32(code_of(authentication_code::sasl_continue));
    put_text(data);
    return *this;
}

message_buffer& message_buffer::authentication_sasl_final(std::string_view data)
{
    const frame message(*this, 'R');
    put_uint32(code_of(authentication_code::sasl_final));
    put_text(data);
    return *this;
}

message_buffer& message_buffer::parameter_status(std::string_view name, std::string_view value)
{
    const frame message(*this, 'S');
    put_string(name);
    put_string(value);
    return *this;
}

message_buffer& message_buffer::backend_key_data(std::uint32_t pid,
                                                 std::span<const std::byte> secret)
{
    always_assert(secret.size() >= 4 && secret.size() <= cancel_secret_bytes_max);
    const frame message(*this, 'K');
    put_uint32(pid);
    put(secret);
    return *this;
}

message_buffer& message_buffer::negotiate_protocol_version(std::uint16_t minor,
                                                           std::span<const std::string> options)
{
    const frame message(*this, 'v');
    put_uint32(protocol_version_3_0 + minor);
    put_uint32(checked_count(options.size()));
    for (const auto& name : options) put_string(name);
    return *this;
}

message_buffer& message_buffer::command_complete(std::string_view tag)
{
    const frame message(*this, 'C');
    put_string(tag);
    return *this;
}

message_buffer& message_buffer::empty_query_response()
{
    return bare('I');
}

message_buffer& message_buffer::row_description(std::span<const std::string_view> columns)
{
    const frame message(*this, 'T');
    put_uint16(checked_count(columns.size()));
    for (const auto name : columns) {
        put_string(name);
        put_uint32(0);  // no table
        put_uint16(0);  // nor a column of it
        put_uint32(text_type_oid);
        put_uint16(0xffff);       // type size: variable
        put_uint32(0xffff'ffff);  // no type modifier
        put_uint16(0);            // text format
    }
    return *this;
}

message_buffer& message_buffer::row_description(std::initializer_list<std::string_view> columns)
{
    return row_description(std::span(columns.begin(), columns.size()));
}

message_buffer& message_buffer::data_row(std::span<const std::optional<std::string_view>> values)
{
    const frame message(*this, 'D');
    put_uint16(checked_count(values.size()));
    for (const auto& value : values) put_value(value);
    return *this;
}

message_buffer& message_buffer::data_row(std::span<const std::string> values)
{
    const frame message(*this, 'D');
    put_uint16(checked_count(values.size()));
    for (const auto& value : values) put_value(value);
    return *this;
}

void message_buffer::put_value(std::optional<std::string_view> value)
{
    put_uint32(value ? static_cast<std::uint32_t>(value->size()) : 0xffff'ffff);
    if (value) put_text(*value);
}

message_buffer& message_buffer::parse_complete()
{
    return bare('1');
}
message_buffer& message_buffer::bind_complete()
{
    return bare('2');
}
message_buffer& message_buffer::close_complete()
{
    return bare('3');
}
message_buffer& message_buffer::no_data()
{
    return bare('n');
}
message_buffer& message_buffer::portal_suspended()
{
    return bare('s');
}

message_buffer& message_buffer::parameter_description(std::span<const std::uint32_t> types)
{
    const frame message(*this, 't');
    put_uint16(checked_count(types.size()));
    for (const auto type : types) put_uint32(type);
    return *this;
}

// What a client says.

message_buffer& message_buffer::startup_message(std::string_view user, std::string_view database,
                                                const startup_parameters& parameters,
                                                std::uint32_t version)
{
    const frame message(*this, frame::no_type);
    const auto setting = [this](std::string_view name, std::string_view value) {
        put_string(name);
        put_string(value);
    };
    put_uint32(version);
    if (!user.empty()) setting("user", user);
    if (!database.empty()) setting("database", database);
    for (const auto& [name, value] : parameters) setting(name, value);
    put_byte('\0');
    return *this;
}

message_buffer& message_buffer::cancel_request(std::uint32_t pid, std::span<const std::byte> secret)
{
    const frame message(*this, frame::no_type);
    put_uint32(cancel_request_code);
    put_uint32(pid);
    put(secret);
    return *this;
}

message_buffer& message_buffer::ssl_request()
{
    const frame message(*this, frame::no_type);
    put_uint32(ssl_request_code);
    return *this;
}

message_buffer& message_buffer::gssenc_request()
{
    const frame message(*this, frame::no_type);
    put_uint32(gssenc_request_code);
    return *this;
}

message_buffer& message_buffer::password_message(std::string_view password)
{
    // No copy of the password may stay behind in memory that the buffer has outgrown.
    bytes_.reserve(bytes_.size() + frame_header::size + password.size() + 1);
    const frame message(*this, 'p');
    put_string(password);
    return *this;
}

message_buffer& message_buffer::sasl_initial_response(std::string_view mechanism,
                                                      std::string_view data)
{
    const frame message(*this, 'p');
    put_string(mechanism);
    put_value(data);
    return *this;
}

message_buffer& message_buffer::sasl_response(std::string_view data)
{
    const frame message(*this, 'p');
    put_text(data);
    return *this;
}

message_buffer& message_buffer::query(std::string_view text)
{
    const frame message(*this, 'Q');
    put_string(text);
    return *this;
}

message_buffer& message_buffer::parse(std::string_view statement, std::string_view text,
                                      std::span<const std::uint32_t> types)
{
    const frame message(*this, 'P');
    put_string(statement);
    put_string(text);
    put_uint16(checked_count(types.size()));
    for (const auto type : types) put_uint32(type);
    return *this;
}

message_buffer& message_buffer::bind(std::string_view portal, std::string_view statement,
                                     std::span<const std::optional<std::string_view>> parameters)
{
    const frame message(*this, 'B');
    put_string(portal);
    put_string(statement);
    put_uint16(0);  // all parameters are text
    put_uint16(checked_count(parameters.size()));
    for (const auto& value : parameters) put_value(value);
    put_uint16(0);  // all results too
    return *this;
}

message_buffer& message_buffer::named(char type, char kind, std::string_view name)
{
    const frame message(*this, type);
    put_byte(kind);
    put_string(name);
    return *this;
}

message_buffer& message_buffer::describe_statement(std::string_view name)
{
    return named('D', 'S', name);
}
message_buffer& message_buffer::describe_portal(std::string_view name)
{
    return named('D', 'P', name);
}
message_buffer& message_buffer::close_statement(std::string_view name)
{
    return named('C', 'S', name);
}
message_buffer& message_buffer::close_portal(std::string_view name)
{
    return named('C', 'P', name);
}

message_buffer& message_buffer::execute(std::string_view portal, std::uint32_t row_count_max)
{
    const frame message(*this, 'E');
    put_string(portal);
    put_uint32(row_count_max);
    return *this;
}

message_buffer& message_buffer::sync()
{
    return bare('S');
}
message_buffer& message_buffer::flush()
{
    return bare('H');
}
message_buffer& message_buffer::terminate()
{
    return bare('X');
}

message_buffer& message_buffer::copy_data(std::span<const std::byte> data)
{
    const frame message(*this, 'd');
    put(data);
    return *this;
}

message_buffer& message_buffer::copy_done()
{
    return bare('c');
}

message_buffer& message_buffer::copy_fail(std::string_view reason)
{
    const frame message(*this, 'f');
    put_string(reason);
    return *this;
}

}  // namespace pgtorii::protocol
