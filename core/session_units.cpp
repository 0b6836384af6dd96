// Units of the client's stream: where one ends, what is in it, and where it goes.

#include "core/client_session.hpp"

#include "protocol/client_messages.hpp"
#include "protocol/message.hpp"
#include "routing/choose_node.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgtorii::core {

namespace {

using routing::target;

}  // namespace

/// The next unit, as far as it is there; reads from the client when that is needed. `none`: wait
/// for more.
client_session::unit client_session::next_unit()
{
    // A reply that the client has not taken yet comes before more work, so that what waits is
    // bounded.
    if (!output_.is_empty() || is_message_under_way()) return {};
    for (;;) {
        const auto present = input_.bytes();
        const auto header = protocol::peek_header(present);
        if (discard_bytes_ > 0 && !present.empty()) {
            const auto count = std::min(discard_bytes_, present.size());
            discard_bytes_ -= count;
            input_.consume(count);
            continue;
        }
        if (!header) {
            if (!client_.is_readable() || !read_client(present.size() + 1)) return {};
            if (input_.bytes().size() == present.size()) return {};
            continue;
        }
        if (const auto wrong = protocol::check_client_header(*header)) {
            const bool is_unknown = wrong == protocol::errc::unknown_message_type;
            send_fatal({.sqlstate = "08P01",
                        .message = is_unknown
                                       ? fmt::format("invalid frontend message type {}",
                                                     static_cast<int>(
                                                         static_cast<unsigned char>(header->type)))
                                       : std::string{"invalid message length"}});
            return {.what = unit::kind::broken};
        }
        if (discards_until_sync_) {
            if (header->type == 'X') return {.what = unit::kind::terminate};
            if (header->type == 'S') {
                discards_until_sync_ = false;
                input_.consume(header->total());
                home_.replies.ready_for_query(status_for_client());
                send_replies();
                if (!output_.is_empty()) return {};
                continue;
            }
            discard_bytes_ = header->total();
            continue;
        }
        const auto total = header->total();
        switch (header->type) {
        case 'd':
        case 'c':
        case 'f':
            // The rest of a COPY that has failed; PostgreSQL drops it too.
            discard_bytes_ = total;
            continue;
        case 'X': return {.what = unit::kind::terminate};
        case 'Q': {
            const auto whole_max = static_cast<std::size_t>(settings_->analyze_bytes_max) + 6;
            if (present.size() >= total) return {.what = unit::kind::query, .bytes = total};
            if (total > whole_max) {
                return {.what = unit::kind::query, .bytes = present.size(), .is_whole = false};
            }
            if (!client_.is_readable() || !read_client(total)) return {};
            if (input_.bytes().size() == present.size()) return {};
            continue;
        }
        case 'p':
            send_fatal({.sqlstate = "08P01", .message = "invalid frontend message type 112"});
            return {.what = unit::kind::broken};
        default: {
            const auto found = next_extended();
            if (found.what != unit::kind::none) return found;
            const auto wanted = std::min(
                std::max(2 * present.size(), runtime::worker::buffer_bytes), whole_bytes());
            if (!client_.is_readable() || !read_client(wanted)) return {};
            if (input_.bytes().size() == present.size()) return {};
            continue;
        }
        }
    }
}

/// An extended unit: up to its Sync when all of that is there. A client that asks for an answer
/// before (Flush), or that sends more than is kept, gets its unit served as it comes, by the
/// primary.
client_session::unit client_session::next_extended()
{
    const auto present = input_.bytes();
    auto at = scanned_bytes_;
    while (const auto header = protocol::peek_header(present.subspan(at))) {
        if (protocol::check_client_header(*header))
            break;  // found again, and told, when its turn comes
        const bool is_extended =
            std::string_view{"PBDECHSF"}.find(header->type) != std::string_view::npos;
        const bool ends_early = !is_extended || header->type == 'H';
        if (ends_early) {
            scanned_bytes_ = 0;
            return {.what = unit::kind::extended, .bytes = at, .is_whole = false};
        }
        if (present.size() - at < header->total()) break;
        at += header->total();
        if (header->type == 'S' || (header->type == 'F' && at == header->total())) {
            scanned_bytes_ = 0;
            const auto kind =
                header->type == 'F' ? unit::kind::function_call : unit::kind::extended;
            return {.what = kind, .bytes = at};
        }
    }
    scanned_bytes_ = at;
    const bool is_broken =
        present.size() - at >= protocol::frame_header::size &&
        protocol::check_client_header(*protocol::peek_header(present.subspan(at)));
    const bool is_full = present.size() >= whole_bytes();
    if (!is_broken && !is_full) return {};
    scanned_bytes_ = 0;
    return {.what = unit::kind::extended, .bytes = at, .is_whole = false};
}

routing::session_traits client_session::traits() const
{
    return {.in_transaction = transaction_status_ != 'I',
            .transaction_failed = transaction_status_ == 'E',
            .transaction_written = transaction_written_,
            .transaction_shareable = transaction_shareable_ && !settings_record_.has_uncommitted(),
            .session_written = session_written_,
            .session_transaction_written = session_transaction_written_,
            .session_pinned = is_pinned_ || !settings_record_.is_certain() || is_exclusive_,
            .balanced_node = balanced_node_};
}

const routing::query_facts_ptr& client_session::analyze(std::string_view sql)
{
    facts_ = home_.facts.find_or_analyze(sql, text_rules_);
    return facts_;
}

/// Fills in the node of a decision.
client_session::route client_session::resolve(routing::decision why)
{
    route way{.node = main_node(), .why = why};
    if (is_exclusive_ && way.why.target == target::balanced) way.why.target = target::primary;
    if (way.why.target != target::balanced) return way;
    if (avoided_epoch_ != home_.view->epoch) avoided_nodes_.clear();
    const auto is_fit = [this](int node) {
        return node >= 0 && static_cast<std::size_t>(node) < home_.view->nodes.size() &&
               home_.view->nodes[static_cast<std::size_t>(node)].is_valid() &&
               std::ranges::find(avoided_nodes_, node) == avoided_nodes_.end();
    };
    // Inside a transaction the reader that has joined goes on: another one would be one more
    // participant.
    const bool draws_anew = settings_->statement_level_load_balance && transaction_status_ == 'I';
    if (draws_anew || !is_fit(balanced_node_)) {
        const double draw = std::uniform_real_distribution<double>{0.0, 1.0}(home_.random);
        const auto* const wish = home_.rules->redirect(user_, database_, startup_application_name_);
        balanced_node_ = routing::choose_node(*home_.view, wish, draw);
    }
    if (is_fit(balanced_node_)) way.node = balanced_node_;
    if (way.node == main_node()) way.why.target = target::primary;
    return way;
}

client_session::route client_session::route_query(std::string_view sql)
{
    const auto& facts = *analyze(sql);
    return resolve(routing::decide(facts, traits(), *home_.view, *home_.rules));
}

/// Reads the messages of a whole unit into items_, and decides for all of them: the unit goes to
/// one server, a standby only when every statement in it may.
client_session::route client_session::route_extended(unit what)
{
    items_.clear();
    new_statements_.clear();
    closed_names_.clear();
    facts_ = nullptr;
    bool has_bind = false;
    const auto bytes = input_.bytes();
    bool may_balance = what.is_whole && what.what == unit::kind::extended;
    bool has_work = !what.is_whole || what.what == unit::kind::function_call;
    routing::decision why{target::primary, routing::reason::statement_kind};
    for (std::size_t at = 0; at < what.bytes;) {
        const auto header = *protocol::peek_header(bytes.subspan(at));
        auto item = read_item(header, at);
        at += header.total();
        const bool uses_statement = item.type == 'P' || item.type == 'B' || item.type == 'E' ||
                                    (item.type == 'D' && !item.names_portal);
        if (item.type != 'S' && item.type != 'C') has_work = true;
        if (item.type == 'B') has_bind = true;
        if (uses_statement) {
            // A portal that outlives the unit, and one that an earlier unit has made, are the
            // primary's.
            const bool is_simple = item.statement && item.statement->facts && item.max_rows == 0 &&
                                   !(item.names_portal && item.name_bytes > 0) &&
                                   (item.type != 'E' || has_bind);
            if (!is_simple) {
                may_balance = false;
            } else if (may_balance) {
                auto known = traits();
                known.is_extended = true;
                const auto each =
                    routing::decide(*item.statement->facts, known, *home_.view, *home_.rules);
                if (each.target != target::balanced) may_balance = false;
                why = each;
            }
        } else if (item.type == 'D') {
            if (item.name_bytes > 0 || !item.statement || !has_bind) may_balance = false;
        }
        items_.push_back(std::move(item));
    }
    // Outside a transaction a Sync or a Close of a statement asks nothing of a server.
    if (!has_work && (transaction_status_ == 'I' || !primary_link())) {
        return {.node = -1, .why = {target::local, routing::reason::local_command}};
    }
    if (!may_balance) why.target = target::primary;
    return resolve(why);
}

/// Decodes one message of an extended unit. A message that can't be decoded goes to the server as
/// it is, which refuses it in its own words.
client_session::unit_item client_session::read_item(protocol::frame_header header, std::size_t at)
{
    unit_item item{};
    item.type = header.type;
    item.offset = static_cast<std::uint32_t>(at);
    item.total = static_cast<std::uint32_t>(header.total());
    const std::span<const std::byte> body = input_.bytes().subspan(at + 5, header.body_size());
    const auto statement_named = [this](std::string_view name) -> prepared_ptr {
        const std::string key{name};
        if (std::ranges::find(closed_names_, key) != closed_names_.end()) return nullptr;
        for (auto each = new_statements_.rbegin(); each != new_statements_.rend(); ++each) {
            if ((*each)->name == key) return *each;
        }
        return prepared_.find(key);
    };
    switch (header.type) {
    case 'P':
        if (const auto parse = protocol::read_parse(body)) {
            item.name_bytes = static_cast<std::uint32_t>(parse->statement.size());
            // A name that is taken: the server itself has to refuse it, so it must know the
            // statement that has the name.
            if (item.name_bytes > 0) item.conflict = statement_named(parse->statement);
            item.statement = statement_of(*parse);
            std::erase(closed_names_, item.statement->name);
            new_statements_.push_back(item.statement);
        }
        break;
    case 'B':
        if (const auto bind = protocol::read_bind(body)) {
            item.names_portal = true;
            item.name_bytes = static_cast<std::uint32_t>(bind->portal.size());
            item.statement = statement_named(bind->statement);
            portals_[std::string{bind->portal}] = item.statement;
        }
        break;
    case 'D':
        if (const auto described = protocol::read_describe(body)) {
            item.names_portal = described->kind == 'P';
            item.name_bytes = static_cast<std::uint32_t>(described->name.size());
            if (!item.names_portal) {
                item.statement = statement_named(described->name);
            } else if (const auto found = portals_.find(std::string{described->name});
                       found != portals_.end()) {
                item.statement = found->second;
            }
        }
        break;
    case 'C':
        if (const auto closed = protocol::read_close(body)) {
            item.names_portal = closed->kind == 'P';
            item.name_bytes = static_cast<std::uint32_t>(closed->name.size());
            if (!item.names_portal) {
                item.statement = statement_named(closed->name);
                closed_names_.emplace_back(closed->name);
            }
        }
        break;
    case 'E':
        if (const auto execute = protocol::read_execute(body)) {
            item.names_portal = true;
            item.name_bytes = static_cast<std::uint32_t>(execute->portal.size());
            item.max_rows = execute->row_count_max;
            const auto found = portals_.find(std::string{execute->portal});
            if (found != portals_.end()) item.statement = found->second;
        }
        break;
    default: break;
    }
    return item;
}

/// As much of a Parse or Bind that is too long to be kept as the names at its head tell. Such a
/// statement can't be prepared again elsewhere: it is the primary's, and has no text.
client_session::unit_item client_session::read_item_head(protocol::frame_header header)
{
    unit_item item;
    item.type = header.type;
    const auto head = input_.bytes().subspan(protocol::frame_header::size);
    const std::string_view text{reinterpret_cast<const char*>(head.data()), head.size()};
    const auto first_end = text.find('\0');
    if (first_end == std::string_view::npos) return item;
    item.name_bytes = static_cast<std::uint32_t>(first_end);
    if (header.type == 'P') {
        auto made = std::make_shared<prepared_statement>();
        made->id = prepared_.next_id();
        made->name = text.substr(0, first_end);
        if (item.name_bytes > 0) item.conflict = prepared_.find(made->name);
        item.statement = made;
        new_statements_.push_back(std::move(made));
    } else if (header.type == 'B') {
        item.names_portal = true;
        const auto rest = text.substr(first_end + 1);
        const auto second_end = rest.find('\0');
        if (second_end != std::string_view::npos)
            item.statement = prepared_.find(std::string{rest.substr(0, second_end)});
        portals_[std::string{text.substr(0, first_end)}] = item.statement;
    }
    return item;
}

/// Extended messages up to this size are kept until their unit is complete. Never below a worker's
/// buffer, so that the small kinds are always seen whole.
std::size_t client_session::whole_bytes() const
{
    return std::max(static_cast<std::size_t>(settings_->analyze_bytes_max),
                    2 * runtime::worker::buffer_bytes);
}

/// The statement that a Parse makes. The same unnamed text again, which is what a driver without
/// named statements sends each time, is the same statement and costs nothing.
prepared_ptr client_session::statement_of(const protocol::parse_message& parse)
{
    const auto has_types_of = [&parse](const prepared_statement& known) {
        if (known.parameter_types.size() != parse.type_count) return false;
        for (std::size_t i = 0; i < parse.type_count; ++i) {
            if (known.parameter_types[i] != parse.type(i)) return false;
        }
        return true;
    };
    if (parse.statement.empty()) {
        if (last_unnamed_ && last_unnamed_->text == parse.query && has_types_of(*last_unnamed_) &&
            last_unnamed_rules_ == home_.rules) {
            return last_unnamed_;
        }
    }
    auto made = std::make_shared<prepared_statement>();
    made->id = prepared_.next_id();
    made->name = parse.statement;
    made->text = parse.query;
    for (std::size_t i = 0; i < parse.type_count; ++i)
        made->parameter_types.push_back(parse.type(i));
    made->facts = home_.facts.find_or_analyze(parse.query, text_rules_);
    if (parse.statement.empty()) {
        last_unnamed_ = made;
        last_unnamed_rules_ = home_.rules;
    }
    return made;
}

}  // namespace pgtorii::core
