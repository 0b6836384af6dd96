#include "protocol/reply_ledger.hpp"

#include "protocol/byte_reader.hpp"
#include "protocol/writer.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace pgtorii::protocol {
namespace {

using kind = expected_kind;

std::vector<std::byte> body_of(char type, char status, std::string_view severity)
{
    message_buffer buffer;
    pg_error error;
    error.severity = severity;
    error.sqlstate = "XX000";
    if (type == 'Z') buffer.ready_for_query(status);
    if (type == 'E') buffer.error_response(error);
    auto bytes = buffer.take();
    if (!bytes.empty()) bytes.erase(bytes.begin(), bytes.begin() + frame_header::size);
    return bytes;
}

/// A ledger in conversation: what was sent, and what the server's messages are judged to be.
struct conversation {
    reply_ledger ledger;
    std::uint32_t next_tag = 1;

    void sends(kind what, bool swallow = false) { ledger.expect(what, next_tag++, swallow); }

    step gets(char type, std::string_view severity = "ERROR")
    {
        return ledger.on_message(type, body_of(type, 'I', severity));
    }

    /// One letter for each message of the session: Q query, P parse, B bind, S describe statement,
    /// D describe portal, E execute, C close, Y sync, F function call, c copy ended.
    void sends_all(std::string_view messages)
    {
        for (const char letter : messages) send_letter(letter);
    }

    void send_letter(char letter)
    {
        switch (letter) {
        case 'Q': return sends(kind::query);
        case 'P': return sends(kind::parse);
        case 'B': return sends(kind::bind);
        case 'S': return sends(kind::describe_statement);
        case 'D': return sends(kind::describe_portal);
        case 'E': return sends(kind::execute);
        case 'C': return sends(kind::close);
        case 'Y': return sends(kind::sync);
        case 'F': return sends(kind::function_call);
        case 'c': return ledger.copy_ended();
        default: FAIL("no such message: " << letter);
        }
    }

    /// The server's messages, all of which have to be forwarded. Gives the tags of what they end.
    std::vector<std::uint32_t> gets_all(std::string_view types)
    {
        std::vector<std::uint32_t> ended;
        for (const char type : types) {
            const auto made = gets(type);
            INFO("message " << type << " of " << types);
            REQUIRE(made.what == verdict::forward);
            if (made.completes) ended.push_back(made.tag);
        }
        return ended;
    }
};

using tags = std::vector<std::uint32_t>;

TEST_CASE("A query ends with its ReadyForQuery, whatever its commands answer")
{
    const auto* const replies =
        GENERATE("TDDDCZ", "TCZ", "CZ", "IZ", "CCCZ", "TDCCTDCZ", "HdddcCZ", "HcCZ", "HcCTDCZ",
                 "EZ", "TEZ", "TDDEZ", "CEZ", "HdEZ", "HdcEZ", "EEZ", "NTNDSDACNZ");
    conversation talk;
    talk.sends(kind::query);
    CHECK_FALSE(talk.ledger.is_idle());
    CHECK(talk.gets_all(replies) == tags{1});
    CHECK(talk.ledger.is_idle());
    CHECK(talk.ledger.size() == 0);
}

TEST_CASE("A reply that can't be is a misfit")
{
    struct wrong {
        std::string_view sent;
        std::string_view good;
        char bad;
    };
    const auto given = GENERATE(
        wrong{"", "", 'T'}, wrong{"", "", 'Z'}, wrong{"", "", 'C'}, wrong{"", "", 'E'},
        wrong{"", "", 'K'}, wrong{"", "", 'R'}, wrong{"", "", '?'}, wrong{"Q", "", 'Z'},
        wrong{"Q", "", 'D'}, wrong{"Q", "", 'd'}, wrong{"Q", "", 'c'}, wrong{"Q", "", '1'},
        wrong{"Q", "", 't'}, wrong{"Q", "", 'n'}, wrong{"Q", "", 's'}, wrong{"Q", "", 'V'},
        wrong{"Q", "", 'W'}, wrong{"Q", "", 'R'}, wrong{"Q", "", 'v'}, wrong{"Q", "T", 'T'},
        wrong{"Q", "T", 'Z'}, wrong{"Q", "T", 'I'}, wrong{"Q", "T", 'G'}, wrong{"Q", "C", 'I'},
        wrong{"Q", "C", 'D'}, wrong{"Q", "E", 'C'}, wrong{"Q", "E", 'T'}, wrong{"Q", "H", 'C'},
        wrong{"Q", "H", 'D'}, wrong{"Q", "Hc", 'd'}, wrong{"Q", "Hc", 'Z'}, wrong{"Q", "G", 'C'},
        wrong{"Q", "G", 'd'}, wrong{"Q", "G", 'Z'}, wrong{"P", "", '2'}, wrong{"P", "", 'Z'},
        wrong{"B", "", '1'}, wrong{"C", "", '1'}, wrong{"S", "", 'T'}, wrong{"S", "", 'n'},
        wrong{"S", "t", 't'}, wrong{"S", "t", 'C'}, wrong{"D", "", 't'}, wrong{"D", "", 'C'},
        wrong{"E", "", 'T'}, wrong{"E", "", 'n'}, wrong{"E", "", 'Z'}, wrong{"E", "D", 'I'},
        wrong{"E", "D", 'T'}, wrong{"E", "H", 's'}, wrong{"E", "H", 'C'}, wrong{"E", "G", 'C'},
        wrong{"E", "G", 'c'}, wrong{"E", "Hc", 's'}, wrong{"Y", "", 'C'}, wrong{"Y", "", 'I'},
        wrong{"F", "", 'Z'}, wrong{"F", "", 'C'}, wrong{"F", "V", 'V'}, wrong{"F", "E", 'V'},
        wrong{"PY", "1", '1'}, wrong{"PBEY", "1", '1'}, wrong{"PBEY", "E", 'C'},
        wrong{"PBE", "E", 'E'});
    INFO("sent " << given.sent << ", got " << given.good << ", then " << given.bad);
    conversation talk;
    talk.sends_all(given.sent);
    talk.gets_all(given.good);
    CHECK(talk.gets(given.bad).what == verdict::misfit);
}

TEST_CASE("A ReadyForQuery without a known status is a misfit")
{
    conversation talk;
    talk.sends(kind::sync);
    SECTION("an unknown status")
    {
        CHECK(talk.ledger.on_message('Z', body_of('Z', 'x', "")).what == verdict::misfit);
    }
    SECTION("no status")
    {
        CHECK(talk.ledger.on_message('Z', {}).what == verdict::misfit);
    }
    SECTION("failed transaction")
    {
        CHECK(talk.ledger.on_message('Z', body_of('Z', 'E', "")).completes);
    }
}

TEST_CASE("Extended messages are answered one by one")
{
    conversation talk;
    talk.sends_all("PBDEY");
    CHECK(talk.gets_all("12TDDDC") == tags{1, 2, 3, 4});
    CHECK_FALSE(talk.ledger.is_idle());
    CHECK(talk.gets_all("Z") == tags{5});
    CHECK(talk.ledger.is_idle());

    SECTION("describing a statement takes two messages")
    {
        talk.sends_all("SSY");
        CHECK(talk.gets_all("tTtnZ") == tags{6, 7, 8});
    }
    SECTION("a portal goes on after PortalSuspended")
    {
        talk.sends_all("EEEY");
        CHECK(talk.gets_all("DDsDsC") == tags{6, 7, 8});
    }
    SECTION("an empty statement, and statements without rows")
    {
        talk.sends_all("EEECY");
        CHECK(talk.gets_all("ICC3Z") == tags{6, 7, 8, 9, 10});
    }
}

TEST_CASE("A link is not idle while a unit waits for its Sync")
{
    conversation talk;
    talk.sends_all("P");
    talk.gets_all("1");
    CHECK(talk.ledger.size() == 0);
    CHECK(talk.ledger.awaits_sync());
    CHECK_FALSE(talk.ledger.is_idle());
    SECTION("a Sync ends it")
    {
        talk.sends_all("Y");
        talk.gets_all("Z");
        CHECK(talk.ledger.is_idle());
    }
    SECTION("so does a Query")
    {
        talk.sends_all("Q");
        talk.gets_all("CZ");
        CHECK(talk.ledger.is_idle());
    }
}

TEST_CASE("An error in a unit skips everything up to the Sync, at every position")
{
    const std::string_view sent = "PBDEPBECY";
    const std::string_view good = "12TC12C3Z";
    for (std::size_t failing = 0; failing + 1 != sent.size(); ++failing) {
        conversation talk;
        talk.sends_all(sent);
        talk.sends_all("PY");
        talk.gets_all(good.substr(0, failing));
        const auto made = talk.gets('E');
        CHECK(made.what == verdict::forward);
        CHECK(made.completes);
        CHECK(made.failed);
        CHECK(made.tag == failing + 1);
        REQUIRE(made.skipped == sent.size() - failing - 2);
        for (std::size_t index = 0; index != made.skipped; ++index) {
            CHECK(talk.ledger.skipped()[index].tag == failing + 2 + index);
        }
        CHECK(talk.gets_all("Z1Z") == tags{9, 10, 11});
        CHECK(talk.ledger.is_idle());
    }
}

TEST_CASE("After an error nothing is expected until a Sync is sent")
{
    conversation talk;
    talk.sends_all("P");
    CHECK(talk.gets('E').failed);
    CHECK(talk.ledger.is_skipping());
    CHECK_FALSE(talk.ledger.is_idle());
    // The server drops a Query and a FunctionCall too.
    for (const auto what : {kind::bind, kind::execute, kind::query, kind::function_call}) {
        CHECK_FALSE(talk.ledger.expect(what));
    }
    CHECK(talk.ledger.size() == 0);
    talk.sends_all("Y");
    CHECK(talk.gets('Z').completes);
    CHECK(talk.ledger.is_idle());
}

TEST_CASE("An error in a unit skips a Query that stands before the Sync")
{
    conversation talk;
    talk.sends_all("PQBYQ");
    const auto made = talk.gets('E');
    CHECK(made.skipped == 2);
    CHECK(talk.gets_all("ZTCZ") == tags{4, 5});
}

TEST_CASE("A Sync may fail and is ready then")
{
    conversation talk;
    talk.sends_all("PBEY");
    talk.gets_all("12C");
    const auto made = talk.gets('E');
    CHECK(made.what == verdict::forward);
    CHECK_FALSE(made.completes);
    CHECK(talk.gets_all("Z") == tags{4});
}

TEST_CASE("Asynchronous messages fit at any time")
{
    conversation talk;
    for (const char type : {'N', 'A', 'S'}) {
        const auto made = talk.gets(type);
        CHECK(made.what == verdict::forward);
        CHECK_FALSE(made.completes);
    }
    SECTION("caused by our own query they are swallowed, but for notifications")
    {
        talk.sends(kind::query, true);
        CHECK(talk.gets('N').what == verdict::swallow);
        CHECK(talk.gets('S').what == verdict::swallow);
        CHECK(talk.gets('A').what == verdict::forward);
    }
}

TEST_CASE("A fatal error fits at any time and ends the link")
{
    const auto* const sent = GENERATE("", "Q", "PBEY", "P", "F", "Y");
    const auto* const severity = GENERATE("FATAL", "PANIC");
    conversation talk;
    talk.sends_all(sent);
    const auto made = talk.gets('E', severity);
    CHECK(made.what == verdict::forward);
    CHECK(made.is_fatal);
    CHECK_FALSE(made.completes);
}

TEST_CASE("What answers our own messages is swallowed")
{
    conversation talk;
    talk.sends(kind::query, true);
    talk.sends(kind::query);
    for (const char type : {'T', 'D', 'D', 'C'}) CHECK(talk.gets(type).what == verdict::swallow);
    const auto made = talk.gets('Z');
    CHECK(made.what == verdict::swallow);
    CHECK(made.swallowed);
    CHECK(made.completes);
    CHECK(talk.gets_all("TDCZ") == tags{2});
}

TEST_CASE("COPY from the client in a query")
{
    conversation talk;
    talk.sends_all("Q");
    talk.gets_all("G");
    CHECK(talk.ledger.is_copying_in());
    SECTION("ends well after CopyDone")
    {
        talk.sends_all("c");
        CHECK(talk.gets_all("CZ") == tags{1});
    }
    SECTION("fails before CopyDone, which is ignored then")
    {
        talk.gets_all("E");
        CHECK_FALSE(talk.ledger.is_copying_in());
        talk.sends_all("c");
        CHECK(talk.gets_all("Z") == tags{1});
    }
    SECTION("two of them in one text")
    {
        talk.sends_all("cc");
        CHECK(talk.gets_all("CGCZ") == tags{1});
    }
    SECTION("a Sync within the data is never answered")
    {
        talk.sends_all("YcY");
        const auto made = talk.gets('C');
        REQUIRE(made.skipped == 1);
        CHECK(talk.ledger.skipped()[0].tag == 2);
        CHECK(talk.gets_all("ZZ") == tags{1, 3});
    }
    CHECK(talk.ledger.is_idle());
}

TEST_CASE("COPY from the client in the extended protocol")
{
    conversation talk;
    SECTION("the usual way: Flush, data, CopyDone, Sync")
    {
        talk.sends_all("PBE");
        CHECK(talk.gets_all("12G") == tags{1, 2});
        talk.sends_all("cY");
        CHECK(talk.gets_all("CZ") == tags{3, 4});
    }
    SECTION("the Sync behind Execute is swallowed by the COPY")
    {
        talk.sends_all("PBEY");
        CHECK(talk.gets_all("12G") == tags{1, 2});
        talk.sends_all("c");
        const auto made = talk.gets('C');
        CHECK(made.completes);
        REQUIRE(made.skipped == 1);
        CHECK(talk.ledger.skipped()[0].tag == 4);
        CHECK(talk.ledger.awaits_sync());
        talk.sends_all("Y");
        CHECK(talk.gets_all("Z") == tags{5});
    }
    SECTION("several Syncs are swallowed")
    {
        talk.sends_all("EYYYcYY");
        talk.gets_all("G");
        CHECK(talk.gets('C').skipped == 3);
        CHECK(talk.gets_all("ZZ") == tags{5, 6});
    }
    SECTION("a failure skips up to the Sync behind CopyDone")
    {
        talk.sends_all("PBEcY");
        talk.gets_all("12G");
        CHECK(talk.gets('E').failed);
        CHECK(talk.gets_all("Z") == tags{4});
    }
    SECTION("a failure before CopyDone was sent")
    {
        talk.sends_all("PBE");
        talk.gets_all("12G");
        CHECK(talk.gets('E').failed);
        CHECK(talk.ledger.is_skipping());
        talk.sends_all("cY");
        CHECK(talk.gets_all("Z") == tags{4});
    }
    CHECK(talk.ledger.is_idle());
    CHECK(talk.ledger.size() == 0);
}

TEST_CASE("A failed COPY leaves open whether the server has read an early Sync")
{
    conversation talk;
    talk.sends_all("EY");
    talk.gets_all("G");
    SECTION("it had not, and another Sync follows: two ReadyForQuery")
    {
        CHECK(talk.gets('E').failed);
        CHECK_FALSE(talk.ledger.is_idle());
        CHECK(talk.gets_all("Z") == tags{2});
        CHECK(talk.ledger.is_idle());
        CHECK_FALSE(talk.ledger.may_owe_more());
        talk.sends_all("cY");
        CHECK_FALSE(talk.ledger.is_idle());
        CHECK(talk.gets_all("Z") == tags{3});
    }
    SECTION("both were sent: one ReadyForQuery makes the link idle, but a second one fits")
    {
        talk.gets('E');
        talk.sends_all("cY");
        CHECK_FALSE(talk.ledger.is_idle());
        talk.gets_all("Z");
        CHECK(talk.ledger.is_idle());
        CHECK(talk.ledger.may_owe_more());
        SECTION("the second comes")
        {
            talk.gets_all("Z");
            CHECK(talk.gets('Z').what == verdict::misfit);
        }
        SECTION("the next command shows that it does not")
        {
            talk.sends_all("Q");
            CHECK_FALSE(talk.ledger.is_idle());
            const auto made = talk.gets('T');
            CHECK(made.tag == 4);
            CHECK(made.skipped == 1);
            CHECK(talk.gets_all("DCZ") == tags{4});
            CHECK_FALSE(talk.ledger.may_owe_more());
        }
        SECTION("it comes late, before the replies of the next command")
        {
            talk.sends_all("PBEY");
            CHECK(talk.gets_all("Z12CZ") == tags{3, 4, 5, 6, 7});
        }
        SECTION("the next command fails")
        {
            talk.sends_all("PBEY");
            const auto made = talk.gets('E');
            CHECK(made.tag == 4);
            CHECK(made.failed);
            CHECK(talk.gets_all("Z") == tags{7});
        }
        SECTION("another bare Sync is always answered")
        {
            talk.sends_all("Y");
            CHECK_FALSE(talk.ledger.is_idle());
            talk.gets_all("Z");
            CHECK(talk.ledger.is_idle());
        }
    }
    SECTION("in a query too")
    {
        conversation simple;
        simple.sends_all("QYcY");
        simple.gets_all("GE");
        CHECK(simple.gets_all("Z") == tags{1});
        CHECK_FALSE(simple.ledger.is_idle());
        simple.gets_all("Z");
        CHECK(simple.ledger.is_idle());
        simple.gets_all("Z");
        CHECK(simple.gets('Z').what == verdict::misfit);
    }
}

TEST_CASE("Thousands of pipelined messages are kept in order")
{
    constexpr std::uint32_t units = 5'000;
    conversation talk;
    for (std::uint32_t unit = 0; unit != units; ++unit) talk.sends_all("PBEY");
    CHECK(talk.ledger.size() == 4 * units);
    for (std::uint32_t unit = 0; unit != units; ++unit) {
        // Every seventh fails at its Bind.
        const bool fails = unit % 7 == 3;
        const auto first = unit * 4 + 1;
        REQUIRE(talk.gets('1').tag == first);
        const auto second = talk.gets(fails ? 'E' : '2');
        REQUIRE(second.tag == first + 1);
        REQUIRE(second.skipped == (fails ? 1 : 0));
        if (!fails) REQUIRE(talk.gets('C').tag == first + 2);
        REQUIRE(talk.gets('Z').tag == first + 3);
    }
    CHECK(talk.ledger.is_idle());
}

TEST_CASE("The ledger takes what PostgreSQL 15 was seen to answer")
{
    struct exchange {
        std::string_view what;
        // What was sent, what came back, and so on by turns.
        std::vector<std::string_view> turns;
    };
    const exchange seen[] = {
        {"COPY with a Sync behind Execute", {"PBEY", "12G", "c", "", "Y", "CZ"}},
        {"bad data in it", {"PBEY", "12G", "", "E", "c", "", "Y", "Z"}},
        {"COPY to a view", {"PBEY", "12GEZ", "c", "", "Y", "Z"}},
        {"CopyFail", {"PBEY", "12G", "c", "E", "Y", "Z"}},
        {"Syncs within a COPY of a query", {"QY", "G", "Y", "", "cY", "CZZ"}},
        {"two COPYs in a query", {"Q", "G", "Yc", "CG", "Yc", "CZ", "Y", "Z"}},
        {"COPY to a view in a query", {"QY", "GEZZ", "c", ""}},
        {"a Query within a unit", {"PBEQY", "12DCTDCZZ"}},
        {"a constraint that fails at Sync", {"PBEY", "12CEZ"}},
        {"an empty statement", {"PBEY", "12IZ"}},
        {"empty statements among others", {"Q", "TDCTDCZ"}},
        {"COPY data that nobody asked for", {"cc", "", "Q", "TDCZ"}},
        {"Describe of all kinds", {"PSPSBDBDCY", "1tT1tn2T2n3Z"}},
        {"a portal in parts", {"PBEEY", "12DDsDCZ"}},
        {"COPY to the client", {"Q", "HddcCZ", "PBEY", "12HddcCZ"}},
        {"a failed transaction", {"Q", "CZ", "PBEY", "1EZ", "Q", "CZ"}},
    };
    for (const auto& [what, turns] : seen) {
        INFO(what);
        conversation talk;
        for (std::size_t turn = 0; turn != turns.size(); ++turn) {
            if (turn % 2 == 0) {
                talk.sends_all(turns[turn]);
            } else {
                talk.gets_all(turns[turn]);
            }
        }
        CHECK(talk.ledger.is_idle());
        // Settles what the failed COPYs leave open.
        talk.sends_all("Q");
        talk.gets_all("CZ");
        CHECK(talk.ledger.is_idle());
        CHECK(talk.ledger.size() == 0);
    }
}

TEST_CASE("A cleared ledger is new")
{
    conversation talk;
    talk.sends_all("PBE");
    talk.gets_all("12G");
    talk.ledger.clear();
    CHECK(talk.ledger.is_idle());
    CHECK_FALSE(talk.ledger.is_copying_in());
    CHECK(talk.gets('C').what == verdict::misfit);
}

}  // namespace
}  // namespace pgtorii::protocol
