#include "admin/verbs.hpp"

#include "test/unit/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <functional>
#include <sstream>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace pgtorii;

namespace {

sigset_t signals_of_verbs()
{
    sigset_t signals;
    ::sigemptyset(&signals);
    for (const int each : {SIGTERM, SIGINT, SIGQUIT, SIGHUP}) ::sigaddset(&signals, each);
    return signals;
}

/// Lets the first signal end the process.
void wait_for_end()
{
    const auto signals = signals_of_verbs();
    ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    for (;;) ::pause();
}

/// A process that stands in for a running pgtorii, with its PID file. Its body begins with the
/// signals blocked, so that none comes too early.
class running {
public:
    explicit running(const std::filesystem::path& pid_file,
                     const std::function<void()>& body = &wait_for_end)
    {
        const auto signals = signals_of_verbs();
        sigset_t before;
        ::pthread_sigmask(SIG_BLOCK, &signals, &before);
        pid_ = ::fork();
        if (pid_ == 0) {
            const rlimit no_core{};
            ::setrlimit(RLIMIT_CORE, &no_core);
            // The test framework's handlers are inherited.
            for (const int each : {SIGTERM, SIGINT, SIGQUIT, SIGHUP}) std::signal(each, SIG_DFL);
            body();
            ::_exit(0);
        }
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        REQUIRE(pid_ > 0);
        test::write_file(pid_file, std::to_string(pid_) + "\n");
    }
    ~running()
    {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        wait();
    }
    int wait()
    {
        int status = 0;
        ::waitpid(std::exchange(pid_, -1), &status, 0);
        return status;
    }
    pid_t pid() const { return pid_; }

private:
    pid_t pid_ = -1;
};

}  // namespace

TEST_CASE("stop sends the mode's signal, waits for the end and removes the PID file")
{
    const test::temporary_directory place;
    const auto pid_file = place / "gate.pid";
    const std::pair<core::stop_mode, int> modes[] = {{core::stop_mode::smart, SIGTERM},
                                                     {core::stop_mode::fast, SIGINT},
                                                     {core::stop_mode::immediate, SIGQUIT}};
    for (const auto& [mode, signal] : modes) {
        running process{pid_file};
        const auto pid = std::to_string(process.pid());
        std::ostringstream terminal;
        CHECK(admin::stop_running(pid_file, mode, terminal) == 0);
        const auto text = terminal.str();
        CHECK(text.starts_with("LOG:  stop request sent to pgpool (pid: " + pid +
                               "). waiting for termination...\n"));
        CHECK(text.ends_with("done.\n"));
        CHECK_FALSE(std::filesystem::exists(pid_file));
        const int status = process.wait();
        REQUIRE(WIFSIGNALED(status));
        CHECK(WTERMSIG(status) == signal);
    }
}

TEST_CASE("stop signals again with every fifth dot until the process has ended")
{
    const test::temporary_directory place;
    const auto pid_file = place / "gate.pid";
    running process{pid_file, [] {
                        const auto signals = signals_of_verbs();
                        int got = 0;
                        for (int i = 0; i < 3; ++i) ::sigwait(&signals, &got);
                    }};

    std::ostringstream terminal;
    CHECK(admin::stop_running(pid_file, core::stop_mode::smart, terminal,
                              std::chrono::milliseconds{2}) == 0);
    CHECK(process.wait() == 0);
    const auto text = terminal.str();
    CHECK(text.find("\n..........") != std::string::npos);
    CHECK(text.ends_with(".done.\n"));
}

TEST_CASE("stop leaves the PID file of a process that has started meanwhile")
{
    const test::temporary_directory place;
    const auto pid_file = place / "gate.pid";
    const running process{pid_file};

    /// Puts the successor's PID file in place whenever something was printed.
    struct replacing_buffer : std::stringbuf {
        std::filesystem::path path;
        int sync() override
        {
            test::write_file(path, "1\n");
            return 0;
        }
    } buffer;
    buffer.path = pid_file;
    std::ostream terminal{&buffer};
    CHECK(admin::stop_running(pid_file, core::stop_mode::fast, terminal) == 0);
    CHECK(test::read_file(pid_file) == "1\n");
}

TEST_CASE("stop and reload without a process say so, each with its exit code")
{
    const test::temporary_directory place;
    const auto pid_file = place / "gate.pid";
    std::ostringstream terminal;

    SECTION("no PID file")
    {
        CHECK(admin::stop_running(pid_file, core::stop_mode::fast, terminal) == 3);
        CHECK(terminal.str().starts_with("FATAL:  could not read pid file\n"));
        CHECK(terminal.str().find(pid_file.string()) != std::string::npos);
        CHECK(admin::reload_running(pid_file, terminal) == 1);
    }
    SECTION("a PID file that would signal a process group")
    {
        test::write_file(pid_file, "-1\n");
        CHECK(admin::stop_running(pid_file, core::stop_mode::fast, terminal) == 3);
        CHECK(admin::reload_running(pid_file, terminal) == 1);
    }
    SECTION("a process that is gone")
    {
        std::string pid;
        {
            const running process{pid_file};
            pid = std::to_string(process.pid());
        }
        CHECK(admin::stop_running(pid_file, core::stop_mode::fast, terminal) == 3);
        CHECK(terminal.str() ==
              "FATAL:  could not stop process with pid: " + pid + "\nDETAIL:  No such process\n");
        terminal.str("");
        CHECK(admin::reload_running(pid_file, terminal) == 1);
        CHECK(terminal.str() == "FATAL:  could not reload configuration file pid: " + pid +
                                    "\nDETAIL:  No such process\n");
        CHECK(std::filesystem::exists(pid_file));
    }
}

TEST_CASE("reload sends SIGHUP and prints nothing")
{
    const test::temporary_directory place;
    const auto pid_file = place / "gate.pid";
    running process{pid_file};
    std::ostringstream terminal;
    CHECK(admin::reload_running(pid_file, terminal) == 0);
    CHECK(terminal.str().empty());
    const int status = process.wait();
    REQUIRE(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGHUP);
    CHECK(std::filesystem::exists(pid_file));
}
