#include "core/daemon.hpp"
#include "core/signals.hpp"

#include "test/unit/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <fcntl.h>
#include <functional>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

using namespace pgtorii;
using core::detachment;

namespace {

/// Runs `body` in a forked process whose standard error is `error_file`, and gives its wait status.
int status_of(const std::filesystem::path& error_file, const std::function<void()>& body)
{
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const rlimit no_core{};
        ::setrlimit(RLIMIT_CORE, &no_core);
        const int file = ::open(error_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        ::dup2(file, STDERR_FILENO);
        try {
            body();
        } catch (...) {
            ::_exit(98);
        }
        ::_exit(99);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return status;
}

std::string link_text(const std::string& path)
{
    std::error_code failure;
    return std::filesystem::read_symlink(path, failure).string();
}

}  // namespace

TEST_CASE("The parent of a detached process ends with 0 when the child is ready")
{
    const test::temporary_directory place;
    const auto report = place / "report";
    REQUIRE(::mkfifo(report.c_str(), 0600) == 0);

    for (const bool keeps_stderr : {false, true}) {
        const auto status = status_of(place / "errors", [&] {
            auto process = detachment::begin();
            process.ready(keeps_stderr);
            // Opening the pipe waits for the test, which is past the parent's end then.
            std::ofstream{report} << (::getsid(0) == ::getpid()) << ' '
                                  << link_text("/proc/self/cwd") << ' '
                                  << link_text("/proc/self/fd/0") << ' '
                                  << link_text("/proc/self/fd/1") << ' '
                                  << link_text("/proc/self/fd/2");
            ::_exit(0);
        });
        REQUIRE(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
        CHECK(test::read_file(report) ==
              "1 / /dev/null /dev/null " +
                  (keeps_stderr ? (place / "errors").string() : std::string{"/dev/null"}));
    }
}

TEST_CASE("A child that fails before it is ready gives the parent its exit code and its message")
{
    const test::temporary_directory place;
    const auto status = status_of(place / "errors", [] {
        const auto process = detachment::begin();
        const std::string text = "FATAL:  no\n";
        ::_exit(::write(STDERR_FILENO, text.data(), text.size()) > 0 ? 3 : 97);
    });
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 3);
    CHECK(test::read_file(place / "errors") == "FATAL:  no\n");
}

TEST_CASE("A child that dies before it is ready is told about")
{
    const test::temporary_directory place;
    const auto status = status_of(place / "errors", [] {
        const auto process = detachment::begin();
        ::raise(SIGKILL);
    });
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 3);
    CHECK(test::read_file(place / "errors")
              .starts_with("FATAL:  the detached process was ended by signal 9"));
}

TEST_CASE("Signals have Pgpool-II's meaning")
{
    using enum core::signal_request;
    CHECK(core::request_of(SIGTERM) == stop_smart);
    CHECK(core::request_of(SIGINT) == stop_fast);
    CHECK(core::request_of(SIGQUIT) == stop_immediate);
    CHECK(core::request_of(SIGHUP) == core::signal_request::reload);
    CHECK(core::request_of(SIGUSR1) == report_usr1);
    CHECK(core::request_of(SIGUSR2) == none);

    boost::asio::io_context home{1};
    std::vector<std::pair<core::signal_request, int>> seen;
    core::signal_watch watch{home, [&](core::signal_request what, int number) {
                                 seen.emplace_back(what, number);
                                 if (what == stop_smart) watch.stop();
                             }};
    for (const int harmless : {SIGUSR2, SIGPIPE}) ::raise(harmless);
    for (const int number : {SIGHUP, SIGHUP, SIGUSR1, SIGTERM}) {
        ::raise(number);
        home.poll();
    }
    // Nothing is left that the context would wait for.
    home.run();
    CHECK(seen ==
          std::vector<std::pair<core::signal_request, int>>{{core::signal_request::reload, SIGHUP},
                                                            {core::signal_request::reload, SIGHUP},
                                                            {report_usr1, SIGUSR1},
                                                            {stop_smart, SIGTERM}});
}
