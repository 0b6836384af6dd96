#include "core/runtime/descriptor.hpp"

#include <unistd.h>

namespace pgtorii::runtime {

void descriptor::close()
{
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

}  // namespace pgtorii::runtime
