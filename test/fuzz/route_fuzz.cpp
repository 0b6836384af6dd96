#include "admin/route_input.hpp"

#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>

using namespace pgtorii::admin::route;

/// libFuzzer's entry: any bytes as a script, a csvlog or a jsonlog. Texts keep within their bound,
/// lines go forward, and the first byte chooses how much is held, so that every place is once the
/// end of that.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0) return 0;
    const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
    const limits bounds{.text_bytes_max = 64, .record_bytes_max = 64 + std::size_t{data[0]}};
    for (const auto format : {input_format::sql, input_format::csvlog, input_format::jsonlog}) {
        std::istringstream input{text};
        input_counts counts;
        std::size_t line = 0;
        (void)read_input(
            input, format, bounds,
            [&](const event& each) {
                if (each.sql.size() > bounds.text_bytes_max || each.line < line) __builtin_trap();
                line = each.line;
            },
            counts);
        if ((counts.unreadable > 0) != (counts.first_unreadable > 0)) __builtin_trap();
    }
    return 0;
}
