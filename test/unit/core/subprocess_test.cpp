#include "core/runtime/subprocess.hpp"

#include "core/runtime/task_group.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <unistd.h>

using namespace pgtorii;
using namespace pgtorii::runtime;
using namespace std::chrono_literals;

namespace {

constexpr std::chrono::milliseconds long_enough = 60s;

shell_outcome outcome_of(std::string text, std::chrono::milliseconds limit = long_enough,
                         std::size_t bytes = 1024)
{
    boost::asio::io_context context{1};
    task_group tasks(context.get_executor());
    shell_outcome outcome;
    tasks.spawn([&]() -> awaitable<void> {
        shell_command command;
        command.text = std::move(text);
        command.time_limit = limit;
        command.output_bytes_max = bytes;
        outcome = co_await run_shell(context.get_executor(), std::move(command));
    });
    context.run();
    return outcome;
}

bool is_there(pid_t pid)
{
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string number;
    std::string name;
    std::string state;
    return (stat >> number >> name >> state) && state != "Z";
}

}  // namespace

TEST_CASE("A command's output and exit code are told")
{
    const auto good = outcome_of("echo one two; exit 0");
    CHECK(good.succeeded());
    CHECK(good.output == "one two\n");
    const auto bad = outcome_of("echo some; exit 3");
    CHECK_FALSE(bad.succeeded());
    CHECK(bad.exit_code == 3);
    CHECK(bad.output == "some\n");
    CHECK(bad.text_of_failure() == "exit code 3");
    CHECK(outcome_of("/no/such/program 2>/dev/null").exit_code == 127);
    const auto killed = outcome_of("kill -TERM $$");
    CHECK(killed.signal_number == SIGTERM);
    CHECK(killed.text_of_failure() == "ended by signal 15");
}

TEST_CASE("A command has no input, no descriptor of ours, and signals as they were")
{
    CHECK(outcome_of("cat; echo end").output == "end\n");
    const int leaked = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC
    const auto open = outcome_of("ls /proc/self/fd | wc -l").output;
    ::close(leaked);
    CHECK(std::stoi(open) == 4);  // three, and the one that ls reads the directory with
    const auto before = std::signal(SIGPIPE, SIG_IGN);
    const auto line = outcome_of("grep SigIgn /proc/self/status").output;
    constexpr unsigned long ordinary = 0x7fff'ffff;  // above them the C library keeps its own
    CHECK((std::stoul(line.substr(line.find('\t')), nullptr, 16) & ordinary) == 0);
    std::signal(SIGPIPE, before);
}

TEST_CASE("Output is bounded, and what is above it doesn't stop the command")
{
    const auto outcome = outcome_of("head -c 1000000 /dev/zero; exit 4", long_enough, 1000);
    CHECK(outcome.output.size() == 1000);
    CHECK(outcome.output_was_cut);
    CHECK(outcome.exit_code == 4);
}

TEST_CASE("A command that closes its output is waited for")
{
    CHECK(outcome_of("exec >&-; sleep 0.1; exit 5").exit_code == 5);
}

TEST_CASE("What a command leaves in the background is not waited for")
{
    const auto outcome = outcome_of("sleep 300 & echo $!");
    CHECK(outcome.succeeded());
    const auto left = std::stoi(outcome.output);
    CHECK(is_there(left));
    ::kill(left, SIGKILL);
}

TEST_CASE("A late command is killed with all its children")
{
    const auto outcome = outcome_of("sleep 300 & echo $!; wait", 200ms);
    CHECK(outcome.is_late);
    CHECK_FALSE(outcome.succeeded());
    CHECK(outcome.text_of_failure() == "no end within its time limit");
    const auto child = std::stoi(outcome.output);
    for (int i = 0; i < 500 && is_there(child); ++i) ::usleep(10'000);
    CHECK_FALSE(is_there(child));
}

TEST_CASE("A cancelled task kills its command and waits for its end")
{
    boost::asio::io_context context{1};
    task_group tasks(context.get_executor());
    bool has_returned = false;
    tasks.spawn([&]() -> awaitable<void> {
        shell_command command;
        command.text = "sleep 300";
        command.time_limit = long_enough;
        const auto outcome = co_await run_shell(context.get_executor(), std::move(command));
        has_returned = outcome.signal_number == SIGKILL;
    });
    timer soon(context.get_executor());
    soon.expires_after(50ms);
    soon.async_wait([&](error_code) { tasks.stop(); });
    context.run();
    CHECK(has_returned);
    CHECK(tasks.task_count() == 0);
    CHECK(tasks.failure_count() == 0);
}
