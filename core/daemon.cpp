#include "core/daemon.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace pgtorii::core {

namespace {

constexpr int exit_fatal = 3;
constexpr unsigned first_inherited = STDERR_FILENO + 1;

[[noreturn]] void fail(const char* what)
{
    throw std::system_error{errno, std::generic_category(), what};
}

/// Waits for the child's word, or its end, and ends the parent accordingly.
[[noreturn]] void end_parent(int pipe, pid_t child)
{
    char word = 0;
    ssize_t got = 0;
    do {
        got = ::read(pipe, &word, 1);
    } while (got < 0 && errno == EINTR);
    if (got == 1) ::_exit(0);

    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status)) ::_exit(WEXITSTATUS(status));
    std::fprintf(stderr, "FATAL:  the detached process was ended by signal %d (%s)\n",
                 WTERMSIG(status), ::strsignal(WTERMSIG(status)));
    ::_exit(exit_fatal);
}

}  // namespace

detachment detachment::begin()
{
    ::close_range(first_inherited, ~0U, 0);
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("could not create a pipe");
    runtime::descriptor reading{ends[0]};
    runtime::descriptor writing{ends[1]};

    const auto child = ::fork();
    if (child < 0) fail("could not fork");
    if (child > 0) {
        writing.close();
        end_parent(reading.get(), child);
    }
    detachment made;
    made.parent_ = std::move(writing);
    return made;
}

void detachment::ready(bool keeps_stderr)
{
    ::setsid();
    if (::chdir("/") != 0) fail("could not change to the directory \"/\"");
    const runtime::descriptor null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    if (!null.is_open()) fail("could not open \"/dev/null\"");
    ::dup2(null.get(), STDIN_FILENO);
    ::dup2(null.get(), STDOUT_FILENO);
    if (!keeps_stderr) ::dup2(null.get(), STDERR_FILENO);

    // SIGPIPE is ignored by now; a parent that is gone has nobody to tell.
    const char word = 'r';
    [[maybe_unused]] const auto told = ::write(parent_.get(), &word, 1);
    parent_.close();
}

}  // namespace pgtorii::core
