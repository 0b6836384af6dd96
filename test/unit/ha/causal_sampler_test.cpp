#include "ha/causal_sampler.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <thread>

using namespace pgtorii;
using namespace pgtorii::ha;
using namespace std::chrono_literals;
using position = causal_board::floor;

namespace {

config::settings settings_with(config::causality mode = config::causality::session)
{
    config::settings settings;
    settings.backend_clustering_mode = config::clustering_mode::streaming_replication;
    settings.causal_reads = mode;
    settings.causal_reads_poll = 10ms;
    settings.causal_reads_timeout = 100ms;
    return settings;
}

cluster_view view_of(int primary, std::vector<bool> valid)
{
    cluster_view view;
    view.primary = primary;
    for (std::size_t id = 0; id < valid.size(); ++id) {
        node_view node;
        node.id = static_cast<int>(id);
        node.status = valid[id] ? node_status::up : node_status::down;
        view.nodes.push_back(node);
    }
    return view;
}

/// A sampler over a primary (node 0) and two standbys, its board and its time.
struct bench {
    explicit bench(config::causality mode = config::causality::session)
    {
        sampler.configure(settings_with(mode));
        sampler.on_view(view_of(0, {true, true, true}));
        sampler.step(now);
    }

    std::optional<position_question> turn_of(int node)
    {
        sampler.step(now);
        return sampler.begin(node, now);
    }
    void answer(int node, position at)
    {
        const auto question = turn_of(node);
        REQUIRE(question);
        sampler.on_answer(*question, at);
    }
    void pass(clock::duration time) { now += time; }

    int wake_count = 0;
    causal_board board{[this] { ++wake_count; }};
    causal_sampler sampler{board};
    clock::time_point now{1h};
};

}  // namespace

TEST_CASE("The sampler sleeps until somebody asks, and is woken once")
{
    bench at;
    CHECK_FALSE(at.sampler.is_awake());
    CHECK(at.sampler.due(0) == clock::time_point::max());
    CHECK(at.board.request() == 1);
    CHECK(at.board.request() == 2);
    at.board.want();
    CHECK(at.wake_count == 1);
    at.sampler.step(at.now);
    CHECK(at.sampler.is_awake());
    at.board.request();
    CHECK(at.wake_count == 1);
    CHECK(at.board.last_ticket() == 3);
}

TEST_CASE("A ticket is met by a question that began after it, and by no other")
{
    bench at;
    const auto first = at.board.request();
    const auto question = at.turn_of(0);
    REQUIRE(question);
    CHECK(question->of_primary);
    const auto second = at.board.request();
    at.sampler.on_answer(*question, {.lsn = 100, .timeline = 1});
    CHECK(at.board.floor_for(first) == position{.lsn = 100, .timeline = 1});
    CHECK_FALSE(at.board.floor_for(second));
    at.pass(10ms);
    at.answer(0, {.lsn = 110, .timeline = 1});
    CHECK(at.board.floor_for(second) == position{.lsn = 110, .timeline = 1});
}

TEST_CASE("Nobody is asked what would change nothing")
{
    bench at;
    const auto ticket = at.board.request();
    at.answer(0, {.lsn = 100, .timeline = 1});
    at.answer(1, {.lsn = 100, .timeline = 1});
    at.answer(2, {.lsn = 90, .timeline = 1});
    CHECK(at.board.has_replayed(1, *at.board.floor_for(ticket)));
    CHECK_FALSE(at.board.has_replayed(2, *at.board.floor_for(ticket)));
    CHECK_FALSE(at.board.has_replayed(0, *at.board.floor_for(ticket)));
    CHECK_FALSE(at.board.has_replayed(-1, *at.board.floor_for(ticket)));
    CHECK_FALSE(at.board.has_replayed(1000, *at.board.floor_for(ticket)));
    at.pass(10ms);
    CHECK_FALSE(at.turn_of(0));  // all tickets are met
    CHECK_FALSE(at.turn_of(1));  // it has replayed the newest floor
    CHECK(at.turn_of(2));
    CHECK_FALSE(at.turn_of(2));  // not before the next poll
}

TEST_CASE(
    "The sampler stops after ten polls, later while standbys are behind, and surely after 10 s")
{
    bench at;
    at.board.request();
    SECTION("all have replayed")
    {
        for (const int node : {0, 1, 2}) at.answer(node, {.lsn = 100, .timeline = 1});
        at.pass(99ms);
        at.sampler.step(at.now);
        CHECK(at.sampler.is_awake());
        at.pass(1ms);
        at.sampler.step(at.now);
        CHECK_FALSE(at.sampler.is_awake());
    }
    SECTION("one is behind")
    {
        at.answer(0, {.lsn = 100, .timeline = 1});
        at.answer(1, {.lsn = 99, .timeline = 1});
        at.answer(2, {.lsn = 100, .timeline = 1});
        at.pass(9s);
        at.sampler.step(at.now);
        CHECK(at.sampler.is_awake());
        SECTION("and somebody waits for it")
        {
            at.board.want();
            at.sampler.step(at.now);
            at.pass(9s);
            at.sampler.step(at.now);
            CHECK(at.sampler.is_awake());
        }
        SECTION("and nobody cares")
        {
            at.pass(1s);
            at.sampler.step(at.now);
            CHECK_FALSE(at.sampler.is_awake());
            at.board.want();
            CHECK(at.wake_count == 2);
        }
    }
    SECTION("the primary doesn't answer")
    {
        at.sampler.step(at.now);
        CHECK(at.sampler.is_awake());
        at.pass(10s);
        at.sampler.step(at.now);
        CHECK_FALSE(at.sampler.is_awake());
    }
    SECTION("sessions may wait longer")
    {
        auto settings = settings_with();
        settings.causal_reads_timeout = 1min;
        at.sampler.configure(settings);
        at.sampler.step(at.now);
        at.pass(59s);
        at.sampler.step(at.now);
        CHECK(at.sampler.is_awake());
    }
}

TEST_CASE("With causal_reads = off, another mode or no standby nothing runs")
{
    bench at;
    at.board.request();
    SECTION("off")
    {
        at.sampler.configure(settings_with(config::causality::off));
    }
    SECTION("logical replication")
    {
        auto settings = settings_with();
        settings.backend_clustering_mode = config::clustering_mode::logical_replication;
        at.sampler.configure(settings);
    }
    SECTION("no standby")
    {
        at.sampler.on_view(view_of(0, {true, false, false}));
    }
    CHECK_FALSE(at.turn_of(0));
    CHECK_FALSE(at.sampler.is_awake());
}

TEST_CASE("After a promotion no floor is known before the new primary has been asked")
{
    bench at;
    const auto ticket = at.board.request();
    at.answer(0, {.lsn = 100, .timeline = 1});
    at.answer(2, {.lsn = 100, .timeline = 1});
    const auto floor = *at.board.floor_for(ticket);
    CHECK(at.board.has_replayed(2, floor));
    at.pass(10ms);
    at.board.request();
    const auto late = at.turn_of(0);
    REQUIRE(late);

    at.sampler.on_view(view_of(-1, {false, true, true}));
    CHECK(at.board.is_current(floor));  // nothing has been written since
    at.sampler.on_view(view_of(1, {true, true, true}));
    CHECK_FALSE(at.board.is_current(floor));
    CHECK_FALSE(at.board.has_replayed(2, floor));
    CHECK_FALSE(at.board.floor_for(ticket));
    at.sampler.on_answer(*late, {.lsn = 150, .timeline = 1});  // from the old primary
    CHECK_FALSE(at.board.floor_for(ticket));

    at.answer(1, {.lsn = 120, .timeline = 2});
    CHECK(at.board.floor_for(ticket) == position{.lsn = 120, .timeline = 2});
    CHECK_FALSE(at.board.has_replayed(2, floor));
    at.pass(10ms);
    at.answer(2, {.lsn = 130, .timeline = 1});  // far, but on another history
    CHECK_FALSE(at.board.has_replayed(2, *at.board.floor_for(ticket)));
    at.pass(10ms);
    at.answer(2, {.lsn = 130, .timeline = 2});
    CHECK(at.board.has_replayed(2, *at.board.floor_for(ticket)));
}

TEST_CASE("A standby whose connection has ended has no position")
{
    bench at;
    const auto ticket = at.board.request();
    at.answer(0, {.lsn = 100, .timeline = 1});
    at.answer(1, {.lsn = 100, .timeline = 1});
    const auto floor = *at.board.floor_for(ticket);
    CHECK(at.sampler.take_news());
    CHECK_FALSE(at.sampler.take_news());
    SECTION("an idle one")
    {
        at.sampler.on_disconnected(1);
    }
    SECTION("one that went down")
    {
        at.sampler.on_view(view_of(0, {true, false, true}));
        at.sampler.on_view(view_of(0, {true, true, true}));
    }
    SECTION("one that serves no position")
    {
        at.pass(10ms);
        at.sampler.on_disconnected(1);
        at.answer(1, {});
    }
    CHECK_FALSE(at.board.has_replayed(1, floor));
    CHECK(at.sampler.take_news());
    at.pass(10ms);
    const auto question = at.turn_of(1);
    REQUIRE(question);
    at.sampler.on_failure(*question, at.now);
    at.pass(499ms);
    CHECK_FALSE(at.turn_of(1));
    at.pass(1ms);
    at.answer(1, {.lsn = 100, .timeline = 1});
    CHECK(at.board.has_replayed(1, floor));
}

namespace {

/// Servers with their true positions, sessions that remember what they wrote, a network that loses
/// and delays, and a promotion now and then: all in an order that a seed gives. Every step checks
/// that the board promises nothing that is not so.
class simulation {
public:
    explicit simulation(std::uint32_t seed) : random_(seed)
    {
        sampler_.configure(settings_with());
        show_view();
    }

    void run(int step_count)
    {
        for (int i = 0; i < step_count; ++i) {
            one_step();
            check();
        }
    }

    /// From here on all is well: every ticket and every standby must be served, and then the
    /// sampler must sleep.
    void check_end()
    {
        valid_ = {true, true, true};
        show_view();
        loss_percent_ = 0;
        for (auto& node : nodes_) node = {.lsn = nodes_[primary()].lsn, .timeline = timeline_};
        const auto ticket = board_.request();
        std::optional<position> floor;
        for (int i = 0; i < 2000 && !floor; ++i) {
            board_.want();
            drive();
            floor = board_.floor_for(ticket);
        }
        REQUIRE(floor);
        for (int i = 0; i < 2000 && !is_served(*floor); ++i) {
            board_.want();
            drive();
        }
        CHECK(is_served(*floor));
        for (int i = 0; i < 2000; ++i) drive();
        sampler_.step(now_ += causal_sampler::want_lifetime);
        CHECK_FALSE(sampler_.is_awake());
        const auto wakes = wake_count_;
        board_.request();
        CHECK(wake_count_ == wakes + 1);
    }

private:
    struct flight {
        position_question question;
        std::optional<position> answer;  // once the server has looked
    };
    struct written {
        position at;
        int primary;
    };

    std::size_t primary() const { return static_cast<std::size_t>(primary_); }
    int draw(int count) { return std::uniform_int_distribution(0, count - 1)(random_); }
    bool happens(int percent) { return draw(100) < percent; }

    void show_view() { sampler_.on_view(view_of(primary_, valid_)); }

    void one_step()
    {
        const auto node = static_cast<std::size_t>(draw(3));
        switch (draw(16)) {
        case 0:
        case 1: write(); break;
        case 2: board_.want(); break;
        case 3:
        case 4: begin(node); break;
        case 5:
        case 6: look(node); break;
        case 7:
        case 8: land(node); break;
        case 9:
        case 10: replay(node); break;
        case 11:
        case 12: now_ += std::chrono::milliseconds(draw(15)); break;
        case 13:
            if (happens(10)) go_or_come(node);
            break;
        case 14:
            if (happens(5)) promote(node);
            break;
        default:
            if (happens(10)) now_ += std::chrono::seconds(draw(15));
        }
    }

    void write()
    {
        nodes_[primary()].lsn += static_cast<std::uint64_t>(draw(50) + 1);
        written_[board_.request()] = {.at = nodes_[primary()], .primary = primary_};
        if (written_.size() > 30) written_.erase(written_.begin());
    }
    void begin(std::size_t node)
    {
        if (flights_[node]) return;
        sampler_.step(now_);
        if (const auto question = sampler_.begin(static_cast<int>(node), now_)) {
            flights_[node] = flight{.question = *question, .answer = {}};
        }
    }
    void look(std::size_t node)
    {
        if (flights_[node] && !flights_[node]->answer) flights_[node]->answer = nodes_[node];
    }
    void land(std::size_t node)
    {
        if (!flights_[node]) return;
        const auto arrived = *std::exchange(flights_[node], std::nullopt);
        if (!arrived.answer || happens(loss_percent_)) {
            sampler_.on_disconnected(static_cast<int>(node));
            sampler_.on_failure(arrived.question, now_);
        } else {
            sampler_.on_answer(arrived.question, *arrived.answer);
        }
    }
    void replay(std::size_t node)
    {
        if (node == primary()) return;
        auto& at = nodes_[node];
        if (at.timeline != timeline_ && happens(50)) return;
        const auto distance = nodes_[primary()].lsn - std::min(at.lsn, nodes_[primary()].lsn);
        at = {.lsn = at.lsn + std::min(distance, static_cast<std::uint64_t>(draw(60))),
              .timeline = timeline_};
    }
    void go_or_come(std::size_t node)
    {
        if (node == primary()) return;
        valid_[node] = !valid_[node];
        if (!valid_[node]) nodes_[node].lsn -= std::min<std::uint64_t>(nodes_[node].lsn, 20);
        show_view();
    }
    void promote(std::size_t node)
    {
        if (node == primary() || !valid_[node]) return;
        const auto fork = nodes_[node].lsn;
        primary_ = static_cast<int>(node);
        ++timeline_;
        for (auto& each : nodes_) each.lsn = std::min(each.lsn, fork);  // rewound
        for (std::size_t id = 0; id < nodes_.size(); ++id) {
            if (nodes_[id].timeline + 1 == timeline_) continue;
            nodes_[id].lsn = std::min(nodes_[id].lsn, fork);
        }
        nodes_[node].timeline = timeline_;
        show_view();
    }
    /// One turn of everything that works.
    void drive()
    {
        for (std::size_t node = 0; node < 3; ++node) {
            begin(node);
            look(node);
            land(node);
        }
        now_ += 1ms;
    }

    bool is_served(const position& floor) const
    {
        for (int node = 0; node < 3; ++node) {
            if (node != primary_ && !board_.has_replayed(node, floor)) return false;
        }
        return true;
    }

    void check() const
    {
        for (const auto& [ticket, was] : written_) {
            const auto floor = board_.floor_for(ticket);
            if (!floor) continue;
            const bool covers_it =
                was.primary != primary_ || was.at.timeline != timeline_ || floor->lsn >= was.at.lsn;
            // Checked by hand: millions of CHECKs take seconds.
            if (!covers_it || floor->timeline != timeline_) FAIL("floor of ticket " << ticket);
            for (int node = 0; node < 3; ++node) {
                if (!board_.has_replayed(node, *floor)) continue;
                const auto& truth = nodes_[static_cast<std::size_t>(node)];
                const bool is_true = valid_[static_cast<std::size_t>(node)] &&
                                     truth.timeline == floor->timeline && truth.lsn >= floor->lsn;
                if (!is_true) FAIL("node " << node << " has not replayed ticket " << ticket);
            }
        }
    }

    std::mt19937 random_;
    int wake_count_ = 0;
    causal_board board_{[this] { ++wake_count_; }};
    causal_sampler sampler_{board_};
    clock::time_point now_{1h};
    int primary_ = 0;
    std::uint32_t timeline_ = 1;
    std::vector<bool> valid_{true, true, true};
    std::array<position, 3> nodes_{{{1000, 1}, {1000, 1}, {1000, 1}}};
    std::array<std::optional<flight>, 3> flights_;
    std::map<std::uint64_t, written> written_;
    int loss_percent_ = 10;
};

}  // namespace

TEST_CASE("In any order of events the board promises nothing that is not so, and serves everybody")
{
    for (std::uint32_t seed = 1; seed <= 60; ++seed) {
        INFO("seed " << seed);
        simulation sim(seed);
        sim.run(1500);
        sim.check_end();
    }
}

TEST_CASE("Threads that ask while the sampler falls asleep are all served")
{
    constexpr int thread_count = 3;
    constexpr int ask_count = 500;
    std::mutex mutex;
    std::condition_variable changed;
    bool is_woken = false;
    std::atomic<std::uint64_t> written{1};
    std::atomic<int> running{thread_count};
    std::atomic<bool> all_covered{true};
    causal_board board([&] {
        const std::lock_guard lock(mutex);
        is_woken = true;
        changed.notify_one();
    });
    const auto ask = [&] {
        for (int i = 0; i < ask_count; ++i) {
            const auto own = written.fetch_add(1) + 1;
            const auto ticket = board.request();
            auto floor = board.floor_for(ticket);
            while (!floor) {
                board.want();
                std::this_thread::yield();
                floor = board.floor_for(ticket);
            }
            if (floor->lsn < own) all_covered = false;
        }
        --running;
        board.want();
    };
    causal_sampler sampler(board);
    sampler.configure(settings_with());
    sampler.on_view(view_of(0, {true, true}));
    clock::time_point now{1h};
    sampler.step(now);
    std::vector<std::thread> threads;
    for (int i = 0; i < thread_count; ++i) threads.emplace_back(ask);
    while (running > 0) {
        now += 60ms;  // it falls asleep at every second step without a call
        sampler.step(now);
        if (sampler.is_awake()) {
            const auto question = sampler.begin(0, now);
            if (question) sampler.on_answer(*question, {.lsn = written.load(), .timeline = 1});
            continue;
        }
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return is_woken; });
        is_woken = false;
    }
    for (auto& each : threads) each.join();
    CHECK(all_covered);
}
