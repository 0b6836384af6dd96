#include "protocol/byte_reader.hpp"
#include "protocol/startup.hpp"
#include "protocol/writer.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

using namespace pgtorii::protocol;

namespace {

void require(bool holds)
{
    if (!holds) __builtin_trap();
}

/// What was read is read again from what it is written as.
void check_message(const startup_result& made)
{
    require(!made.user.empty() && !made.database.empty());
    require(made.minor_served() <= protocol_minor_max);
    const auto packet = startup_packet(made.user, made.database, made.parameters);
    startup_parser parser;
    const auto again = parser.parse(as_byte_span(packet));
    // Parameters come first no longer, and may be as long as they were: nothing is added.
    require(again.what == startup_result::kind::startup_message ||
            packet.size() > startup_length_max);
    if (again.what != startup_result::kind::startup_message) return;
    require(again.user == made.user && again.database == made.database);
    require(again.parameters == made.parameters);
}

}  // namespace

/// libFuzzer's entry: any bytes as those of a new connection, packet after packet. The first byte
/// says whether they come within TLS.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0) return 0;
    startup_parser parser;
    if (data[0] % 2 == 1) parser.encryption_started();
    auto input = std::as_bytes(std::span{data, size}).subspan(1);
    for (int packets = 0;; ++packets) {
        require(packets <= 3);  // two requests for encryption, and what ends it
        const auto made = parser.parse(input);
        require(made.consumed <= input.size());
        using kind = startup_result::kind;
        switch (made.what) {
        case kind::ssl_request:
        case kind::gssenc_request:
            require(made.consumed == 8);
            input = input.subspan(made.consumed);
            continue;
        case kind::cancel_request:
            require(made.cancel_secret.size() >= 4 && made.cancel_secret.size() <= 256);
            return 0;
        case kind::startup_message: check_message(made); return 0;
        case kind::refused:
            require(made.consumed == 0 && made.error.sqlstate.size() == 5);
            return 0;
        case kind::direct_tls: require(packets == 0 && made.consumed == 0); return 0;
        case kind::need_more: require(made.consumed == 0); return 0;
        }
    }
}
