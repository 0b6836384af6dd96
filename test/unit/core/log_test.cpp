#include "core/runtime/log.hpp"

#include "core/runtime/descriptor.hpp"
#include "core/runtime/log_file.hpp"
#include "core/runtime/log_text.hpp"
#include "test/unit/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <functional>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace pgtorii;
using namespace pgtorii::runtime;
using config::message_level;

namespace {

log::line_prefix::moment a_moment()
{
    log::line_prefix::moment when;
    when.local.tm_year = 126;
    when.local.tm_mon = 10;
    when.local.tm_mday = 22;
    when.local.tm_hour = 22;
    when.local.tm_min = 8;
    when.local.tm_sec = 23;
    when.milliseconds = 7;
    when.pid = 21116;
    when.line = 3;
    return when;
}

std::string expand(std::string_view pattern, const log::origin& from = {})
{
    std::string out;
    log::line_prefix{pattern}.append(out, from, a_moment());
    return out;
}

std::string lines(const log::entry& what, message_level level = message_level::log,
                  config::verbosity verbosity = config::verbosity::default_)
{
    std::string out;
    auto when = a_moment();
    when.line = 0;
    log::append_entry(out, log::line_prefix{"%l:"}, when, level, {}, what, verbosity,
                      std::source_location::current());
    return out;
}

std::string visible(std::string_view text)
{
    std::string out;
    log::append_visible(out, text);
    return out;
}

/// Sends standard error to a file until the end of the scope.
class stderr_to_file {
public:
    explicit stderr_to_file(const std::filesystem::path& path) : saved_(::dup(STDERR_FILENO))
    {
        const descriptor file{
            ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
        ::dup2(file.get(), STDERR_FILENO);
    }
    ~stderr_to_file() { ::dup2(saved_.get(), STDERR_FILENO); }

private:
    descriptor saved_;
};

/// Runs `body` in a process of its own, whose standard error is a file: the collector stays on in a
/// process once it is.
void in_child(const std::filesystem::path& error_file, const std::function<void()>& body)
{
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const stderr_to_file captured{error_file};
        try {
            body();
        } catch (...) {
            ::_exit(1);
        }
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(status == 0);
}

void say(std::string_view text)
{
    REQUIRE(::write(STDERR_FILENO, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

log::log_file_settings a_file(const test::temporary_directory& place)
{
    return {.directory = (place / "logs").string(),
            .name = "gate-%Y%m%d.log",
            .rotation_age = std::chrono::hours{24},
            .rotation_bytes = 100};
}

}  // namespace

TEST_CASE("The escapes of log_line_prefix print what Pgpool-II's do")
{
    const log::origin session{
        .application = "psql", .process_kind = "CHILD", .user = "joe", .database = "sales"};
    CHECK(expand("%m: %a pid %p: ", session) == "2026-11-22 22:08:23.007: psql pid 21116: ");
    CHECK(expand("%t|%u|%d|%P|%l|", session) == "2026-11-22 22:08:23|joe|sales|CHILD|3|");
    CHECK(expand("100%%") == "100%");

    SECTION("outside of a session there is no user, and an empty one is unknown")
    {
        CHECK(expand("%u %d %a %P") == "[No Connection] [No Connection] main MAIN");
        CHECK(expand("%u %d", {.user = "", .database = ""}) == "[unknown] [unknown]");
        CHECK(expand("%a", {.application = ""}) == "[unknown]");
    }
    SECTION("a width pads left, a negative one right, and never cuts")
    {
        CHECK(expand("[%6u][%-6u][%2u][%06p]", session) == "[   joe][joe   ][joe][ 21116]");
        CHECK(expand("%999999999999u", session).size() == 200);
    }
    SECTION("unknown and unfinished escapes vanish")
    {
        CHECK(expand("a%zb%") == "ab");
        CHECK(expand("a%-") == "a");
        CHECK(expand("a%12") == "a");
        CHECK(expand("").empty());
    }
}

TEST_CASE("An entry is one line for each part, each with a prefix and a number of its own")
{
    const log::entry all{.message = "m", .detail = "d", .hint = "h", .context = "c"};
    CHECK(lines(all) == "1:LOG:  m\n2:DETAIL:  d\n3:HINT:  h\n4:CONTEXT:  c\n");
    CHECK(lines({.message = "m", .hint = "h"}) == "1:LOG:  m\n2:HINT:  h\n");
    CHECK(lines(all, message_level::fatal, config::verbosity::terse) == "1:FATAL:  m\n");

    const auto verbose = lines({.message = "m"}, message_level::debug3, config::verbosity::verbose);
    CHECK(verbose.starts_with("1:DEBUG:  m\n2:LOCATION:  "));
    CHECK(verbose.find(", log_test.cpp:") != std::string::npos);
    CHECK(verbose.find('(') == std::string::npos);
}

TEST_CASE("Every level has Pgpool-II's severity word")
{
    using enum message_level;
    for (const auto level : {debug5, debug4, debug3, debug2, debug1}) {
        CHECK(log::severity_word(level) == "DEBUG");
    }
    CHECK(log::severity_word(message_level::log) == "LOG");
    CHECK(log::severity_word(info) == "INFO");
    CHECK(log::severity_word(notice) == "NOTICE");
    CHECK(log::severity_word(warning) == "WARNING");
    CHECK(log::severity_word(error) == "ERROR");
    CHECK(log::severity_word(fatal) == "FATAL");
    CHECK(log::severity_word(panic) == "PANIC");
}

TEST_CASE("A client's text can forge neither a line nor a terminal escape")
{
    CHECK(visible("a\nLOG:  forged") == "a\n\tLOG:  forged");
    CHECK(visible("a\tb\n") == "a\tb\n\t");
    CHECK(visible("\x1b[31m\r\x7f\x01") == "\\x1b[31m\\x0d\\x7f\\x01");
    CHECK(visible(std::string_view("a\0b", 3)) == "a\\x00b");
    CHECK(visible("\xc2\x9b"
                  "31m") == "\\xc2\\x9b31m");
    CHECK(visible("h\xc3\xa9llo \xc2\xa0 \xe6\x97\xa5") == "h\xc3\xa9llo \xc2\xa0 \xe6\x97\xa5");
    CHECK(visible("ends in \xc2") == "ends in \xc2");
    // A name inside the prefix stays on its line.
    CHECK(expand("%a %u", {.application = "x\ny\tz", .user = "\x1b"}) == "x\\x0ay\\x09z \\x1b");
}

TEST_CASE("Syslog messages are numbered, and long ones split")
{
    CHECK(log::syslog_chunks(7, "short\n") == std::vector<std::string>{"[7] short"});
    CHECK(log::syslog_chunks(8, "one\ntwo\n") ==
          std::vector<std::string>{"[8-1] one", "[8-2] two"});
    CHECK(log::syslog_chunks(8, "one\n\n\ntwo\n").size() == 2);
    CHECK(log::syslog_chunks(9, std::string(900, 'x')).size() == 1);

    SECTION("at a blank where there is one")
    {
        const auto text = std::string(600, 'a') + ' ' + std::string(600, 'b');
        const auto chunks = log::syslog_chunks(1, text);
        REQUIRE(chunks.size() == 2);
        CHECK(chunks[0] == "[1-1] " + std::string(600, 'a') + ' ');
        CHECK(chunks[1] == "[1-2] " + std::string(600, 'b'));
    }
    SECTION("never inside a character, and nothing is lost")
    {
        std::string text = "x";
        for (int i = 0; i < 1000; ++i) text += "\xe6\x97\xa5";
        std::string joined;
        for (const auto& chunk : log::syslog_chunks(1, text)) {
            const auto body = chunk.substr(chunk.find(' ') + 1);
            CHECK(body.size() <= 900);
            CHECK((static_cast<unsigned char>(body[0]) & 0xc0) != 0x80);
            joined += body;
        }
        CHECK(joined == text);
    }
    SECTION("bytes that are no UTF-8 end too")
    {
        const std::string text(5000, '\x80');
        std::string joined;
        for (const auto& chunk : log::syslog_chunks(1, text))
            joined += chunk.substr(chunk.find(' ') + 1);
        CHECK(joined == text);
    }
}

TEST_CASE("Rotation by age is aligned to the local day")
{
    const std::chrono::hours day{24};
    const long east = 2 * 3600;
    const std::time_t local_midnight = 20 * 86400 - east;
    CHECK(log::next_rotation(local_midnight, day, east) == local_midnight + 86400);
    CHECK(log::next_rotation(local_midnight - 1, day, east) == local_midnight);
    CHECK(log::next_rotation(1'000'000, std::chrono::minutes{10}, 0) == 1'000'200);
}

TEST_CASE("The log file is standard error, named by the time of its opening")
{
    const test::temporary_directory place;
    const stderr_to_file away{place / "before"};
    const std::time_t noon = 1'790'000'000;
    ::setenv("TZ", "UTC", 1);
    ::tzset();

    log::log_file file{a_file(place), noon};
    CHECK(file.path() == (place / "logs/gate-20260921.log"));
    say("hello\n");
    CHECK(test::read_file(file.path()) == "hello\n");

    struct stat found{};
    REQUIRE(::stat(file.path().c_str(), &found) == 0);
    CHECK((found.st_mode & 0777) == 0600);
    REQUIRE(::stat((place / "logs").c_str(), &found) == 0);
    CHECK((found.st_mode & 0777) == 0700);

    SECTION("age makes it due at the next local midnight, and not before")
    {
        const auto midnight = log::next_rotation(noon, std::chrono::hours{24}, 0);
        CHECK_FALSE(file.is_rotation_due(midnight - 1));
        REQUIRE(file.is_rotation_due(midnight));
        CHECK(file.rotate(midnight).empty());
        CHECK(file.path() == (place / "logs/gate-20260922.log"));
        CHECK_FALSE(file.is_rotation_due(midnight));
        say("next day\n");
        CHECK(test::read_file(file.path()) == "next day\n");
    }
    SECTION("size makes it due, and a file that was moved away is made anew")
    {
        file.count(99);
        CHECK_FALSE(file.is_rotation_due(noon));
        file.count(1);
        REQUIRE(file.is_rotation_due(noon));
        std::filesystem::rename(file.path(), place / "old");
        CHECK(file.rotate(noon).empty());
        CHECK_FALSE(file.is_rotation_due(noon));
        say("again\n");
        CHECK(test::read_file(file.path()) == "again\n");
        CHECK(test::read_file(place / "old") == "hello\n");
    }
    SECTION("an existing file is appended to, and counts by its size")
    {
        log::log_file again{a_file(place), noon};
        say("world\n");
        CHECK(test::read_file(file.path()) == "hello\nworld\n");
        again.count(94);
        CHECK(again.is_rotation_due(noon));
    }
    SECTION("a failed rotation keeps the old file and is not tried again")
    {
        const auto midnight = log::next_rotation(noon, std::chrono::hours{24}, 0);
        std::filesystem::create_symlink("/dev/null", place / "logs/gate-20260922.log");
        CHECK(file.rotate(midnight).find("could not open log file") == 0);
        CHECK_FALSE(file.is_rotation_due(midnight + 100'000));
        say("still here\n");
        CHECK(test::read_file(place / "logs/gate-20260921.log") == "hello\nstill here\n");

        std::filesystem::remove(place / "logs/gate-20260922.log");
        file.reconfigure(a_file(place), midnight);
        CHECK(file.is_rotation_due(midnight + 86'400));
    }
}

TEST_CASE("log_truncate_on_rotation empties a file of another name, and only by age")
{
    const test::temporary_directory place;
    const stderr_to_file away{place / "before"};
    const std::time_t noon = 1'790'000'000;
    auto settings = a_file(place);
    settings.truncates_on_rotation = true;
    log::log_file file{settings, noon};
    say("hello\n");
    CHECK(file.rotate(noon).empty());
    CHECK(test::read_file(file.path()) == "hello\n");

    const auto tomorrow = place / "logs/gate-20260922.log";
    test::write_file(tomorrow, "from a month ago\n");
    CHECK(file.rotate(log::next_rotation(noon, std::chrono::hours{24}, 0)).empty());
    CHECK(test::read_file(tomorrow).empty());
}

TEST_CASE("A log file that leads elsewhere is refused")
{
    const test::temporary_directory place;
    const stderr_to_file away{place / "before"};
    auto settings = a_file(place);
    settings.name = "gate.log";
    std::filesystem::create_directory(place / "logs");
    const auto path = place / "logs/gate.log";

    SECTION("a link")
    {
        std::filesystem::create_symlink(place / "target", path);
    }
    SECTION("a pipe")
    {
        REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    }
    SECTION("a directory")
    {
        std::filesystem::create_directory(path);
    }
    SECTION("a missing parent")
    {
        settings.directory = (place / "no/such").string();
    }
    SECTION("no directory at all")
    {
        test::write_file(place / "plain", "");
        settings.directory = (place / "plain").string();
    }
    CHECK_THROWS_AS(log::log_file(settings, 0), log::bad_destination);
    say("still the old one\n");
    CHECK(test::read_file(place / "before") == "still the old one\n");
    CHECK_FALSE(std::filesystem::exists(place / "target"));
}

TEST_CASE("The log of the process follows its parameters")
{
    const test::temporary_directory place;
    const stderr_to_file captured{place / "out"};
    config::settings settings;
    settings.log_line_prefix = "%a: ";
    settings.log_min_messages = message_level::warning;
    log::configure(settings);

    SECTION("LOG passes at the default level, INFO does not")
    {
        CHECK(log::enabled(message_level::log));
        CHECK(log::enabled(message_level::warning));
        CHECK_FALSE(log::enabled(message_level::info));
        log::write(message_level::info, {}, {.message = "unseen"});
        log::write(message_level::log, {.application = "psql"},
                   {.message = "seen", .detail = "more"});
        CHECK(test::read_file(place / "out") == "psql: LOG:  seen\npsql: DETAIL:  more\n");
    }
    SECTION("LOG ranks between ERROR and FATAL")
    {
        settings.log_min_messages = message_level::error;
        log::configure(settings);
        CHECK(log::enabled(message_level::log));
        settings.log_min_messages = message_level::fatal;
        log::configure(settings);
        CHECK_FALSE(log::enabled(message_level::log));
        CHECK_FALSE(log::enabled(message_level::error));
        CHECK(log::enabled(message_level::panic));
    }
    SECTION("syslog alone leaves standard error in peace")
    {
        settings.log_destination.text = "syslog";
        settings.log_destination.items = {"syslog"};
        log::configure(settings);
        log::write(message_level::log, {}, {.message = "to syslog"});
        CHECK(test::read_file(place / "out").empty());
        settings.log_destination.text = "stderr";
        settings.log_destination.items = {"stderr"};
        log::configure(settings);
        log::write(message_level::log, {}, {.message = "back"});
        CHECK(test::read_file(place / "out") == "main: LOG:  back\n");
    }
    SECTION("lines of several threads are never mixed")
    {
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([t] {
                const std::string text(200, static_cast<char>('a' + t));
                for (int i = 0; i < 200; ++i) log::write(message_level::log, {}, {.message = text});
            });
        }
        for (auto& each : threads) each.join();
        std::ifstream written{place / "out"};
        int count = 0;
        for (std::string line; std::getline(written, line); ++count) {
            REQUIRE(line.size() == std::string("main: LOG:  ").size() + 200);
            REQUIRE(line.find_first_not_of(line.back(), line.size() - 200) == std::string::npos);
        }
        CHECK(count == 800);
    }
}

TEST_CASE("With logging_collector the log goes on in its directory")
{
    const test::temporary_directory place;
    config::settings settings;
    settings.log_line_prefix = "%a: ";
    settings.logging_collector = true;
    settings.log_directory = (place / "logs").string();
    settings.log_filename = "gate.log";
    const auto say_in_log = [](std::string_view text) {
        log::write(message_level::log, {}, {.message = text});
    };

    SECTION("a directory that can't be made changes nothing")
    {
        in_child(place / "out", [&] {
            settings.log_directory = (place / "no/such/directory").string();
            try {
                log::configure(settings);
            } catch (const log::bad_destination&) {
                say_in_log("still here");
            }
        });
        CHECK(test::read_file(place / "out").ends_with("main: LOG:  still here\n"));
    }
    SECTION("the last words before tell where it goes")
    {
        in_child(place / "out", [&] {
            log::configure(settings);
            say_in_log("in the file");
        });
        CHECK(test::read_file(place / "out") ==
              "logger: LOG:  redirecting log output to logging collector process\n"
              "logger: HINT:  Future log output will appear in directory \"" +
                  settings.log_directory + "\".\n");
        CHECK(test::read_file(place / "logs/gate.log") == "main: LOG:  in the file\n");
    }
    SECTION("a rotation by command opens the name anew")
    {
        in_child(place / "out", [&] {
            log::configure(settings);
            std::filesystem::rename(place / "logs/gate.log", place / "logs/old.log");
            log::rotate();
            say_in_log("in the next");
        });
        CHECK(test::read_file(place / "logs/gate.log") == "main: LOG:  in the next\n");
    }
    SECTION("a reload moves it")
    {
        in_child(place / "out", [&] {
            log::configure(settings);
            settings.log_filename = "other.log";
            log::configure(settings);
            say_in_log("moved");
        });
        CHECK(test::read_file(place / "logs/other.log") == "main: LOG:  moved\n");
    }
    SECTION("a size that is reached opens the name of now")
    {
        settings.log_rotation_size = 1;
        in_child(place / "out", [&] {
            log::configure(settings);
            std::filesystem::rename(place / "logs/gate.log", place / "logs/old.log");
            say_in_log(std::string(1024, 'x'));
            say_in_log("after");
        });
        CHECK(test::read_file(place / "logs/old.log").size() > 1024);
        CHECK(test::read_file(place / "logs/gate.log") == "main: LOG:  after\n");
    }
    SECTION("a rotation that fails is told once, in the old file")
    {
        settings.log_rotation_size = 1;
        in_child(place / "out", [&] {
            log::configure(settings);
            std::filesystem::rename(place / "logs/gate.log", place / "logs/old.log");
            std::filesystem::create_directory(place / "logs/gate.log");
            say_in_log(std::string(1024, 'x'));
            say_in_log("after");
            say_in_log("more");
        });
        const auto text = test::read_file(place / "logs/old.log");
        const auto told = text.find("main: LOG:  could not open log file");
        REQUIRE(told != std::string::npos);
        CHECK(text.find("could not open", told + 40) == std::string::npos);
        CHECK(text.ends_with("main: LOG:  after\nmain: LOG:  more\n"));
    }
}
