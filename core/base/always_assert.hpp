#pragma once

#include <cstdio>
#include <cstdlib>

namespace pgtorii {

/// Ends the process when a condition that our own code guarantees does not hold: a bug of ours,
/// never bad input. On in release builds too: going on with broken book-keeping could hand one
/// client another one's rows.
#define PGTORII_STRINGIFY_(x) #x
#define PGTORII_STRINGIFY(x) PGTORII_STRINGIFY_(x)
#define always_assert(condition)                                                                   \
    (static_cast<bool>(condition)                                                                  \
         ? static_cast<void>(0)                                                                    \
         : ::pgtorii::assertion_failed(#condition, __FILE__ ":" PGTORII_STRINGIFY(__LINE__)))

[[noreturn]] inline void assertion_failed(const char* condition, const char* place)
{
    std::fprintf(stderr, "PANIC:  assertion failed: %s at %s\n", condition, place);
    std::abort();
}

}  // namespace pgtorii
