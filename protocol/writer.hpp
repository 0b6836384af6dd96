#pragma once

#include "protocol/pg_error.hpp"
#include "protocol/startup.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pgtorii::protocol {

/// The type oid of text columns in our own result sets.
inline constexpr std::uint32_t text_type_oid = 25;

/// Messages one after the other, ready to be sent. Append only; clear() keeps the memory for the
/// next use. Strings end at their first zero byte, as the receiver would see them. Every builder
/// returns the buffer, so that calls can be chained. Source: PostgreSQL, protocol-message-formats.
class message_buffer {
public:
    std::span<const std::byte> bytes() const { return bytes_; }
    std::size_t size() const { return bytes_.size(); }
    bool is_empty() const { return bytes_.empty(); }
    void clear() { bytes_.clear(); }
    /// Gives the bytes away and is empty afterwards.
    std::vector<std::byte> take();
    /// Overwrites the bytes, then clears: for what held a password.
    void wipe();

    /// Bytes that are messages already.
    message_buffer& raw(std::span<const std::byte> messages);
    /// The head of a message; the `length` - 4 bytes of its body come as raw ones, or elsewhere.
    message_buffer& head(char type, std::uint32_t length);

    // What a server says.
    message_buffer& error_response(const pg_error& error);
    message_buffer& notice_response(const pg_error& notice);
    /// The error for clients of protocol 1 and 2: a type byte and a text, no length, no fields.
    message_buffer& error_response_before_v3(const pg_error& error);
    message_buffer& ready_for_query(char transaction_status);
    message_buffer& authentication_ok();
    message_buffer& authentication_cleartext_password();
    message_buffer& authentication_md5_password(std::span<const std::byte, 4> salt);
    message_buffer& authentication_sasl(std::span<const std::string_view> mechanisms);
    message_buffer& authentication_sasl_continue(std::string_view data);
    message_buffer& authentication_sasl_final(std::string_view data);
    message_buffer& parameter_status(std::string_view name, std::string_view value);
    message_buffer& backend_key_data(std::uint32_t pid, std::span<const std::byte> secret);
    /// We serve up to protocol 3.`minor`; `options` are the names of those refused. The message
    /// carries the full version number, as PostgreSQL's does.
    message_buffer& negotiate_protocol_version(std::uint16_t minor,
                                               std::span<const std::string> options);
    message_buffer& command_complete(std::string_view tag);
    message_buffer& empty_query_response();
    /// All columns are text.
    message_buffer& row_description(std::span<const std::string_view> columns);
    message_buffer& row_description(std::initializer_list<std::string_view> columns);
    /// nullopt is NULL.
    message_buffer& data_row(std::span<const std::optional<std::string_view>> values);
    message_buffer& data_row(std::span<const std::string> values);
    message_buffer& parse_complete();
    message_buffer& bind_complete();
    message_buffer& close_complete();
    message_buffer& no_data();
    message_buffer& portal_suspended();
    message_buffer& parameter_description(std::span<const std::uint32_t> types);

    // What a client says.
    /// Parameters in the given order; empty user or database are left out.
    message_buffer& startup_message(std::string_view user, std::string_view database,
                                    const startup_parameters& parameters,
                                    std::uint32_t version = protocol_version_3_0);
    message_buffer& cancel_request(std::uint32_t pid, std::span<const std::byte> secret);
    message_buffer& ssl_request();
    message_buffer& gssenc_request();
    /// A password, in clear or as md5 response.
    message_buffer& password_message(std::string_view password);
    message_buffer& sasl_initial_response(std::string_view mechanism, std::string_view data);
    message_buffer& sasl_response(std::string_view data);
    message_buffer& query(std::string_view text);
    message_buffer& parse(std::string_view statement, std::string_view text,
                          std::span<const std::uint32_t> types = {});
    /// Binds text parameters (nullopt is NULL) and asks for text results.
    message_buffer& bind(std::string_view portal, std::string_view statement,
                         std::span<const std::optional<std::string_view>> parameters = {});
    message_buffer& describe_statement(std::string_view name);
    message_buffer& describe_portal(std::string_view name);
    message_buffer& close_statement(std::string_view name);
    message_buffer& close_portal(std::string_view name);
    message_buffer& execute(std::string_view portal, std::uint32_t row_count_max = 0);
    message_buffer& sync();
    message_buffer& flush();
    message_buffer& terminate();
    message_buffer& copy_data(std::span<const std::byte> data);
    message_buffer& copy_done();
    message_buffer& copy_fail(std::string_view reason);

private:
    class frame;

    void put(std::span<const std::byte> bytes);
    void put_text(std::string_view text);
    void put_string(std::string_view text);
    void put_byte(char value);
    void put_uint16(std::uint32_t value);
    void put_uint32(std::uint32_t value);
    void put_value(std::optional<std::string_view> value);
    void put_error_fields(const pg_error& error);
    message_buffer& named(char type, char kind, std::string_view name);
    message_buffer& bare(char type);

    std::vector<std::byte> bytes_;
};

}  // namespace pgtorii::protocol
