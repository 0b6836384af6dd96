// Repair: a read that a standby has refused, or lost, before the client got anything of its answer,
// is run again on the primary.

#include "core/client_session.hpp"

#include "protocol/message.hpp"
#include "routing/literal_key.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgtorii::core {

using runtime::task;

namespace {

/// Copies for repair that are larger are not kept for the next unit.
constexpr std::size_t kept_bytes_max = 1024;

void clear(std::string& copy)
{
    copy.clear();
    if (copy.capacity() > kept_bytes_max) copy.shrink_to_fit();
}

}  // namespace

/// Keeps the messages of a read that goes to a standby by itself: one autocommit Query, or a unit
/// of one Execute. Inside a transaction it can't be run again elsewhere.
void client_session::keep_for_repair(const server_link& link, const unit& what,
                                     std::span<const std::byte> bytes)
{
    repair_ = repair::none;
    if (status() != 'I' || is_exclusive_ || link.node() == main_node()) return;
    const auto limit = static_cast<std::size_t>(settings_->repair_bytes_max);
    if (bytes.size() > limit || !what.is_whole || !what.has_end) return;
    if (what.what != unit::kind::query) {
        const auto count = std::ranges::count(work_->items, 'E', &unit_item::type);
        if (what.what != unit::kind::extended || count != 1) return;
    }
    work_->repair_bytes.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    repair_ = repair::possible;
    repair_tells_write_ = false;
}

/// Replies for the client: sent, or kept until it is certain that the standby serves this unit.
void client_session::pass(std::span<const std::byte> bytes)
{
    switch (repair_) {
    case repair::none:
    case repair::done: send_client(bytes); break;
    case repair::possible:
        work_->held_replies.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        // A server that talks before it works (notices): it serves the unit.
        if (work_->held_replies.size() > static_cast<std::size_t>(settings_->repair_bytes_max))
            release_held();
        break;
    case repair::due: break;
    }
}

/// The standby serves the unit: what it has answered goes out, and there is no way back.
void client_session::release_held()
{
    repair_ = repair::none;
    if (work_->held_replies.empty()) return;
    send_client(std::as_bytes(std::span{work_->held_replies}));
    clear(work_->held_replies);
}

/// Errors that only say that this server is a standby. 25006: it would have written; 40001, outside
/// of a transaction: replay was in the way of its snapshot.
bool client_session::is_repaired_by(std::string_view sqlstate)
{
    repair_tells_write_ = sqlstate == "25006";
    return repair_tells_write_ || sqlstate == "40001";
}

/// The link was lost before it had answered anything that the client has seen: to a server that is
/// down, or after its refusal. Where only this connection has ended, the statement itself may be
/// the cause, or somebody's wish. True: the unit is to be run again, and the link is gone.
bool client_session::repair_after_loss(server_link& link)
{
    const bool is_down = repair_ == repair::possible && is_dead(link);
    if (!is_down && repair_ != repair::due) return false;
    repair_ = repair::due;
    drop_link(link);
    return true;
}

/// Runs the unit again on the primary. Null: that can't be, and the client has been told.
task<server_link*> client_session::run_repair(const unit& what)
{
    repair_ = repair::done;
    clear(work_->held_replies);
    log(config::message_level::debug1,
        "a read that a standby could not serve is run again on the primary");
    route way = resolve({routing::target::primary, routing::reason::remembered_write});
    auto* link = way.node >= 0 ? ready_link(way.node) : nullptr;
    if (!link) link = co_await prepare(way);
    if (is_over()) co_return nullptr;
    if (!link) {
        home_.replies.ready_for_query(status());
        send_replies();
        co_return nullptr;
    }
    begin_unit();
    unit_node_ = link->node();
    const auto bytes = std::as_bytes(std::span{work_->repair_bytes});
    if (what.what == unit::kind::query) {
        send_query(*link, what, bytes);
    } else {
        send_extended(*link, bytes);
    }
    co_return link;
}

/// The unit is over. A statement that the primary has accepted after a standby's refusal is
/// remembered as a write.
void client_session::forget_repair()
{
    if (repair_ == repair::none) return;
    if (repair_ == repair::done && repair_tells_write_ && !unit_failed_ && !is_over()) {
        home_.repaired.remember(fingerprint(text_of_repaired()), home_.loop.now(),
                                settings_->repair_memory_expire,
                                static_cast<std::size_t>(settings_->repair_memory_size));
    }
    repair_ = repair::none;
    clear(work_->repair_bytes);
    clear(work_->held_replies);
}

std::string_view client_session::text_of_repaired() const
{
    if (is_query_unit_) {
        const std::string_view body =
            std::string_view{work_->repair_bytes}.substr(protocol::frame_header::size);
        return body.substr(0, body.find('\0'));
    }
    const auto executed = std::ranges::find(work_->items, 'E', &unit_item::type);
    if (executed == work_->items.end() || !executed->statement) return {};
    return executed->statement->text;
}

/// What a statement is known by: its text but for literals, and what its names mean for this
/// session.
std::uint64_t client_session::fingerprint(std::string_view sql) const
{
    std::string key;
    if (!routing::make_literal_key(sql, key)) key = sql;
    for (const auto part : {database(), user()}) {
        key += '\0';
        key += part;
    }
    for (const auto& each : settings_record_.namespace_statements()) {
        key += '\0';
        key += each;
    }
    return std::hash<std::string>{}(key);
}

bool client_session::is_remembered_write(std::string_view sql) const
{
    return !home_.repaired.is_empty() &&
           home_.repaired.contains(fingerprint(sql), home_.loop.now());
}

}  // namespace pgtorii::core
