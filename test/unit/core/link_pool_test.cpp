#include "core/link_pool.hpp"

#include "core/runtime/event_set.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <random>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using namespace pgtorii::core;
using pgtorii::clock;
using pgtorii::runtime::descriptor;

/// A link whose socket is one end of a pair; the test holds the other.
struct connected {
    std::unique_ptr<server_link> link;
    descriptor peer;
};

/// The watch of links that tests park.
struct bench {
    pgtorii::runtime::readiness source;
    pgtorii::runtime::ready_list ready;
    pgtorii::runtime::event_set events{ready};

    connected make(link_pool& pool, const std::shared_ptr<pgtorii::core::pool>& home, int node)
    {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
        connected made{pool.make(home, node), descriptor{ends[1]}};
        REQUIRE_FALSE(made.link->transport.open(source, descriptor{ends[0]}, events, 1, 2));
        return made;
    }
};

turn_limits limits_of(std::size_t count)
{
    return {.count_max = count, .count_max_of_pool = count};
}

/// Of a session on `worker` that has begun to wait at `second`.
std::unique_ptr<waiting_session> waiter_of(const std::shared_ptr<pgtorii::core::pool>& of,
                                           int worker, int millisecond,
                                           std::function<void(bool)> granted)
{
    auto made = std::make_unique<waiting_session>();
    made->of = of;
    made->worker = worker;
    made->since = clock::time_point{std::chrono::milliseconds{millisecond}};
    made->granted = std::move(granted);
    return made;
}

}  // namespace

TEST_CASE("Turns are granted first in, first out, and no more than there are")
{
    link_pool pool{limits_of(2)};
    const auto of = pool.find("key", "u", "d");
    std::vector<int> granted;
    std::vector<std::unique_ptr<waiting_session>> waiting;
    for (int i = 0; i < 5; ++i)
        waiting.push_back(waiter_of(of, 0, i, [&granted, i](bool) { granted.push_back(i); }));
    CHECK(pool.take_turn_or_queue(*waiting[0]) == link_pool::turn::taken);
    CHECK(pool.take_turn(of));
    CHECK_FALSE(pool.has_waiters());
    CHECK(pool.take_turn_or_queue(*waiting[2]) == link_pool::turn::queued);
    CHECK(pool.take_turn_or_queue(*waiting[3]) == link_pool::turn::queued);
    CHECK(pool.take_turn_or_queue(*waiting[4]) == link_pool::turn::queued);
    CHECK(pool.count_ahead_of(*waiting[4]) == 2);
    CHECK(granted.empty());
    CHECK(pool.has_waiters());

    SECTION("in order")
    {
        pool.return_turn(*of, 0);
        pool.return_turn(*of, 1);
        CHECK(granted == std::vector{2, 3});
        CHECK_FALSE(pool.is_queued(*waiting[2]));
        CHECK(pool.is_queued(*waiting[4]));
        CHECK_FALSE(pool.leave_queue(*waiting[2]));
        CHECK(pool.leave_queue(*waiting[4]));
    }
    SECTION("one that has left the queue is passed over")
    {
        CHECK(pool.leave_queue(*waiting[2]));
        CHECK_FALSE(pool.leave_queue(*waiting[2]));
        pool.return_turn(*of, 0);
        CHECK(granted == std::vector{3});
        CHECK(pool.leave_queue(*waiting[4]));
    }
    SECTION("a newcomer does not overtake")
    {
        CHECK(pool.leave_queue(*waiting[3]));
        CHECK(pool.leave_queue(*waiting[4]));
        pool.return_turn(*of, 0);
        CHECK(granted == std::vector{2});
        CHECK(pool.take_turn_or_queue(*waiting[3]) == link_pool::turn::queued);
        CHECK_FALSE(pool.take_turn(of));
        CHECK(pool.leave_queue(*waiting[3]));
    }
    CHECK_FALSE(pool.has_waiters());
}

TEST_CASE("A turn stays on its worker and with its pool, unless another has waited much longer")
{
    bench on;
    link_pool pool{limits_of(1)};
    const auto mine = pool.find("a", "u", "d");
    const auto other = pool.find("b", "u", "d");
    std::string granted;
    REQUIRE(pool.take_turn(mine));
    auto made = on.make(pool, mine, 0);
    const auto* const link = made.link.get();
    const auto waiting = [&](const auto& of, int worker, int millisecond, char sign) {
        auto who = waiter_of(of, worker, millisecond, [&granted, sign](bool is_here) {
            granted += sign;
            granted += is_here ? "+" : "-";
        });
        REQUIRE(pool.take_turn_or_queue(*who) == link_pool::turn::queued);
        return who;
    };
    link_list links;
    links.push_back(std::move(made.link));
    SECTION("a little younger, but here: the link goes with the turn")
    {
        const auto older = waiting(mine, 1, 10, 'o');
        const auto younger = waiting(mine, 0, 14, 'y');
        pool.return_turn(*mine, 0, std::move(links));
        CHECK(granted == "y+");
        REQUIRE(younger->links.size() == 1);
        CHECK(younger->links.front().get() == link);
        CHECK(pool.parked_count() == 0);
        pool.return_turn(*mine, 0, std::move(younger->links));
        CHECK(granted == "y+o-");
        CHECK(older->links.empty());
        CHECK(pool.parked_count() == 1);
    }
    SECTION("much younger")
    {
        const auto older = waiting(mine, 1, 10, 'o');
        const auto younger = waiting(mine, 0, 16, 'y');
        pool.return_turn(*mine, 0, std::move(links));
        CHECK(granted == "o-");
        CHECK(pool.parked_count() == 1);
        CHECK(pool.leave_queue(*younger));
    }
    SECTION("of another pool: the link is parked before the turn is granted")
    {
        auto here = waiting(other, 0, 10, 'h');
        here->granted = [&](bool is_here) { granted += is_here ? "h+" : "h-"; };
        pool.return_turn(*mine, 0, std::move(links));
        CHECK(granted == "h+");
        CHECK(here->links.empty());
        CHECK(pool.parked_count() == 1);
    }
    pool.return_turn(granted == "h+" ? *other : *mine, 0);
    CHECK(pool.turn_count() == 0);
}

TEST_CASE("A pool, a user and a database may have fewer turns than there are")
{
    link_pool pool{{.count_max = 6,
                    .count_max_of_pool = 3,
                    .of_users = {{"u", 4}},
                    .of_databases = {{"d", 2}}}};
    const auto a = pool.find("a", "u", "x");
    const auto b = pool.find("b", "u", "y");
    const auto c = pool.find("c", "v", "d");
    const auto d = pool.find("d", "w", "d");
    std::string granted;
    const auto waiting = [&](const auto& of, int millisecond, char sign) {
        auto who = waiter_of(of, 0, millisecond, [&granted, sign](bool) { granted += sign; });
        REQUIRE(pool.take_turn_or_queue(*who) == link_pool::turn::queued);
        return who;
    };
    for (int i = 0; i < 3; ++i) REQUIRE(pool.take_turn(a));
    const auto of_pool = waiting(a, 1, 'a');
    REQUIRE(pool.take_turn(b));
    const auto of_user = waiting(b, 2, 'b');
    // Those who are held back by limits of their own hold back nobody else.
    REQUIRE(pool.take_turn(c));
    REQUIRE(pool.take_turn(d));
    const auto of_database = waiting(c, 0, 'c');
    CHECK(pool.turn_count() == 6);
    pool.return_turn(*d, 0);
    CHECK(granted == "c");
    pool.return_turn(*b, 0);  // the pool of the older one is still full
    CHECK(granted == "cb");
    pool.return_turn(*a, 0);
    CHECK(granted == "cba");
    const auto more = waiting(b, 5, 'm');
    pool.set_limits({.of_users = {{"u", 5}}});
    CHECK_FALSE(pool.take_turn(d));  // databases have no limit now, but six are taken
    pool.return_turn(*c, 0);
    CHECK(granted == "cbam");
    const auto last = waiting(b, 6, 'l');
    pool.return_turn(*c, 0);
    CHECK(granted == "cbam");  // of the user are five
    pool.set_limits({});
    CHECK(granted == "cbaml");
    for (const auto& each : {a, a, a, b, b, b}) pool.return_turn(*each, 0);
    CHECK(pool.turn_count() == 0);
}

TEST_CASE("A node may have fewer links than there are turns, and the primary as many as there are")
{
    bench tools;
    auto limits = limits_of(10);
    limits.of_nodes = {{0, 5}, {1, 2}};
    link_pool pool{limits};
    const auto one = pool.find("a", "u", "d");
    const auto other = pool.find("b", "v", "d");
    const auto turns = [&] {
        std::size_t count = 0;
        while (pool.take_turn(one)) ++count;
        return count;
    };
    const auto give_back = [&](std::size_t count) {
        while (count-- > 0) pool.return_turn(*one, 0);
    };
    // Two of the primary's are for look-ups.
    pool.set_primary(0);
    CHECK(turns() == 3);
    give_back(3);
    pool.set_primary(1);
    CHECK(turns() == 1);
    give_back(1);
    pool.set_primary(2);
    CHECK(turns() == 10);
    // Whoever waits gets what a change sets free.
    pool.set_primary(0);
    bool is_granted = false;
    const auto waiting = waiter_of(other, 0, 1, [&](bool) { is_granted = true; });
    CHECK(pool.take_turn_or_queue(*waiting) == link_pool::turn::queued);
    give_back(7);
    CHECK_FALSE(is_granted);
    pool.set_primary(-1);
    CHECK(is_granted);

    auto first = tools.make(pool, one, 1);
    auto second = tools.make(pool, one, 1);
    CHECK(pool.make(one, 1) == nullptr);
    CHECK(pool.make(one, 0) != nullptr);
    CHECK(pool.link_count(1) == 2);
    // A parked one makes room, of whatever pool.
    pool.put(std::move(first.link), {});
    CHECK(pool.make(other, 1) != nullptr);
    CHECK(pool.parked_count() == 0);
    // A limit that is lowered closes nothing that is in use.
    auto third = tools.make(pool, one, 1);
    limits.of_nodes = {{1, 1}};
    pool.set_limits(limits);
    CHECK(pool.link_count(1) == 2);
    CHECK(pool.make(one, 1) == nullptr);
    pool.put(std::move(third.link), {});
    CHECK(pool.parked_count() == 0);
    CHECK(pool.link_count(1) == 1);
    give_back(3);
    pool.return_turn(*other, 0);
}

TEST_CASE("A parked link serves the same user, database and parameters only")
{
    bench on;
    link_pool pool{limits_of(4)};
    const auto mine = pool.find("key a", "u", "d");
    const auto other = pool.find("key b", "u", "d");
    CHECK(pool.find("key a", "u", "d") == mine);
    auto made = on.make(pool, mine, 0);
    const auto* const same = made.link.get();
    pool.put(std::move(made.link), clock::now());
    CHECK_FALSE(pool.take(*other, 0));
    CHECK_FALSE(pool.take(*mine, 1));
    auto taken = pool.take(*mine, 0);
    CHECK(taken.get() == same);
    CHECK_FALSE(pool.take(*mine, 0));
    CHECK(pool.link_count(0) == 1);
    taken.reset();
    CHECK(pool.link_count(0) == 0);
}

TEST_CASE("A parked link that has been closed or has something to say is not handed out")
{
    bench on;
    link_pool pool{limits_of(4)};
    const auto home = pool.find("key", "u", "d");
    auto made = on.make(pool, home, 0);
    pool.put(std::move(made.link), clock::now());
    SECTION("closed by the server")
    {
        made.peer.close();
    }
    SECTION("bytes are waiting")
    {
        CHECK(::write(made.peer.get(), "E", 1) == 1);
    }
    CHECK_FALSE(pool.take(*home, 0));
    CHECK(pool.link_count(0) == 0);
}

TEST_CASE("A full node closes the longest parked link of another pool for a new one")
{
    bench on;
    link_pool pool{limits_of(2)};
    const auto a = pool.find("a", "u", "d");
    const auto b = pool.find("b", "u", "d");
    const auto start = clock::now();
    auto first = on.make(pool, a, 0);
    auto second = on.make(pool, a, 0);
    pool.put(std::move(first.link), start);
    pool.put(std::move(second.link), start + std::chrono::seconds{1});
    auto third = pool.make(b, 0);
    CHECK(pool.link_count(0) == 2);
    CHECK(pool.parked_count() == 1);
    char told = 0;
    CHECK(::read(first.peer.get(), &told, 1) >= 0);    // closed (a Terminate may stand before it)
    CHECK(::read(second.peer.get(), &told, 1) == -1);  // open and silent
    SECTION("other nodes have a budget of their own")
    {
        auto elsewhere = pool.make(b, 1);
        CHECK(pool.parked_count() == 1);
    }
}

TEST_CASE("connection_life_time closes parked links and forgets unused pools")
{
    bench on;
    link_pool pool{limits_of(4)};
    const auto start = clock::now();
    {
        const auto home = pool.find("a", "u", "d");
        auto made = on.make(pool, home, 0);
        pool.put(std::move(made.link), start);
        pool.set_welcome(*home, std::make_shared<const welcome>());
    }
    pool.expire(start + std::chrono::seconds{100}, std::chrono::seconds{0});
    CHECK(pool.parked_count() == 1);
    pool.expire(start + std::chrono::seconds{9}, std::chrono::seconds{10});
    CHECK(pool.parked_count() == 1);
    pool.expire(start + std::chrono::seconds{10}, std::chrono::seconds{10});
    CHECK(pool.parked_count() == 0);
    pool.expire(start + std::chrono::seconds{11}, std::chrono::seconds{10});
    CHECK_FALSE(pool.welcome_of(*pool.find("a", "u", "d")));
}

TEST_CASE("The welcome lives as long as the pool has a link")
{
    link_pool pool{limits_of(4)};
    const auto home = pool.find("a", "u", "d");
    auto link = pool.make(home, 0);
    pool.set_welcome(*home, std::make_shared<const welcome>());
    auto another = pool.make(home, 1);
    link.reset();
    CHECK(pool.welcome_of(*home));
    another.reset();
    CHECK_FALSE(pool.welcome_of(*home));
}

TEST_CASE("Random schedules of turns and links keep every limit")
{
    for (unsigned seed = 1; seed <= 200; ++seed) {
        INFO("seed " << seed);
        std::mt19937 random{seed};
        bench on;
        constexpr std::size_t limit = 3;
        link_pool pool{limits_of(limit)};
        struct actor {
            waiting_session place;
            bool has_turn = false;
            std::vector<connected> links;
        };
        std::vector<std::unique_ptr<actor>> actors;
        std::vector<descriptor> peers;
        for (int i = 0; i < 8; ++i) {
            auto made = std::make_unique<actor>();
            made->place.of = pool.find(std::to_string(random() % 3), "u", "d");
            made->place.worker = i % 2;
            made->place.granted = [it = made.get()](bool) { it->has_turn = true; };
            actors.push_back(std::move(made));
        }
        const auto leave = [&](actor& who) {
            link_list kept = std::move(who.place.links);
            who.place.links.clear();
            for (auto& each : who.links) {
                if (random() % 2) kept.push_back(std::move(each.link));
                peers.push_back(std::move(each.peer));
            }
            who.links.clear();
            if (who.place.is_queued && pool.leave_queue(who.place)) return;
            if (std::exchange(who.has_turn, false))
                pool.return_turn(*who.place.of, who.place.worker, std::move(kept), clock::now());
        };
        for (int step = 0; step < 200; ++step) {
            auto& who = *actors[random() % actors.size()];
            switch (random() % 4) {
            case 0:
                if (who.has_turn || who.place.is_queued) break;
                who.place.since = clock::time_point{std::chrono::milliseconds{step}};
                who.has_turn = pool.take_turn_or_queue(who.place) == link_pool::turn::taken;
                break;
            case 1:
            case 2: {
                const int node = static_cast<int>(random() % 2);
                const bool has = std::ranges::any_of(
                    who.links, [node](const auto& each) { return each.link->node() == node; });
                for (auto& each : std::exchange(who.place.links, {}))
                    who.links.push_back({std::move(each), descriptor{}});
                if (!who.has_turn || has || !who.links.empty()) break;
                const auto home = who.place.of;
                if (auto parked = pool.take(*home, node)) {
                    REQUIRE_FALSE(
                        parked->transport.open(on.source, parked->unpark(), on.events, 1, 2));
                    who.links.push_back({std::move(parked), descriptor{}});
                } else {
                    who.links.push_back(on.make(pool, home, node));
                }
                break;
            }
            default: leave(who);
            }
            REQUIRE(pool.link_count(0) <= limit);
            REQUIRE(pool.link_count(1) <= limit);
            REQUIRE(pool.turn_count() <= limit);
            const auto holders =
                std::ranges::count_if(actors, [](const auto& each) { return each->has_turn; });
            REQUIRE(pool.turn_count() == static_cast<std::size_t>(holders));
            REQUIRE((pool.waiting_count() == 0 || pool.turn_count() == limit));
        }
        for (auto& each : actors) leave(*each);
        pool.drop_all();
        REQUIRE(pool.turn_count() == 0);
        REQUIRE(pool.link_count(0) == 0);
        REQUIRE(pool.link_count(1) == 0);
    }
}

TEST_CASE("Look-ups take a free turn, or an extra one, and never wait")
{
    using turn = link_pool::look_up_turn;
    link_pool pool{limits_of(2)};
    const auto of = pool.find("key", "u", "d");
    int granted = 0;
    const auto session = waiter_of(of, 0, 1, [&granted](bool) { ++granted; });
    CHECK(pool.take_look_up_turn(*of) == turn::session);
    CHECK(pool.take_turn(of));
    CHECK(pool.take_turn_or_queue(*session) == link_pool::turn::queued);
    // Whoever waits goes before a look-up, which has its own.
    CHECK(pool.take_look_up_turn(*of) == turn::extra);
    CHECK(pool.take_look_up_turn(*of) == turn::extra);
    CHECK(pool.take_look_up_turn(*of) == turn::none);
    pool.return_look_up_turn(*of, 0, turn::extra);
    CHECK(granted == 0);
    CHECK(pool.take_look_up_turn(*of) == turn::extra);
    pool.return_look_up_turn(*of, 0, turn::session);
    CHECK(granted == 1);
    pool.return_look_up_turn(*of, 0, turn::none);
    pool.return_look_up_turn(*of, 0, turn::extra);
    pool.return_look_up_turn(*of, 0, turn::extra);
    CHECK(pool.turn_count() == 2);
    pool.return_turn(*of, 0);
    pool.return_turn(*of, 0);
    CHECK(pool.turn_count() == 0);
}

TEST_CASE("A link that an extra turn has made above the budget is not parked")
{
    bench with;
    link_pool pool{limits_of(2)};
    const auto home = pool.find("key", "u", "d");
    auto first = with.make(pool, home, 0);
    auto second = with.make(pool, home, 0);
    auto extra = with.make(pool, home, 0);
    CHECK(pool.link_count(0) == 3);
    pool.put(std::move(extra.link), clock::now());
    CHECK(pool.link_count(0) == 2);
    CHECK(pool.parked_count() == 0);
    pool.put(std::move(first.link), clock::now());
    CHECK(pool.parked_count() == 1);
    second.link.reset();
}

TEST_CASE("SHOW sees the parked links, with whose they are")
{
    bench with;
    link_pool pool{limits_of(4)};
    auto mine = with.make(pool, pool.find("key", "jo", "shop"), 0);
    auto other = with.make(pool, pool.find("other", "ann", "shop"), 1);
    CHECK(pool.parked_links().empty());
    mine.link->backend_pid = 501;
    mine.link->note_leased(clock::now());
    mine.link->note_leased(clock::now());
    pool.put(std::move(mine.link), clock::now());
    const auto seen = pool.parked_links();
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].user == "jo");
    CHECK(seen[0].database == "shop");
    CHECK(seen[0].link.node == 0);
    CHECK(seen[0].link.backend_pid == 501);
    CHECK(seen[0].link.lease_count == 2);
    CHECK(seen[0].link.connected_at == wall_time{});
    CHECK(seen[0].link.returned_at > wall_time{});
}

TEST_CASE("No more sessions wait than may")
{
    link_pool pool{{.count_max = 1, .count_max_of_pool = 1, .queue_count_max = 2}};
    const auto of = pool.find("key", "u", "d");
    std::vector<std::unique_ptr<waiting_session>> waiting;
    for (int i = 0; i < 5; ++i) waiting.push_back(waiter_of(of, 0, i, [](bool) {}));
    CHECK(pool.take_turn(of));
    CHECK(pool.take_turn_or_queue(*waiting[0]) == link_pool::turn::queued);
    CHECK(pool.take_turn_or_queue(*waiting[1]) == link_pool::turn::queued);
    CHECK(pool.take_turn_or_queue(*waiting[2]) == link_pool::turn::refused);
    CHECK_FALSE(waiting[2]->is_queued);
    CHECK(pool.leave_queue(*waiting[0]));
    CHECK(pool.take_turn_or_queue(*waiting[3]) == link_pool::turn::queued);
    pool.set_limits({.queue_count_max = 3});
    CHECK(pool.take_turn_or_queue(*waiting[4]) == link_pool::turn::queued);
    for (const int i : {1, 3, 4}) CHECK(pool.leave_queue(*waiting[static_cast<std::size_t>(i)]));
    pool.return_turn(*of, 0);
}

TEST_CASE("Links expire one after the other, and a pool keeps its minimum")
{
    bench on;
    link_pool pool{limits_of(20)};
    const auto of = pool.find("key", "u", "d");
    const auto start = clock::now();
    std::vector<descriptor> peers;
    link_list made;
    for (unsigned pid = 0; pid < 10; ++pid) {
        auto each = on.make(pool, of, 0);
        each.link->backend_pid = 1000 + 10 * pid;
        peers.push_back(std::move(each.peer));
        made.push_back(std::move(each.link));
    }
    for (auto& each : made) pool.put(std::move(each), start);
    using std::chrono::seconds;
    pool.expire(start + seconds{89}, seconds{100});
    CHECK(pool.parked_count() == 10);
    std::vector<std::size_t> left;
    for (const int at : {92, 95, 98}) {
        pool.expire(start + seconds{at}, seconds{100}, 2);
        left.push_back(pool.parked_count());
    }
    CHECK(left[0] < 10);
    CHECK(left[1] < left[0]);
    CHECK(left[2] < left[1]);
    pool.expire(start + seconds{100}, seconds{100}, 2);
    CHECK(pool.parked_count() == 2);
    pool.expire(start + seconds{100}, seconds{100});
    CHECK(pool.parked_count() == 0);
}
