// Extended units: their messages, the portals they open, and which server serves which part of
// them.
//
// A unit is read in *segments*: up to its Sync, to a Flush, or to the first message that another
// server has to serve. A segment goes to a standby only when every statement in it may; from the
// first one that goes to the primary on, the rest of the unit goes there too, but for portals that
// a standby has. Before a unit changes servers everything that the first one owes has come, without
// an error; after an error nothing more of the unit reaches any server.

#include "core/client_session.hpp"

#include "protocol/client_messages.hpp"
#include "protocol/message.hpp"

#include <algorithm>

namespace pgtorii::core {

namespace {

using routing::reason;
using routing::target;

}  // namespace

// Portals -----------------------------------------------------------------------------------------

portal* client_session::find_portal(std::string_view name)
{
    if (name.empty()) return work_->unnamed_portal.is_open ? &work_->unnamed_portal : nullptr;
    const auto found = work_->portals.find(std::string{name});
    return found == work_->portals.end() ? nullptr : &found->second;
}

void client_session::open_portal(std::string_view name, prepared_ptr statement)
{
    auto& opened = name.empty() ? work_->unnamed_portal : work_->portals[std::string{name}];
    opened.statement = std::move(statement);
    opened.node = portal_unplaced;
    opened.is_open = true;
    work_->unplaced_portals.emplace_back(name);
}

void client_session::close_portal(std::string_view name)
{
    if (name.empty()) {
        work_->unnamed_portal = {};
    } else {
        work_->portals.erase(std::string{name});
    }
}

/// The end of a transaction closes all of them.
void client_session::close_portals()
{
    work_->unnamed_portal = {};
    if (!work_->portals.empty()) work_->portals.clear();
}

/// Portals of a server are gone with the link to it.
void client_session::forget_portals(int node)
{
    if (work_->unnamed_portal.node == node) work_->unnamed_portal = {};
    std::erase_if(work_->portals, [node](const auto& each) { return each.second.node == node; });
}

/// A transaction has ended on a server, and with AND CHAIN another has begun: no portal of before
/// is left on others. On this server some may be newer, and it knows itself which it has.
void client_session::forget_portals_elsewhere(int node)
{
    const auto is_elsewhere = [node](const portal& each) {
        return each.node != node && each.node != portal_unplaced;
    };
    if (is_elsewhere(work_->unnamed_portal)) work_->unnamed_portal = {};
    std::erase_if(work_->portals, [&](const auto& each) { return is_elsewhere(each.second); });
}

/// The segment that has opened portals goes to this node.
void client_session::place_portals(int node)
{
    for (const auto& name : work_->unplaced_portals) {
        auto* const opened = find_portal(name);
        if (opened && opened->node == portal_unplaced) opened->node = node;
    }
    work_->unplaced_portals.clear();
}

/// What names mean before a segment is read. Most often none of them is in use, and the copies cost
/// nothing.
client_session::names_before client_session::names_now() const
{
    const auto copy_of = []<class Container>(const Container& names) {
        return names.empty() ? Container{} : names;
    };
    return {.unnamed_portal = work_->unnamed_portal,
            .portals = copy_of(work_->portals),
            .closed_names = copy_of(work_->closed_names),
            .new_statements = copy_of(work_->new_statements)};
}

/// The segment that was read will be read again, when more is known: what it would have changed is
/// as before.
void client_session::forget_segment(names_before&& before)
{
    work_->unplaced_portals.clear();
    work_->unnamed_portal = std::move(before.unnamed_portal);
    work_->portals = std::move(before.portals);
    work_->closed_names = std::move(before.closed_names);
    work_->new_statements = std::move(before.new_statements);
}

bool client_session::has_portal_away() const
{
    const int main = main_node();
    const auto is_away = [main](const portal& each) { return each.is_open && each.node != main; };
    return is_away(work_->unnamed_portal) ||
           std::ranges::any_of(work_->portals,
                               [&](const auto& each) { return is_away(each.second); });
}

// Items -------------------------------------------------------------------------------------------

/// The statement that a name means at this place of the unit.
prepared_ptr client_session::statement_named(std::string_view name) const
{
    const std::string key{significant_part(name)};
    if (work_->closed_names.contains(key)) return nullptr;
    const auto made = work_->new_statements.find(key);
    return made != work_->new_statements.end() ? made->second : prepared_.find(key);
}

/// Decodes one message of an extended unit. A message that can't be decoded goes to the server as
/// it is, which refuses it in its own words.
unit_item client_session::read_item(protocol::frame_header header, std::size_t at)
{
    unit_item item{};
    item.type = header.type;
    item.offset = static_cast<std::uint32_t>(at);
    item.total = static_cast<std::uint32_t>(header.total());
    const std::span<const std::byte> body = input_.bytes().subspan(at + 5, header.body_size());
    const auto take_portal = [&](std::string_view name) {
        item.names_portal = true;
        item.name = significant_part(name);
        item.name_bytes = static_cast<std::uint32_t>(name.size());
    };
    switch (header.type) {
    case 'P':
        if (const auto parse = protocol::read_parse(body)) {
            item.name_bytes = static_cast<std::uint32_t>(parse->statement.size());
            // A name that is taken: the server itself has to refuse it, so it must know the
            // statement that has the name.
            if (item.name_bytes > 0) item.conflict = statement_named(parse->statement);
            item.statement = statement_of(*parse);
        }
        break;
    case 'B':
        if (const auto bind = protocol::read_bind(body)) {
            take_portal(bind->portal);
            item.statement = statement_named(bind->statement);
            if (!item.statement) item.unknown_name = significant_part(bind->statement);
        }
        break;
    case 'D':
    case 'C':
        if (const auto named =
                header.type == 'D' ? protocol::read_describe(body) : protocol::read_close(body)) {
            take_portal(named->name);
            item.names_portal = named->kind == 'P';
            if (!item.names_portal) {
                item.statement = statement_named(named->name);
                if (!item.statement) item.unknown_name = significant_part(named->name);
            }
        }
        break;
    case 'E':
        if (const auto execute = protocol::read_execute(body)) {
            take_portal(execute->portal);
            item.max_rows = execute->row_count_max;
        }
        break;
    default: break;
    }
    if (item.names_portal && item.type != 'B') {
        const auto* const opened = find_portal(item.name);
        if (opened) item.statement = opened->statement;
        item.is_lost_portal = !opened && item.name.empty();
    }
    return item;
}

/// As much of a Parse or Bind that is too long to be kept as the names at its head tell. Such a
/// statement can't be prepared again elsewhere: it is the primary's, and has no text.
unit_item client_session::read_item_head(protocol::frame_header header)
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
        made->id = home_.statement_ids.next();
        made->name = significant_part(text.substr(0, first_end));
        made->is_cut = true;
        if (item.name_bytes > 0) item.conflict = statement_named(made->name);
        item.statement = std::move(made);
    } else if (header.type == 'B') {
        item.names_portal = true;
        item.name = significant_part(text.substr(0, first_end));
        const auto rest = text.substr(first_end + 1);
        const auto second_end = rest.find('\0');
        if (second_end != std::string_view::npos) {
            const auto name = rest.substr(0, second_end);
            item.statement = statement_named(name);
            if (!item.statement) item.unknown_name = significant_part(name);
        }
    }
    return item;
}

/// Takes note of an item that belongs to the segment: what names mean from here on.
void client_session::apply_item(const unit_item& item)
{
    switch (item.type) {
    case 'P':
        if (!item.statement) break;
        work_->closed_names.erase(item.statement->name);
        work_->new_statements[item.statement->name] = item.statement;
        break;
    case 'B':
        if (item.names_portal) open_portal(item.name, item.statement);
        break;
    case 'C':
        if (item.names_portal) {
            close_portal(item.name);
        } else {
            work_->closed_names.emplace(item.name);
        }
        break;
    default: break;
    }
}

// Places ------------------------------------------------------------------------------------------

/// A part of this unit has gone to the primary outside of an explicit transaction, or inside one.
bool client_session::has_begun_on_main()
{
    if (!is_in_unit_) return false;
    const auto* const primary = primary_link();
    return primary && primary->ledger.awaits_sync();
}

place client_session::place_of(const prepared_ptr& statement)
{
    if (!statement || !statement->facts) {
        return {.what = place::kind::main, .why = {target::primary, reason::unparsed}};
    }
    if (statement == work_->judged) return work_->judged_place;
    work_->facts = statement->facts;
    // A Bind of what PREPARE has made runs the statement in it.
    const auto facts = statement->is_sql ? routing::content_of(statement->facts) : statement->facts;
    auto why = facts ? judge(facts, statement->text, true)
                     : routing::decision{target::primary, reason::prepared_unknown};
    work_->judged = statement;
    work_->judged_place = {.what = why.target == target::balanced ? place::kind::balanced
                                                                  : place::kind::main,
                           .why = why};
    return work_->judged_place;
}

/// Where one message of a unit has to be served.
place client_session::place_of(const unit_item& item)
{
    const place main{.what = place::kind::main, .why = {target::primary, reason::statement_kind}};
    switch (item.type) {
    case 'H': return {};
    case 'S':
        // The unit's Sync is answered where its writes are.
        return has_begun_on_main() ? main : place{};
    case 'P':
        // A server that has the statement of that name refuses another one: the primary, since what
        // it has may be a write.
        return item.conflict ? main : place_of(item.statement);
    case 'F': return main;
    default: break;
    }
    if (!item.names_portal) {
        if (item.type == 'C') return {};
        return place_of(item.statement);
    }
    const auto* const opened = find_portal(item.name);
    // A name that is taken: the server that has the portal refuses another one.
    const bool is_taken = opened && !item.name.empty() && opened->node != portal_unplaced;
    if (item.type == 'B' && !is_taken) return place_of(item.statement);
    if (!opened) return main;
    if (opened->node == portal_unplaced) return {};
    return {.what = place::kind::at_node,
            .node = opened->node,
            .why = {target::primary, reason::portal_place}};
}

/// Takes the wish of one more item into account. False: it can't be had in the same segment.
bool client_session::narrow(place& segment, const place& wish)
{
    using enum place::kind;
    if (wish.what == anywhere) return true;
    if (segment.what == anywhere) {
        segment = wish;
        return true;
    }
    if (segment.what == balanced) {
        // What may be balanced may also be served by the primary, or where a portal is.
        if (wish.what != balanced) segment = wish;
        return true;
    }
    if (segment.what == main) return wish.what != at_node;
    if (wish.what == at_node) return wish.node == segment.node;
    return wish.what == balanced;
}

/// Reads the messages of a segment into work_->items, and decides for all of them: it goes to one
/// server, a standby only when every statement in it may. Cuts it where one server can't serve it
/// all.
client_session::route client_session::route_extended(unit& what)
{
    work_->items.clear();
    work_->needed_statements.clear();
    work_->facts = nullptr;
    work_->judged = nullptr;
    const bool is_first = !is_in_unit_;
    if (is_first) {
        work_->new_statements.clear();
        work_->closed_names.clear();
    }
    auto before = names_now();
    place where;
    bool has_work = !what.is_whole || what.what == unit::kind::function_call;
    const auto bytes = input_.bytes();
    for (std::size_t at = 0; at < what.bytes;) {
        const auto header = *protocol::peek_header(bytes.subspan(at));
        auto item = read_item(header, at);
        auto wish = place_of(item);
        // Where the primary's node is meant by its number, it is the primary all the same.
        if (wish.what == place::kind::at_node && wish.node == main_node())
            wish.what = place::kind::main;
        if (!narrow(where, wish)) {
            what.bytes = at;
            what.is_whole = true;
            what.has_end = false;
            break;
        }
        at += header.total();
        if (item.type != 'S' && item.type != 'C') has_work = true;
        apply_item(item);
        work_->items.push_back(std::move(item));
    }
    // Outside a transaction a Sync or a Close of a statement asks nothing of a server.
    if (is_first && !has_work && what.has_end && (status() == 'I' || !primary_link())) {
        return {.node = -1, .why = {target::local, reason::local_command}};
    }
    // What is too long, or no message of the extended protocol, is the next segment's business.
    if (what.bytes > 0) what.is_whole = true;
    unit_has_end_ = is_first && what.has_end;
    route way;
    if (!what.is_whole || has_begun_on_main()) where.what = std::max(where.what, place::kind::main);
    if (where.what == place::kind::at_node) {
        way = {.node = where.node, .why = where.why};
    } else if (where.what == place::kind::anywhere && !is_first) {
        way = {.node = unit_node_, .why = where.why};
    } else {
        if (where.what != place::kind::balanced) where.why.target = target::primary;
        way = resolve(where.why);
    }
    if (must_wait(way)) forget_segment(std::move(before));
    return way;
}

/// A Query inside a unit: what it names in SQL is brought to its server before.
void client_session::need_statements_of_query()
{
    const auto present = input_.bytes();
    const auto header = protocol::peek_header(present);
    if (!header || header->type != 'Q' || present.size() < header->total()) return;
    const std::string_view body{reinterpret_cast<const char*>(present.data()) + 5,
                                header->total() - 5};
    for (const auto& each : analyze(body.substr(0, body.find('\0')))->statements)
        need_statement(each);
}

/// The next segment of a unit whose first one was sent, as far as it is there; reads from the
/// client when that is needed. After an error everything up to the Sync is dropped.
client_session::unit client_session::next_segment(server_link& link)
{
    for (;;) {
        const auto present = input_.bytes();
        if (discard_bytes_ > 0 && !present.empty()) {
            const auto count = std::min(discard_bytes_, present.size());
            discard_bytes_ -= count;
            input_.consume(count);
            continue;
        }
        const auto header = protocol::peek_header(present);
        auto wanted = present.size() + 1;
        if (header) {
            if (check_message(*header)) {
                refuse_message(*header);
                return {.what = unit::kind::broken};
            }
            if (header->type == 'X') return {.what = unit::kind::terminate};
            const bool is_copy_rest =
                header->type == 'd' || header->type == 'c' || header->type == 'f';
            // Data that was sent before the server has asked for it waits for that. A standby never
            // asks.
            const bool may_copy = link.node() == main_node() && !link.ledger.is_skipping();
            if (is_copy_rest && may_copy && !link.ledger.is_settled()) {
                ask_for_replies(link);
                return {};
            }
            if (is_copy_rest || (link.ledger.is_skipping() && header->type != 'S')) {
                discard_bytes_ = header->total();
                scanned_bytes_ = 0;
                continue;
            }
            const auto found = next_extended();
            if (found.what != unit::kind::none) return found;
            wanted = std::min(std::max(2 * present.size(), runtime::worker::buffer_bytes),
                              whole_bytes());
        }
        if (!client_.is_readable() || !read_client(wanted)) return {};
        if (input_.bytes().size() == present.size()) return {};
    }
}

/// Extended messages up to this size are kept until their unit is complete. Never below a worker's
/// buffer, so that the small kinds are always seen whole.
std::size_t client_session::whole_bytes() const
{
    return std::max(static_cast<std::size_t>(settings_->analyze_bytes_max),
                    2 * runtime::worker::buffer_bytes);
}

/// What makes two sessions' statements one: the text with its types, and by what the text is read.
/// Zero: not known.
std::uint64_t client_session::content_of(const prepared_statement& statement)
{
    if (!settings_record_.has_certain_namespace() || settings_record_.has_uncommitted()) return 0;
    std::string key = statement.text;
    const auto add = [&key](std::string_view part) {
        key.push_back('\0');
        key.append(part);
    };
    for (const auto type : statement.parameter_types) add(std::to_string(type));
    if (statement.text_settings) {
        for (const auto& [name, sql] : *statement.text_settings) add(sql);
    }
    for (const auto& sql : settings_record_.namespace_statements()) add(sql);
    add(pool_->key);
    // DDL makes a statement's answer another one: a plan of before would be refused (0A000).
    add(std::to_string(*home_.services.generations.of(database())));
    return home_.statement_ids.content_of(std::move(key));
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
            last_unnamed_rules_ == rules() &&
            last_unnamed_->text_settings == settings_record_.text_settings_now()) {
            return last_unnamed_;
        }
    }
    auto made = std::make_shared<prepared_statement>();
    made->id = home_.statement_ids.next();
    made->name = significant_part(parse.statement);
    made->text = parse.query;
    for (std::size_t i = 0; i < parse.type_count; ++i)
        made->parameter_types.push_back(parse.type(i));
    made->facts = home_.facts.find_or_analyze(parse.query, text_rules_);
    made->text_settings = settings_record_.text_settings_now();
    made->search_path = settings_record_.search_path_now();
    // One that means others by name, or lists them, is the session's own: what hides the others
    // from it must not find itself among them.
    if (!parse.statement.empty() && shares_links() && !made->facts->names_statements) {
        made->content = content_of(*made);
        if (made->content != 0) made->shared_name = shared_name_of(made->content);
    }
    if (parse.statement.empty()) {
        last_unnamed_ = made;
        last_unnamed_rules_ = rules();
    }
    return made;
}

}  // namespace pgtorii::core
