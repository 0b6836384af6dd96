#include "core/runtime/subprocess.hpp"

#include "core/runtime/descriptor.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <memory>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace pgtorii::runtime {
namespace {

namespace asio = boost::asio;
using stream_descriptor = asio::posix::basic_stream_descriptor<executor>;

error_code last_error()
{
    return {errno, boost::system::system_category()};
}

/// What posix_spawn is told, freed at the end.
class spawn_plan {
public:
    explicit spawn_plan(int output)
    {
        ::posix_spawn_file_actions_init(&actions_);
        ::posix_spawnattr_init(&attributes_);
        ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        ::posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
        ::posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
        sigset_t none;
        sigset_t all;
        ::sigemptyset(&none);
        ::sigfillset(&all);
        ::posix_spawnattr_setsigmask(&attributes_, &none);
        ::posix_spawnattr_setsigdefault(&attributes_, &all);
        ::posix_spawnattr_setpgroup(&attributes_, 0);
        ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                     POSIX_SPAWN_SETSIGDEF);
    }
    ~spawn_plan()
    {
        ::posix_spawn_file_actions_destroy(&actions_);
        ::posix_spawnattr_destroy(&attributes_);
    }
    spawn_plan(const spawn_plan&) = delete;
    spawn_plan& operator=(const spawn_plan&) = delete;

    /// Gives the process id, which is its group's too.
    result<pid_t> start_shell(const std::string& text) const
    {
        std::string shell = "sh";
        std::string option = "-c";
        std::string copy = text;
        const std::array<char*, 4> arguments{shell.data(), option.data(), copy.data(), nullptr};
        pid_t pid = -1;
        const int failure =
            ::posix_spawn(&pid, "/bin/sh", &actions_, &attributes_, arguments.data(), environ);
        if (failure != 0) return error_code(failure, boost::system::system_category());
        return pid;
    }

private:
    posix_spawn_file_actions_t actions_{};
    posix_spawnattr_t attributes_{};
};

/// A shell that runs. Handlers of its timer and its pidfd keep it.
class running_shell : public std::enable_shared_from_this<running_shell> {
public:
    running_shell(executor home, pid_t pid, descriptor pidfd, descriptor output)
        : output(home, output.release()),
          pid_(pid),
          end_(home, pidfd.release()),
          limit_(home),
          ended_(home)
    {
    }
    running_shell(const running_shell&) = delete;
    running_shell& operator=(const running_shell&) = delete;
    /// Not before it has ended, unless its executor is destroyed: then nobody can wait for it.
    ~running_shell() { kill(); }

    stream_descriptor output;

    void watch(std::chrono::milliseconds time_limit)
    {
        end_.async_wait(stream_descriptor::wait_read,
                        [self = shared_from_this()](error_code) { self->on_end(); });
        limit_.expires_after(time_limit);
        limit_.async_wait([self = shared_from_this()](error_code failure) {
            if (failure || self->has_ended_) return;
            self->is_late_ = true;
            self->kill();
        });
    }

    bool has_ended() const { return has_ended_; }
    bool is_late() const { return is_late_; }

    /// The whole group. Until it is reaped the group's number is its own.
    void kill()
    {
        if (!is_reaped_) ::kill(-pid_, SIGKILL);
    }

    /// Resumes when the shell has ended, or the task is cancelled. Not when it has ended already.
    awaitable<void> wait()
    {
        ended_.expires_at(clock::time_point::max());
        const auto woken = co_await ended_.async_wait(tuple_token);
        static_cast<void>(woken);
    }

    /// After its end: how it ended.
    siginfo_t reap()
    {
        siginfo_t end{};
        while (::waitid(P_PID, static_cast<id_t>(pid_), &end, WEXITED) != 0 && errno == EINTR) {
        }
        is_reaped_ = true;
        return end;
    }

private:
    void on_end()
    {
        has_ended_ = true;
        limit_.cancel();
        ended_.cancel();
        // Others may hold its output open: what there is can be read now.
        error_code ignored;
        output.cancel(ignored);
    }

    pid_t pid_;
    stream_descriptor end_;
    timer limit_;
    timer ended_;  // never expires
    bool has_ended_ = false;
    bool is_late_ = false;
    bool is_reaped_ = false;
};

void keep(shell_outcome& outcome, std::string_view bytes, std::size_t limit)
{
    const auto room = limit - outcome.output.size();
    outcome.output.append(bytes.substr(0, room));
    if (bytes.size() > room) outcome.output_was_cut = true;
}

/// Reads until the output's end, or the shell's.
awaitable<void> read_output(running_shell& from, shell_outcome& outcome, std::size_t limit)
{
    std::array<char, 4096> buffer;
    while (!from.has_ended()) {
        const auto read = co_await from.output.async_read_some(asio::buffer(buffer), tuple_token);
        if (std::get<0>(read)) break;
        keep(outcome, std::string_view(buffer.data(), std::get<1>(read)), limit);
    }
}

/// After the shell's end: what is still in the pipe, without waiting for others that hold it open.
void drain_output(running_shell& from, shell_outcome& outcome, std::size_t limit)
{
    std::array<char, 4096> buffer;
    error_code failure;
    from.output.non_blocking(true, failure);
    // Somebody in the background may go on writing: no more than a full pipe is taken.
    for (int i = 0; i < 16 && !failure; ++i) {
        const auto size = from.output.read_some(asio::buffer(buffer), failure);
        keep(outcome, std::string_view(buffer.data(), size), limit);
    }
}

result<std::shared_ptr<running_shell>> start(executor home, const shell_command& command)
{
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return last_error();
    descriptor reading(ends[0]);
    const descriptor writing(ends[1]);
    const spawn_plan plan(writing.get());
    const auto pid = plan.start_shell(command.text);
    if (!pid) return pid.error();
    descriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
    if (!pidfd.is_open()) {
        const auto failure = last_error();
        ::kill(-*pid, SIGKILL);
        siginfo_t end{};
        ::waitid(P_PID, static_cast<id_t>(*pid), &end, WEXITED);
        return failure;
    }
    return std::make_shared<running_shell>(home, *pid, std::move(pidfd), std::move(reading));
}

}  // namespace

awaitable<shell_outcome> run_shell(executor home, shell_command command)
{
    // A cancelled task still kills and reaps: its waits must not throw.
    co_await asio::this_coro::throw_if_cancelled(false);
    shell_outcome outcome;
    const auto started = start(home, command);
    if (!started) {
        outcome.failure = started.error();
        co_return outcome;
    }
    const auto shell = *started;
    shell->watch(command.time_limit);
    co_await read_output(*shell, outcome, command.output_bytes_max);
    const auto cancelled = co_await asio::this_coro::cancellation_state;
    for (;;) {
        const bool is_cancelled = cancelled.cancelled() != asio::cancellation_type::none;
        if (is_cancelled) shell->kill();
        if (shell->has_ended()) break;
        co_await shell->wait();
    }
    drain_output(*shell, outcome, command.output_bytes_max);
    const auto end = shell->reap();
    outcome.is_late = shell->is_late();
    if (end.si_code == CLD_EXITED)
        outcome.exit_code = end.si_status;
    else
        outcome.signal_number = end.si_status;
    co_await asio::this_coro::throw_if_cancelled(true);
    co_return outcome;
}

std::string shell_outcome::text_of_failure() const
{
    if (failure) return failure.message();
    if (is_late) return "no end within its time limit";
    if (signal_number != 0) return fmt::format("ended by signal {}", signal_number);
    return fmt::format("exit code {}", exit_code);
}

}  // namespace pgtorii::runtime
