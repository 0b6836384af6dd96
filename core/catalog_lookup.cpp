#include "core/catalog_lookup.hpp"

#include "core/cancel_sender.hpp"
#include "core/link_login.hpp"
#include "core/runtime/log.hpp"
#include "core/session_home.hpp"
#include "protocol/server_messages.hpp"

#include <fmt/format.h>

#include <exception>
#include <utility>

namespace pgtorii::core {

using routing::look_up_failure;
using runtime::task;

namespace {

constexpr std::uint32_t event_in = 1;
constexpr std::uint32_t event_out = 2;
constexpr std::uint32_t event_late = 4;

/// What the ledger's tags mean.
constexpr std::uint32_t tag_preparation = 0;
constexpr std::uint32_t tag_question = 1;
constexpr std::uint32_t tag_reset = 2;

/// The longest answer that is read.
constexpr std::size_t answer_bytes_max = 4 * 1024 * 1024;

/// Whether the server compiles expensive-looking queries to machine code by default (12 and later).
bool compiles_queries(const server_link& link)
{
    for (const auto& [name, value] : link.parameters) {
        if (name == "server_version") return std::atoi(value.c_str()) >= 12;
    }
    return false;
}

/// The planner knows nothing of how few rows the question has, and in a catalog with a million
/// relations a wrong guess reads all of it.
std::string limits_of(const server_link& link, std::chrono::milliseconds time_limit)
{
    return fmt::format("SET statement_timeout TO {}; SET enable_seqscan TO off; SET enable_hashjoin"
                       " TO off; SET enable_mergejoin TO off{}",
                       time_limit.count(), compiles_queries(link) ? "; SET jit TO off" : "");
}

}  // namespace

catalog_lookup::catalog_lookup(session_home& home, order what, routing::catalog_question question,
                               std::function<void(failure)> told, std::function<void()> over)
    : home_(home),
      order_(std::move(what)),
      question_(std::move(question)),
      told_(std::move(told)),
      over_(std::move(over)),
      events_(home.loop.ready()),
      deadline_(events_, event_late)
{
}

catalog_lookup::~catalog_lookup()
{
    root_ = {};
    link_.reset();
    home_.services.pool.return_look_up_turn(*order_.pool, home_.loop.index(), order_.turn);
}

void catalog_lookup::start()
{
    root_ = run();
    root_.start();
}

task<> catalog_lookup::run()
{
    home_.loop.arm(deadline_, home_.settings->catalog_wait_timeout);
    failure outcome = look_up_failure::no_server;
    try {
        outcome = co_await ask();
    } catch (const std::exception& thrown) {
        runtime::log::write(
            config::message_level::error, {},
            {.message = "a catalog look-up ended by an internal error", .detail = thrown.what()});
        outcome = look_up_failure::no_server;
    }
    deadline_.disarm();
    if (outcome) {
        link_.reset();
    } else {
        give_back();
    }
    home_.services.pool.return_look_up_turn(
        *order_.pool, home_.loop.index(),
        std::exchange(order_.turn, link_pool::look_up_turn::none));
    // Only now: a session that waited finds the link in the pool and makes no other.
    tell(outcome);
    over_();
}

void catalog_lookup::tell(failure outcome)
{
    if (const auto told = std::exchange(told_, {})) told(outcome);
}

/// Waits for the server. False: the time is over.
task<bool> catalog_lookup::wait()
{
    const auto events = co_await events_;
    if (events & event_late) is_late_ = true;
    co_return !is_late_;
}

task<catalog_lookup::failure> catalog_lookup::ask()
{
    const auto not_opened = co_await obtain_link();
    if (not_opened) co_return not_opened;
    send_all();
    while (!is_reset_) {
        if (!flush()) co_return look_up_failure::no_server;
        const auto scratch = home_.loop.scratch();
        const auto got = link_->transport.read(scratch);
        if (got.has_error()) co_return look_up_failure::no_server;
        if (*got == 0) {
            if (!co_await wait()) co_return look_up_failure::no_server;
            continue;
        }
        received_bytes_ += *got;
        if (received_bytes_ > answer_bytes_max) co_return look_up_failure::refused_text;
        received_.insert(received_.end(), scratch.begin(),
                         scratch.begin() + static_cast<std::ptrdiff_t>(*got));
        const auto wrong = take_messages();
        if (wrong) co_return wrong;
    }
    co_return failure{};
}

/// A parked link of the pool, or a new one.
task<catalog_lookup::failure> catalog_lookup::obtain_link()
{
    auto& pool = home_.services.pool;
    link_ = pool.take(*order_.pool, order_.node);
    if (link_) {
        const auto wrong = link_->transport.open(home_.loop.source(), link_->unpark(), events_,
                                                 event_in, event_out);
        co_return wrong ? failure{look_up_failure::no_server} : failure{};
    }
    link_ = pool.make(order_.pool, order_.node);
    if (!link_) co_return look_up_failure::busy;
    if (!co_await connect()) co_return look_up_failure::no_server;
    co_return co_await log_in();
}

task<bool> catalog_lookup::connect()
{
    const auto view = home_.view;  // the home's may change while we wait
    for (const auto& address : view->nodes[static_cast<std::size_t>(order_.node)].addresses) {
        bool is_connected = false;
        auto socket = connecting_socket(address, is_connected);
        if (!socket.is_open()) continue;
        auto& transport = link_->transport;
        transport.close();
        link_->address = address;
        if (transport.open(home_.loop.source(), std::move(socket), events_, event_in, event_out)) {
            continue;
        }
        if (!is_connected) {
            transport.want_connected();
            while (!transport.is_writable()) {
                if (!co_await wait()) co_return false;
            }
        }
        if (!transport.connect_outcome()) co_return true;
    }
    co_return false;
}

task<catalog_lookup::failure> catalog_lookup::log_in()
{
    link_->output.append(std::as_bytes(std::span{order_.pool->key}));
    link_login login{*link_, order_.pool->user, false};
    for (;;) {
        if (!flush()) co_return look_up_failure::no_server;
        const auto scratch = home_.loop.scratch();
        const auto got = link_->transport.read(scratch);
        if (got.has_error()) co_return look_up_failure::no_server;
        if (*got == 0) {
            if (!co_await wait()) co_return look_up_failure::no_server;
            continue;
        }
        login.feed(scratch.first(*got));
        using step = link_login::step;
        auto next = login.next();
        while (next == step::notice) next = login.next();
        if (next == step::ready) co_return failure{};
        if (next == step::need_more) continue;
        const bool is_unreachable = login.outcome().what == opening::outcome::unreachable;
        co_return is_unreachable ? look_up_failure::no_server : look_up_failure::not_admitted;
    }
}

/// Everything at once: one round trip. What fails makes what follows useless, not harmful.
void catalog_lookup::send_all()
{
    protocol::message_buffer out;
    const auto add = [&](std::string_view sql, std::uint32_t tag) {
        out.query(sql);
        link_->ledger.expect(protocol::expected_kind::query, tag, true);
    };
    // A link that sessions share is as the last of them has left it.
    if (!link_->is_fresh()) add("DISCARD ALL", tag_preparation);
    for (const auto& statement : order_.space->statements) add(statement, tag_preparation);
    add(limits_of(*link_, home_.settings->catalog_wait_timeout), tag_preparation);
    add(question_.sql(), tag_question);
    add("DISCARD ALL", tag_reset);
    link_->output.append(out.bytes());
}

bool catalog_lookup::flush()
{
    auto& output = link_->output;
    if (output.is_empty() || !link_->transport.is_writable()) return true;
    const auto sent = link_->transport.write(output.bytes());
    if (sent.has_error()) return false;
    output.consume(*sent);
    return true;
}

/// Works off the whole messages among what was received.
catalog_lookup::failure catalog_lookup::take_messages()
{
    std::size_t used = 0;
    failure wrong;
    while (!wrong) {
        const auto rest = std::span<const std::byte>{received_}.subspan(used);
        const auto header = protocol::peek_header(rest);
        if (!header) break;
        if (protocol::check_server_header(*header)) {
            wrong = look_up_failure::no_server;
        } else if (const auto message = protocol::whole_message(rest)) {
            used += message->whole.size();
            wrong = on_message(*message);
        } else {
            break;
        }
    }
    received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(used));
    return wrong;
}

catalog_lookup::failure catalog_lookup::on_message(const protocol::message_view& message)
{
    const auto step = link_->ledger.on_message(message.type, message.body);
    if (step.what == protocol::verdict::misfit) return look_up_failure::no_server;
    switch (message.type) {
    case 'E': {
        const auto said = protocol::read_error(message.body);
        const auto level = config::message_level::log;
        if (runtime::log::enabled(level)) {
            const auto text = said.to_error().message;
            runtime::log::write(
                level,
                {.process_kind = "CHILD",
                 .user = order_.pool->user,
                 .database = order_.pool->database},
                {.message = fmt::format("server {} did not answer a question about its catalog",
                                        order_.node),
                 .detail = text});
        }
        return said.is_fatal() ? look_up_failure::no_server : look_up_failure::refused_text;
    }
    case 'D':
        if (step.tag == tag_question && !question_.add_row(message.body)) {
            return look_up_failure::no_server;
        }
        return {};
    case 'G':
    case 'H': return look_up_failure::no_server;  // nothing here is a COPY
    case 'Z':
        link_->status = static_cast<char>(message.body[0]);
        if (link_->status != 'I') return look_up_failure::no_server;
        if (step.tag == tag_reset) is_reset_ = true;
        return {};
    default: return {};
    }
}

/// The link is as it was after its login: to the pool with it, as after a session.
void catalog_lookup::give_back()
{
    const auto& database = order_.pool->database;
    const bool is_kept = home_.settings->connection_cache && !is_template_database(database) &&
                         link_->ledger.is_idle() && !link_->ledger.may_owe_more() &&
                         link_->output.is_empty() && received_.empty() &&
                         link_->transport.is_open();
    if (is_kept) {
        link_->note_discard_all();
        home_.services.pool.put(std::move(link_), home_.loop.now());
    } else {
        link_.reset();
    }
}

}  // namespace pgtorii::core
