#include "core/input_buffer.hpp"
#include "core/runtime/deadlines.hpp"
#include "core/runtime/event_set.hpp"
#include "core/runtime/readiness.hpp"
#include "core/runtime/task.hpp"
#include "core/runtime/transport.hpp"
#include "core/runtime/worker.hpp"

#include <boost/asio/error.hpp>
#include <catch2/catch.hpp>

#include <array>
#include <cstring>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace {

using namespace pgtorii::runtime;
using pgtorii::clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct socket_pair {
    descriptor ours;
    descriptor theirs;

    socket_pair()
    {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
        ours = descriptor{ends[0]};
        theirs = descriptor{ends[1]};
    }
};

task<> collect(event_set& events, std::vector<std::uint32_t>& seen, int count)
{
    for (int i = 0; i < count; ++i) seen.push_back(co_await events);
}

void drain(ready_list& ready)
{
    while (!ready.empty()) {
        auto& front = ready.front();
        ready.pop_front();
        front.resume();
    }
}

task<int> answer(int value)
{
    co_return value;
}
task<int> fail()
{
    throw std::runtime_error("as asked");
    co_return 0;
}
task<> ask(int& total)
{
    for (int i = 1; i <= 1000; ++i) total += co_await answer(i);
    bool has_failed = false;
    try {
        total += co_await fail();
    } catch (const std::runtime_error&) {
        has_failed = true;
    }
    if (has_failed) total = -total;
}

}  // namespace

TEST_CASE("Events are never lost, and several before a turn are told once")
{
    ready_list ready;
    event_set events{ready};
    std::vector<std::uint32_t> seen;
    events.raise(1);
    auto root = collect(events, seen, 3);
    root.start();
    CHECK(seen == std::vector<std::uint32_t>{1});
    events.raise(2);
    events.raise(4);
    CHECK(seen.size() == 1);  // told in the worker's turn, not from inside raise
    drain(ready);
    CHECK(seen == std::vector<std::uint32_t>{1, 6});
    events.raise(8);
    drain(ready);
    CHECK(root.is_done());
    events.raise(16);
    CHECK(ready.empty());
}

TEST_CASE("An event set that ends while it is ready leaves the list")
{
    ready_list ready;
    event_set other{ready};
    std::vector<std::uint32_t> seen;
    auto root = collect(other, seen, 1);
    root.start();
    {
        event_set events{ready};
        std::vector<std::uint32_t> unseen;
        auto gone = collect(events, unseen, 1);
        gone.start();
        events.raise(1);
        other.raise(2);
    }
    drain(ready);
    CHECK(seen == std::vector<std::uint32_t>{2});
}

TEST_CASE("Tasks give values and exceptions to their caller")
{
    int total = 0;
    auto root = ask(total);
    root.start();
    CHECK(root.is_done());
    CHECK(total == -500500);
}

TEST_CASE("Deadlines are told in time, whatever their lengths, and not after they were disarmed")
{
    ready_list ready;
    event_set events{ready};
    deadlines all;
    deadline first{events, 1};
    deadline second{events, 2};
    deadline third{events, 4};
    const auto start = clock::now();
    CHECK_FALSE(all.next());
    all.arm(first, seconds{10}, start);
    all.arm(second, seconds{1}, start);
    all.arm(third, seconds{10}, start + seconds{1});
    CHECK(*all.next() == start + seconds{1});
    all.expire(start + milliseconds{999});
    CHECK(events.pending() == 0);
    all.expire(start + seconds{1});
    CHECK(events.pending() == 2);
    CHECK_FALSE(second.is_armed());
    first.disarm();
    CHECK(*all.next() == start + seconds{11});
    all.arm(first, seconds{10}, start + seconds{2});
    all.expire(start + seconds{11});
    CHECK(events.pending() == (2 | 4));
    all.expire(start + seconds{12});
    CHECK(events.pending() == (1 | 2 | 4));
    CHECK_FALSE(all.next());
}

TEST_CASE("A short read is followed by another one only when the peer has closed")
{
    readiness source;
    ready_list ready;
    event_set events{ready};
    socket_pair pair;
    transport stream;
    REQUIRE_FALSE(stream.open(source, std::move(pair.ours), events, 1, 2));
    std::array<std::byte, 100> buffer;
    REQUIRE(::write(pair.theirs.get(), "hello", 5) == 5);
    SECTION("the peer goes on")
    {
        source.wait(1000);
        CHECK(events.pending() == 1);
        CHECK(*stream.read(buffer) == 5);
        CHECK_FALSE(stream.is_readable());
        REQUIRE(::write(pair.theirs.get(), "more", 4) == 4);
        source.wait(1000);
        CHECK(stream.is_readable());
        CHECK(*stream.read(buffer) == 4);
    }
    SECTION("the end came with the bytes")
    {
        pair.theirs.close();
        source.wait(1000);
        CHECK(*stream.read(buffer) == 5);
        CHECK(stream.is_readable());
        CHECK(stream.read(buffer).error() == boost::asio::error::eof);
    }
    SECTION("a full buffer may have left something")
    {
        source.wait(1000);
        CHECK(*stream.read(std::span{buffer}.first(5)) == 5);
        CHECK(stream.is_readable());
        CHECK(*stream.read(buffer) == 0);
        CHECK_FALSE(stream.is_readable());
    }
}

TEST_CASE("A full socket tells when it can be written again, and nothing before")
{
    readiness source;
    ready_list ready;
    event_set events{ready};
    socket_pair pair;
    transport stream;
    REQUIRE_FALSE(stream.open(source, std::move(pair.ours), events, 1, 2));
    const std::vector<std::byte> much(1 << 20);
    for (int round = 0; round < 3; ++round) {
        std::size_t sent = 0;
        while (stream.is_writable()) sent += *stream.write(much);
        CHECK(sent > 0);
        source.wait(0);
        CHECK((events.pending() & 2) == 0);
        std::vector<std::byte> taken(1 << 22);
        while (::read(pair.theirs.get(), taken.data(), taken.size()) > 0) {
        }
        source.wait(1000);
        CHECK((events.pending() & 2) == 2);
        CHECK(stream.is_writable());
        std::vector<std::uint32_t> seen;
        auto root = collect(events, seen, 1);
        root.start();
    }
}

TEST_CASE("A descriptor that is closed while its event is in the batch is not told")
{
    readiness source;
    ready_list ready;
    event_set events{ready};
    socket_pair first;
    socket_pair second;
    struct closer {
        transport* other;
    };
    transport a;
    transport b;
    REQUIRE_FALSE(a.open(source, std::move(first.ours), events, 1, 2));
    REQUIRE_FALSE(b.open(source, std::move(second.ours), events, 4, 8));
    REQUIRE(::write(first.theirs.get(), "x", 1) == 1);
    REQUIRE(::write(second.theirs.get(), "x", 1) == 1);
    a.close();
    source.wait(1000);
    CHECK(events.pending() == 4);
}

TEST_CASE("The input buffer keeps what is unread, grows for one message, and gives its memory back")
{
    worker home{0};
    pgtorii::core::input_buffer input{home};
    const auto put = [&input](std::string_view text, std::size_t wanted) {
        const auto room = input.prepare(wanted);
        REQUIRE(room.size() >= text.size());
        std::memcpy(room.data(), text.data(), text.size());
        input.commit(text.size());
    };
    const auto text = [&input] {
        return std::string{reinterpret_cast<const char*>(input.bytes().data()), input.size()};
    };
    put("hello ", 1);
    put("world", 7);
    CHECK(text() == "hello world");
    input.consume(6);
    CHECK(text() == "world");
    put(std::string(40'000, 'x'), 40'005);
    CHECK(text() == "world" + std::string(40'000, 'x'));
    CHECK_FALSE(input.has_room());
    input.consume(10);
    CHECK(input.size() == 39'995);
    input.consume(39'995);
    CHECK(input.is_empty());
    CHECK(input.has_room());
    put("again", 1);
    CHECK(text() == "again");
    // A buffer that is full to its end, with room at its front, is moved together.
    input.consume(5);
    put(std::string(worker::buffer_bytes, 'y'), 1);
    input.consume(100);
    put(std::string(100, 'z'), input.size() + 1);
    CHECK(text() == std::string(worker::buffer_bytes - 100, 'y') + std::string(100, 'z'));
}

TEST_CASE("A worker runs what others post, and ends when it is told to")
{
    worker home{0};
    int count = 0;
    std::thread thread{[&home] { home.run(); }};
    for (int i = 0; i < 10'000; ++i) home.post([&count] { ++count; });
    home.post([&home, &count] {
        ++count;
        home.stop();
    });
    thread.join();
    CHECK(count == 10'001);
}
