// A server that does what PostgreSQL does with the messages that it reads, one at a time, stands
// beside the ledger, which sees only what was sent and what came back. Whatever the order of
// events, the ledger must accept all replies, and ascribe each to the message that caused it.

#include "protocol/reply_ledger.hpp"

#include "protocol/writer.hpp"

#include <catch2/catch.hpp>

#include <deque>
#include <random>
#include <set>
#include <utility>
#include <vector>

namespace pgtorii::protocol {
namespace {

using kind = expected_kind;

struct sent_message {
    char letter;  // Q P B S D E C Y F, d: copy data, c: CopyDone, f: CopyFail
    std::uint32_t tag;
};

struct reply {
    char type;
    std::uint32_t tag;  // of the message that caused it
    bool ends;          // nothing more comes for that message
};

class random_source {
public:
    explicit random_source(std::uint32_t seed) : engine_(seed) {}
    bool chance(unsigned percent) { return below(100) < percent; }
    unsigned below(unsigned bound) { return static_cast<unsigned>(engine_() % bound); }

private:
    std::mt19937 engine_;
};

/// PostgreSQL's main loop (tcop/postgres.c) and its COPY loop, without what they compute.
class twin_server {
public:
    explicit twin_server(random_source& random) : random_(random) {}

    void read(const sent_message& message)
    {
        if (copying_ != 0) return read_in_copy(message);
        if (is_ignoring_ && message.letter != 'Y') return;
        switch (message.letter) {
        case 'Q': return run_query(message.tag);
        case 'E': return run_execute(message.tag);
        case 'F': return run_function(message.tag);
        case 'Y':
            is_ignoring_ = false;
            // The commit may fail, if there is something to commit.
            if (std::exchange(has_work_, false) && random_.chance(5)) say('E', message.tag);
            return say('Z', message.tag, true);
        case 'd':
        case 'c':
        case 'f': return;  // left over from a COPY that has failed
        default: return run_short(message);
        }
    }

    /// An error that no message causes: a cancel request or a timeout.
    void interrupt()
    {
        if (copying_ != 0) fail_copy();
    }

    bool is_copying() const { return copying_ != 0; }
    std::deque<reply> replies;

private:
    void say(char type, std::uint32_t tag, bool ends = false)
    {
        if (random_.chance(5)) replies.push_back({"NAS"[random_.below(3)], 0, false});
        replies.push_back({type, tag, ends});
    }

    void fail_extended(std::uint32_t tag)
    {
        say('E', tag, true);
        is_ignoring_ = true;
        has_work_ = false;
    }

    void run_short(const sent_message& message)
    {
        if (random_.chance(10)) return fail_extended(message.tag);
        has_work_ = true;
        switch (message.letter) {
        case 'P': return say('1', message.tag, true);
        case 'B': return say('2', message.tag, true);
        case 'C': return say('3', message.tag, true);
        case 'S': say('t', message.tag); [[fallthrough]];
        case 'D': return say(random_.chance(50) ? 'T' : 'n', message.tag, true);
        default: FAIL("the twin does not know " << message.letter);
        }
    }

    void run_function(std::uint32_t tag)
    {
        say(random_.chance(20) ? 'E' : 'V', tag);
        say('Z', tag, true);
    }

    void run_execute(std::uint32_t tag)
    {
        if (random_.chance(10)) return fail_extended(tag);
        if (random_.chance(25)) return begin_copy(tag, false);
        if (random_.chance(20)) {
            copy_out(tag);
        } else {
            for (auto rows = random_.below(4); rows != 0; --rows) say('D', tag);
            if (random_.chance(5)) return fail_extended(tag);
            if (random_.chance(20)) return say('s', tag, true);
        }
        say('C', tag, true);
    }

    void run_query(std::uint32_t tag)
    {
        if (random_.chance(5)) {
            say('I', tag);
            return say('Z', tag, true);
        }
        commands_left_ = 1 + random_.below(3);
        go_on_with_query(tag);
    }

    void go_on_with_query(std::uint32_t tag)
    {
        while (commands_left_ != 0) {
            --commands_left_;
            if (random_.chance(10)) return fail_query(tag);
            if (random_.chance(20)) return begin_copy(tag, true);
            if (random_.chance(20)) {
                copy_out(tag);
            } else if (random_.chance(50)) {
                say('T', tag);
                for (auto rows = random_.below(4); rows != 0; --rows) say('D', tag);
                if (random_.chance(5)) return fail_query(tag);
            }
            say('C', tag);
        }
        say('Z', tag, true);
    }

    void fail_query(std::uint32_t tag)
    {
        commands_left_ = 0;
        say('E', tag);
        say('Z', tag, true);
    }

    void copy_out(std::uint32_t tag)
    {
        say('H', tag);
        for (auto rows = random_.below(4); rows != 0; --rows) say('d', tag);
        say('c', tag);
    }

    void begin_copy(std::uint32_t tag, bool in_query)
    {
        say('G', tag);
        copying_ = tag;
        copies_in_query_ = in_query;
        // "cannot copy to view" comes before anything is read.
        if (random_.chance(15)) fail_copy();
    }

    void read_in_copy(const sent_message& message)
    {
        switch (message.letter) {
        case 'Y': return;  // ignored
        case 'd':
            if (random_.chance(10)) fail_copy();
            return;
        case 'f': return fail_copy();
        case 'c': {
            if (random_.chance(10)) return fail_copy();
            const auto tag = std::exchange(copying_, 0);
            say('C', tag, !copies_in_query_);
            if (copies_in_query_) go_on_with_query(tag);
            return;
        }
        default: FAIL("a message that would end the connection: " << message.letter);
        }
    }

    void fail_copy()
    {
        const auto tag = std::exchange(copying_, 0);
        if (copies_in_query_) return fail_query(tag);
        fail_extended(tag);
    }

    random_source& random_;
    bool is_ignoring_ = false;
    bool has_work_ = false;
    std::uint32_t copying_ = 0;
    bool copies_in_query_ = false;
    unsigned commands_left_ = 0;
};

/// A session that knows the protocol: after a message that may start a COPY it sends only Sync
/// until the server has caught up, and then data if the server asked for it.
class scenario {
public:
    scenario(std::uint32_t seed, bool sends_early_syncs)
        : random_(seed),
          server_(random_),
          sends_early_syncs_(sends_early_syncs)
    {
    }

    void run(unsigned step_count)
    {
        for (unsigned left = step_count; left != 0; --left) {
            switch (random_.below(4)) {
            case 0: send_something(); break;
            case 1: serve_one(); break;
            case 2: receive_one(); break;
            default:
                if (random_.chance(3)) server_.interrupt();
            }
        }
        finish();
    }

private:
    void send(char letter)
    {
        const auto tag = ++tag_;
        wire_.push_back({letter, tag});
        if (letter == 'c' || letter == 'f') return ledger_.copy_ended();
        if (letter == 'd') return;
        const bool is_noted = ledger_.expect(kind_of(letter), tag, tag % 5 == 0);
        if (is_noted) owed_.insert(tag);
    }

    static kind kind_of(char letter)
    {
        switch (letter) {
        case 'Q': return kind::query;
        case 'P': return kind::parse;
        case 'B': return kind::bind;
        case 'S': return kind::describe_statement;
        case 'D': return kind::describe_portal;
        case 'E': return kind::execute;
        case 'C': return kind::close;
        case 'F': return kind::function_call;
        default: return kind::sync;
        }
    }

    void send_something()
    {
        if (sends_copy_data_) return send_copy_data();
        if (may_be_copying_) {
            if (sends_early_syncs_ && random_.chance(10)) send('Y');
            return;
        }
        const char letter = "QPPBBSDEECYYF"[random_.below(13)];
        send(letter);
        may_be_copying_ = letter == 'Q' || letter == 'E';
    }

    void send_copy_data()
    {
        if (random_.chance(70)) return send('d');
        if (sends_early_syncs_ && random_.chance(20)) return send('Y');
        send(random_.chance(80) ? 'c' : 'f');
        sends_copy_data_ = false;
        // In a query another COPY may follow; in the extended protocol a Sync has to.
        if (copies_in_query_) {
            may_be_copying_ = true;
        } else {
            send('Y');
        }
    }

    void serve_one()
    {
        if (wire_.empty()) return;
        server_.read(wire_.front());
        wire_.pop_front();
    }

    void receive_one()
    {
        if (server_.replies.empty()) return settle();
        const auto got = server_.replies.front();
        server_.replies.pop_front();
        const auto made = ledger_.on_message(got.type, body_of(got.type));
        INFO("reply " << got.type << " to message " << got.tag);
        REQUIRE(made.what != verdict::misfit);
        for (std::uint32_t index = 0; index != made.skipped; ++index) {
            REQUIRE(owed_.erase(ledger_.skipped()[index].tag) == 1);
        }
        if (got.tag != 0) check(got, made);
        if (made.completes) owed_.erase(made.tag);
        if (got.type == 'G') {
            sends_copy_data_ = true;
            may_be_copying_ = false;
            copies_in_query_ = made.kind == kind::query;
        }
        settle();
    }

    void check(const reply& got, const step& made)
    {
        REQUIRE(made.completes == got.ends);
        REQUIRE((made.what == verdict::swallow) == made.swallowed);
        // A failed COPY with early Syncs leaves open which Sync a ReadyForQuery answers.
        const bool is_certain = !sends_early_syncs_ || made.kind != kind::sync;
        if (is_certain) REQUIRE(made.tag == got.tag);
        if (is_certain) REQUIRE(made.swallowed == (got.tag % 5 == 0));
    }

    /// When nothing is under way, the session knows whether the server copies. If the COPY failed
    /// in the extended protocol, a Sync has to follow the data, whatever was sent before.
    void settle()
    {
        if (!wire_.empty() || !server_.replies.empty() || server_.is_copying()) return;
        if (sends_copy_data_ && !copies_in_query_) send('Y');
        may_be_copying_ = sends_copy_data_ = false;
    }

    std::vector<std::byte> body_of(char type)
    {
        message_buffer buffer;
        pg_error error;
        error.sqlstate = "22012";
        error.message = "division by zero";
        if (type == 'Z') buffer.ready_for_query('I');
        if (type == 'E') buffer.error_response(error);
        auto bytes = buffer.take();
        if (!bytes.empty()) bytes.erase(bytes.begin(), bytes.begin() + frame_header::size);
        return bytes;
    }

    void drain()
    {
        while (!wire_.empty() || !server_.replies.empty()) {
            serve_one();
            receive_one();
        }
    }

    /// Brings everything to its end: then the link has to be idle, and nothing owed.
    void finish()
    {
        drain();
        while (server_.is_copying()) {
            send('c');
            drain();
        }
        send('Y');
        drain();
        REQUIRE(ledger_.is_idle());
        // A query of ours settles what a failed COPY may have left open.
        send('Q');
        drain();
        while (server_.is_copying()) {
            send('c');
            drain();
        }
        REQUIRE(ledger_.is_idle());
        REQUIRE_FALSE(ledger_.may_owe_more());
        REQUIRE(ledger_.size() == 0);
        REQUIRE(owed_.empty());
    }

    random_source random_;
    twin_server server_;
    reply_ledger ledger_;
    std::deque<sent_message> wire_;
    std::set<std::uint32_t> owed_;
    std::uint32_t tag_ = 0;
    bool sends_early_syncs_;
    bool may_be_copying_ = false;
    bool sends_copy_data_ = false;
    bool copies_in_query_ = false;
};

TEST_CASE("The ledger agrees with a server that follows PostgreSQL's loops")
{
    for (std::uint32_t seed = 1; seed <= 6'000; ++seed) {
        INFO("seed " << seed);
        scenario(seed, false).run(300);
    }
}

TEST_CASE("The ledger agrees with it when Syncs come within COPY data")
{
    for (std::uint32_t seed = 1; seed <= 6'000; ++seed) {
        INFO("seed " << seed);
        scenario(seed, true).run(300);
    }
}

TEST_CASE("The ledger judges random messages without harm")
{
    std::mt19937 engine(7);
    for (int round = 0; round != 3'000; ++round) {
        reply_ledger ledger;
        for (int count = 0; count != 60; ++count) {
            const auto what = engine() % 4;
            if (what == 0) {
                ledger.expect(static_cast<kind>(engine() % 9), count);
            } else if (what == 1) {
                ledger.copy_ended();
            } else {
                const std::byte body[] = {std::byte("ITEx"[engine() % 4])};
                const auto made = ledger.on_message("12CDEGHIKNRSTVWZcdnst"[engine() % 21], body);
                if (made.what == verdict::misfit) ledger.clear();
            }
            REQUIRE(ledger.size() <= 60);
        }
    }
}

}  // namespace
}  // namespace pgtorii::protocol
