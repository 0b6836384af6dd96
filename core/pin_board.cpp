#include "core/pin_board.hpp"

#include <algorithm>

namespace pgtorii::core {

std::vector<pin_board::pin> pin_board::all() const
{
    std::vector<pin> found;
    {
        const std::lock_guard guard{mutex_};
        for (const auto& [session, each] : pins_) found.push_back(each);
    }
    std::ranges::sort(found, {}, &pin::since);
    return found;
}

}  // namespace pgtorii::core
