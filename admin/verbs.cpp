#include "admin/verbs.hpp"

#include "core/runtime/descriptor.hpp"
#include "core/runtime/pid_file.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ostream>
#include <poll.h>
#include <string_view>
// The header of glibc 2.36 forgets to say that these are C functions.
extern "C" {
#include <sys/pidfd.h>
}

namespace pgtorii::admin {

namespace {

constexpr int exit_stop_failed = 3;
constexpr int exit_reload_failed = 1;
constexpr int dots_between_signals = 5;

int signal_of(core::stop_mode mode)
{
    switch (mode) {
    case core::stop_mode::smart: return SIGTERM;
    case core::stop_mode::fast: return SIGINT;
    case core::stop_mode::immediate: return SIGQUIT;
    }
    return SIGTERM;
}

int fatal(std::ostream& terminal, std::string_view message, std::string_view detail, int exit_code)
{
    terminal << "FATAL:  " << message << '\n';
    if (!detail.empty()) terminal << "DETAIL:  " << detail << '\n';
    return exit_code;
}

std::string missing_file_text(const std::filesystem::path& pid_file)
{
    return fmt::format("there is no process id in \"{}\"", pid_file.string());
}

/// Whether the process has ended before the time is over.
bool ends_within(int process, std::chrono::milliseconds time)
{
    pollfd watched{.fd = process, .events = POLLIN, .revents = 0};
    return ::poll(&watched, 1, static_cast<int>(time.count())) > 0;
}

}  // namespace

int stop_running(const std::filesystem::path& pid_file, core::stop_mode mode,
                 std::ostream& terminal, std::chrono::milliseconds dot_interval)
{
    const auto pid = runtime::read_pid_file(pid_file);
    if (!pid) {
        return fatal(terminal, "could not read pid file", missing_file_text(pid_file),
                     exit_stop_failed);
    }
    const auto refused = [&](int cause) {
        return fatal(terminal, fmt::format("could not stop process with pid: {}", *pid),
                     std::strerror(cause), exit_stop_failed);
    };
    // A descriptor of the process: signals sent later can't hit another one that got its number,
    // and its end is seen at once, even while nobody has collected it.
    const runtime::descriptor process{::pidfd_open(*pid, 0)};
    if (!process.is_open()) return refused(errno);
    if (::pidfd_send_signal(process.get(), signal_of(mode), nullptr, 0) != 0) return refused(errno);
    terminal << fmt::format(
                    "LOG:  stop request sent to pgpool (pid: {}). waiting for termination...\n",
                    *pid)
             << std::flush;

    for (int dots = 1; !ends_within(process.get(), dot_interval); ++dots) {
        terminal << '.' << std::flush;
        if (dots % dots_between_signals == 0) {
            ::pidfd_send_signal(process.get(), signal_of(mode), nullptr, 0);
        }
    }
    terminal << "done.\n" << std::flush;
    // It removes the file itself; one that was killed could not. A new process may have made its
    // own.
    if (runtime::read_pid_file(pid_file) == pid) {
        std::error_code ignored;
        std::filesystem::remove(pid_file, ignored);
    }
    return 0;
}

int reload_running(const std::filesystem::path& pid_file, std::ostream& terminal)
{
    const auto pid = runtime::read_pid_file(pid_file);
    if (!pid) {
        return fatal(terminal, "could not read pid file", missing_file_text(pid_file),
                     exit_reload_failed);
    }
    if (::kill(*pid, SIGHUP) != 0) {
        const int cause = errno;
        return fatal(terminal, fmt::format("could not reload configuration file pid: {}", *pid),
                     std::strerror(cause), exit_reload_failed);
    }
    return 0;
}

}  // namespace pgtorii::admin
