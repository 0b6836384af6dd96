// Loaded into a program that is tested (LD_PRELOAD), it tells how much of its heap is in use:
// whoever connects to the Unix socket PGTORII_HEAP_METER reads a number of bytes. Resident memory
// would include what malloc keeps for later.

#include <malloc.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace {

void answer(int listener)
{
    for (;;) {
        const int asker = ::accept(listener, nullptr, nullptr);
        if (asker < 0) return;
        const auto heap =
            ::mallinfo2();  // of all arenas; what threads keep in their caches counts as used
        ::dprintf(asker, "%zu", heap.uordblks + heap.hblkhd);
        ::close(asker);
    }
}

[[gnu::constructor]] void start()
{
    const char* path = std::getenv("PGTORII_HEAP_METER");
    if (path == nullptr) return;
    ::sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::bind(listener, reinterpret_cast<::sockaddr*>(&address), sizeof address) != 0) return;
    if (::listen(listener, 1) != 0) return;
    ::sigset_t all;
    ::sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before);  // signals are for the program's own threads
    std::thread{answer, listener}.detach();
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace
