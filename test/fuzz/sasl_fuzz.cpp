#include "protocol/byte_reader.hpp"
#include "protocol/client_messages.hpp"
#include "protocol/login_errors.hpp"
#include "protocol/saslprep.hpp"
#include "protocol/scram_client.hpp"
#include "protocol/scram_server.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

using namespace pgtorii;
using namespace pgtorii::protocol;

namespace {

void require(bool holds)
{
    if (!holds) __builtin_trap();
}

const scram_client_keys& known_keys()
{
    static const auto keys = derive_scram_keys("pencil", {}, 1).value();
    return keys;
}

void check_refusal(const error_code& why)
{
    const auto told = scram_failed(why, "u");
    require(told.severity == "FATAL" && told.sqlstate.size() == 5 && !told.message.empty());
}

/// Whoever does not know the password gets no further than the last message.
void play_client(std::string_view first, std::string_view last, bool has_tls)
{
    static const auto verifier = scram_verifier::from_keys(known_keys(), "salt", 1).value();
    const auto body = read_sasl_initial_response(as_byte_span(first));
    if (!body) return;
    scram_server server{verifier, "server",
                        has_tls ? std::optional<std::string>{"end"} : std::nullopt};
    const auto answer = server.client_first(body->mechanism, body->data.value_or(""));
    if (!answer) return check_refusal(answer.error());
    const auto data = read_sasl_response(as_byte_span(last));
    if (!data) return;
    const auto end = server.client_final(*data);
    require(!end);
    check_refusal(end.error());
}

/// A server that does not know the password never proves that it does.
void play_server(std::string_view first, std::string_view last)
{
    scram_client client{scram_binding{}, "client"};
    (void)client.first_message();
    const auto asked = client.challenge(first);
    if (!asked) return;
    require(asked->iteration_count >= 1 &&
            asked->iteration_count <= scram_client::iteration_count_max);
    require(client.answer(known_keys()).has_value());
    require(client.verify(last).failed());
}

}  // namespace

/// libFuzzer's entry: the two messages of a client to our server, and of a server to our client,
/// divided by a newline; besides, a verifier and a password. The first byte says whether there is
/// TLS.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    const auto line_end = text.find('\n');
    const auto first = text.substr(0, line_end);
    const auto last = line_end == text.npos ? std::string_view{} : text.substr(line_end + 1);
    play_client(first, last, data[0] % 2 == 1);
    play_server(first, last);
    if (const auto verifier = scram_verifier::parse(text))
        require(verifier->to_text() == text || text.size() > verifier->to_text().size());
    (void)prepared_password(text);
    return 0;
}
