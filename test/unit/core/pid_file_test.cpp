#include "core/runtime/pid_file.hpp"

#include "test/unit/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <csignal>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace pgtorii;
using runtime::pid_file;
using runtime::pid_file_failure;
using runtime::pid_file_path;
using runtime::read_pid_file;

namespace {

/// A child process that lives until the end of the scope.
class living_process {
public:
    living_process() : pid_(::fork())
    {
        if (pid_ == 0) {
            for (;;) ::pause();
        }
        REQUIRE(pid_ > 0);
    }
    ~living_process() { end(); }
    void end()
    {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }
    pid_t pid() const { return pid_; }

private:
    pid_t pid_;
};

pid_t pid_of_the_dead()
{
    living_process child;
    const auto pid = child.pid();
    child.end();
    return pid;
}

pid_file_failure failure_of(const std::filesystem::path& path)
{
    try {
        const auto created = pid_file::create(path);
    } catch (const pid_file_failure& failure) {
        return failure;
    }
    FAIL("the pid file was created");
    return {"", "", 0};
}

}  // namespace

TEST_CASE("A PID file holds our number as long as its object lives")
{
    const test::temporary_directory place;
    const auto path = place / "gate.pid";
    {
        const auto created = pid_file::create(path);
        CHECK(test::read_file(path) == std::to_string(::getpid()) + "\n");
        CHECK_FALSE(created.replaced());
        struct stat found{};
        REQUIRE(::stat(path.c_str(), &found) == 0);
        CHECK((found.st_mode & 07777) == 0600);
    }
    CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("A PID file that somebody else made meanwhile is not removed")
{
    const test::temporary_directory place;
    const auto path = place / "gate.pid";
    {
        const auto created = pid_file::create(path);
        std::filesystem::remove(path);
        test::write_file(path, "1\n");
    }
    CHECK(test::read_file(path) == "1\n");
}

TEST_CASE("A second start is refused, with Pgpool-II's words and exit code 1")
{
    const test::temporary_directory place;
    const auto path = place / "gate.pid";

    SECTION("while a pgtorii holds the file, whatever stands in it")
    {
        const auto first = pid_file::create(path);
        test::write_file(path, "");
        const auto failure = failure_of(path);
        CHECK(failure.exit_code == 1);
        CHECK(std::string{failure.what()} ==
              "pid file found. is another pgpool(unknown) is running?");
    }
    SECTION("while a Pgpool-II runs, which writes a zero byte and holds no lock")
    {
        const living_process other;
        test::write_file(path, std::to_string(other.pid()) + std::string(1, '\0'));
        const auto failure = failure_of(path);
        CHECK(failure.exit_code == 1);
        CHECK(std::string{failure.what()} ==
              "pid file found. is another pgpool(" + std::to_string(other.pid()) + ") is running?");
        CHECK(read_pid_file(path) == other.pid());
    }
}

TEST_CASE("A PID file that a dead process left is taken over")
{
    const test::temporary_directory place;
    const auto path = place / "gate.pid";
    std::string left = std::to_string(pid_of_the_dead()) + "\n";
    bool tells = true;

    SECTION("ours") {}
    SECTION("Pgpool-II's")
    {
        left.back() = '\0';
    }
    SECTION("with our own number, as after the restart of a container")
    {
        left = std::to_string(::getpid()) + "\n";
    }
    SECTION("with our parent's number")
    {
        left = std::to_string(::getppid()) + "\n";
    }
    SECTION("with a process group's number")
    {
        left = "-1\n";
        tells = false;
    }
    SECTION("empty")
    {
        left.clear();
        tells = false;
    }
    SECTION("with something else in it, longer than a number")
    {
        left = "no number, but a long line that has to be gone afterwards\n";
        tells = false;
    }
    test::write_file(path, left);
    const auto created = pid_file::create(path);
    CHECK(test::read_file(path) == std::to_string(::getpid()) + "\n");
    CHECK(created.replaced() == tells);
}

TEST_CASE("A PID file that can't be written names the parameter")
{
    const test::temporary_directory place;
    SECTION("its directory is missing")
    {
        const auto failure = failure_of(place / "no/such/gate.pid");
        CHECK(failure.exit_code == 3);
        CHECK(std::string{failure.what()}.starts_with("could not open pid file \""));
        CHECK(
            std::string{failure.what()}.ends_with("no/such/gate.pid\": No such file or directory"));
        CHECK(failure.hint.find("\"pid_file_name\"") != std::string::npos);
        CHECK(failure.hint.find((place / "no/such").string()) != std::string::npos);
    }
    SECTION("it is a link")
    {
        std::filesystem::create_symlink(place / "target", place / "gate.pid");
        CHECK(failure_of(place / "gate.pid").exit_code == 3);
        CHECK_FALSE(std::filesystem::exists(place / "target"));
    }
    SECTION("it is a directory")
    {
        CHECK(failure_of(place.path()).exit_code == 3);
    }
}

TEST_CASE("Of many starts at one moment exactly one goes on")
{
    const test::temporary_directory place;
    const auto path = place / "gate.pid";
    constexpr int count = 8;
    std::array<int, 2> verdicts{};
    std::array<int, 2> hold{};
    REQUIRE(::pipe(verdicts.data()) == 0);
    REQUIRE(::pipe(hold.data()) == 0);

    std::array<pid_t, count> children{};
    for (auto& child : children) {
        child = ::fork();
        if (child != 0) continue;
        ::close(hold[1]);
        char verdict = 'y';
        char byte = 0;
        try {
            const auto created = pid_file::create(path);
            const bool told = ::write(verdicts[1], &verdict, 1) == 1;
            // Until the parent has heard all of them.
            const bool released = ::read(hold[0], &byte, 1) == 0;
            ::_exit(told && released ? 0 : 1);
        } catch (const pid_file_failure&) {
            verdict = 'n';
            ::_exit(::write(verdicts[1], &verdict, 1) == 1 ? 0 : 1);
        }
    }
    int winners = 0;
    for (int i = 0; i < count; ++i) {
        char verdict = 0;
        REQUIRE(::read(verdicts[0], &verdict, 1) == 1);
        winners += verdict == 'y';
    }
    CHECK(winners == 1);
    ::close(hold[1]);
    for (const auto child : children) {
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
    for (const int end : {verdicts[0], verdicts[1], hold[0]}) ::close(end);
}

TEST_CASE(
    "Numbers in PID files are read as Pgpool-II reads them, and none that kill() takes for a group")
{
    const test::temporary_directory place;
    const auto path = place / "gate.pid";
    CHECK(read_pid_file(path) == std::nullopt);
    const auto read = [&](const std::string& content) {
        test::write_file(path, content);
        return read_pid_file(path);
    };
    CHECK(read("4711\n") == 4711);
    CHECK(read("4711") == 4711);
    CHECK(read(std::string("4711\0", 5)) == 4711);
    CHECK(read(" 12 more") == 12);
    for (const auto* bad : {"", "\n", "x1", "0", "-1", "-4711", "99999999999999999999", "0x10"}) {
        INFO(bad);
        CHECK(read(bad) == std::nullopt);
    }
}

TEST_CASE("A relative pid_file_name is taken from the directory of pgpool.conf")
{
    CHECK(pid_file_path("run/gate.pid", "/etc/pgpool2/pgpool.conf") == "/etc/pgpool2/run/gate.pid");
    CHECK(pid_file_path("/run/gate.pid", "/etc/pgpool2/pgpool.conf") == "/run/gate.pid");
}
