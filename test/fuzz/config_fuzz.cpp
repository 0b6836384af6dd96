#include "config/load.hpp"
#include "config/parameter.hpp"
#include "config/show.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

/// libFuzzer's entry: any bytes as pgpool.conf. What loads must also show.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (text.find("include") != std::string_view::npos) return 0;  // no files of this machine
    const auto outcome = pgtorii::config::load_text("fuzz", text);
    if (!outcome.has_errors() && pgtorii::config::show_all(outcome.values).empty())
        __builtin_trap();
    return 0;
}
