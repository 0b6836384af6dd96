#pragma once

#include "core/cancel_registry.hpp"
#include "core/cancel_sender.hpp"
#include "core/input_buffer.hpp"
#include "core/link_opening.hpp"
#include "core/link_pool.hpp"
#include "core/own_settings.hpp"
#include "core/prepared_statements.hpp"
#include "core/runtime/deadlines.hpp"
#include "core/runtime/task.hpp"
#include "core/runtime/transport.hpp"
#include "core/server_link.hpp"
#include "core/session_census.hpp"
#include "core/session_home.hpp"
#include "core/session_limits.hpp"
#include "core/session_settings.hpp"
#include "core/unit_at_work.hpp"
#include "ha/causal_board.hpp"
#include "protocol/client_messages.hpp"
#include "protocol/message.hpp"
#include "protocol/startup.hpp"
#include "routing/decision.hpp"
#include "routing/session_tracker.hpp"

#include <cstdint>
#include <forward_list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace pgtorii::core {

/// A client's stay, from the accepted socket to the last link given back: one coroutine on its home
/// worker.
///
/// It works in *units*: a Query message, or an extended-protocol run up to its Sync, which may come
/// in segments (session_segments.cpp). For each it decides a server (session_units.cpp), makes a
/// link to it ready (session_links.cpp), sends it and passes replies on until the link owes nothing
/// (session_forward.cpp). The way of a query that needs nothing special has one coroutine, and no
/// lock.
///
/// Invariants:
/// - Only one link owes replies to the client at a time; what other links owe is ours and
/// swallowed.
/// - A transaction always has its place on the primary; a standby may join it as a reader. When the
/// reader fails, the
///   primary's part is failed before the client learns of it, so the server itself refuses what
///   follows.
/// - Nothing of the client runs on a link whose settings are not the session's.
class client_session {
public:
    client_session(session_home& home, std::uint64_t id, runtime::descriptor socket,
                   std::string peer_host, int peer_port);
    ~client_session();
    client_session(const client_session&) = delete;
    client_session& operator=(const client_session&) = delete;

    void start();
    /// A cancel request with this session's key has come. Home worker.
    void request_cancel() { events_.raise(event_cancel); }
    /// Only a session that waits for a primary, or has a link to a server that is down now, wakes:
    /// an idle one costs nothing.
    void on_view_changed()
    {
        if (waits_for_view_ || has_dead_link()) events_.raise(event_view);
    }
    /// The sampler of WAL positions has news, and this session has asked to be told.
    void on_causal_sample() { events_.raise(event_causal); }
    void on_turn_granted() { events_.raise(event_turn); }
    /// A look-up in the catalog that this session waits for has ended.
    void on_catalog_answered() { events_.raise(event_catalog); }
    /// The census that this session has asked for is complete.
    void on_census() { events_.raise(event_census); }
    /// For a census.
    session_facts facts_now() const;
    /// A reload has changed a limit that counts while the client is idle.
    void on_limits_changed() { events_.raise(event_limits); }
    /// The gate is closing.
    void end() { events_.raise(event_end); }

private:
    /// The ledger tag of what the session sends for itself and keeps no row for.
    static constexpr std::uint32_t own_tag = 0xffff'ffff;
    /// That of what is brought just before a message that needs it: an error of it is the client's.
    static constexpr std::uint32_t brought_tag = 0xffff'fffe;
    /// The statement id of a name on a link of which it isn't known what it stands for there.
    static constexpr std::uint64_t unknown_statement = 0;
    /// How much of a long Bind or Parse is looked at for names.
    static constexpr std::size_t name_bytes_max = 4096;
    /// Nothing more is read from a client while its link has this much to send.
    static constexpr std::size_t output_bytes_max = 64 * 1024;
    /// Nor while the server owes so many replies.
    static constexpr std::size_t ledger_size_max = 50'000;

    enum event : std::uint32_t {
        event_client_in = 1,
        event_client_out = 2,
        event_link_in = 4,
        event_link_out = 8,
        event_turn = 16,
        event_deadline = 32,
        event_cancel = 64,
        event_view = 128,
        event_end = 256,
        event_cancel_sent = 512,
        event_pause = 1024,
        event_catalog = 2048,
        event_causal = 4096,
        event_limits = 8192,
        event_census = 16384,
    };

    /// A piece of the client's stream that is served as one.
    struct unit {
        enum class kind : std::uint8_t { none, query, extended, function_call, terminate, broken };
        kind what = kind::none;
        std::size_t bytes =
            0;  ///< In the input buffer. Of a unit that is not whole: what is there of it.
        bool is_whole =
            true;  ///< Else the rest streams on while it is served; the primary serves it.
        bool has_end = true;  ///< Of an extended one: its Sync is here. Else it is a segment: up to
                              ///< a Flush, or to where another server has to serve.
    };

    struct route {
        int node = -1;
        routing::decision why;
    };

    // client_session.cpp: life, the client's socket
    runtime::task<> run();
    void note(std::uint32_t events);
    bool read_client(std::size_t wanted);
    bool flush_client();
    void send_client(std::span<const std::byte> bytes);
    void send_replies();
    void send_error(const protocol::pg_error& error);
    void send_fatal(const protocol::pg_error& error);
    void log(config::message_level level, std::string_view message,
             std::string_view detail = {}) const;
    void log_end() const;
    std::string_view user() const { return pool_ ? std::string_view{pool_->user} : ""; }
    std::string_view database() const { return pool_ ? std::string_view{pool_->database} : ""; }
    std::string_view application_name() const
    {
        if (own_application_name_) return *own_application_name_;
        return pool_ ? std::string_view{pool_->application_name} : "";
    }
    bool is_over() const { return client_is_gone_ || is_ending_; }
    /// As the last ReadyForQuery told it: I, T or E.
    char status() const { return tracker_.status(); }

    // session_login.cpp
    runtime::task<bool> log_in();
    runtime::task<bool> read_startup(protocol::startup_result& asked);
    runtime::task<bool> log_in_at_server(const cancel_key& key);
    runtime::task<bool> open_login_link();
    void serve_cancel_request(std::span<const std::byte> key, std::uint32_t pid);
    void send_welcome(const welcome& told, const cancel_key& key);
    runtime::task<bool> relay_challenge(server_link& link, std::span<const std::byte> challenge,
                                        bool wants_answer);

    // session_serve.cpp
    runtime::task<> serve();
    runtime::task<bool> serve_unit(unit what);
    route route_unit(unit& what);
    bool may_take_segment(const server_link& link) const;
    runtime::task<server_link*> serve_segment(server_link& link);
    bool must_wait(const route& way) const;
    bool must_answer_locally(const route& way) const;
    runtime::task<route> wait_to_route(unit& what);
    runtime::task<bool> settle(server_link& link);
    void ask_for_replies(server_link& link);
    void abandon_unit();
    void drop_unended_parts();
    bool on_idle_events();
    bool has_readable_link() const;
    void take_settings();
    const rules_ptr& rules() const { return own_settings_ ? own_settings_->rules() : home_.rules; }
    bool is_message_under_way() const;
    bool has_state_at(int node);
    bool lose_link(server_link& link);
    bool is_dead(const server_link& link) const;
    bool has_dead_link() const;

    // session_census.cpp
    bool needs_census(const unit& what) const;
    runtime::task<> answer_after_census(const unit& what);

    // session_limits.cpp
    bool is_idle() const { return idle_since_ != clock::time_point{}; }
    bool is_unit_waiting(const server_link& link) const;
    idle_limit limit_of_idle() const;
    void begin_idle();
    void end_idle();
    void note_idle(std::uint32_t events);
    bool has_idled_too_long();
    void log_late_login() const;
    error_code check_message(protocol::frame_header header) const
    {
        return check_message_size(header, settings_->message_size_max);
    }
    void refuse_message(protocol::frame_header header);

    // session_units.cpp, session_segments.cpp, session_sending.cpp, session_log.cpp
    unit next_unit();
    unit next_extended();
    unit next_segment(server_link& link);
    unit_item read_item(protocol::frame_header header, std::size_t at);
    unit_item read_item_head(protocol::frame_header header);
    void apply_item(const unit_item& item);
    portal* find_portal(std::string_view name);
    void open_portal(std::string_view name, prepared_ptr statement);
    void close_portal(std::string_view name);
    void close_portals();
    void forget_portals(int node);
    void forget_portals_elsewhere(int node);
    void place_portals(int node);
    struct names_before {
        portal unnamed_portal;
        std::unordered_map<std::string, portal> portals;
        std::unordered_set<std::string> closed_names;
        std::unordered_map<std::string, prepared_ptr> new_statements;
    };
    names_before names_now() const;
    void forget_segment(names_before&& before);
    bool has_portal_away() const;
    bool has_begun_on_main();
    place place_of(const unit_item& item);
    place place_of(const prepared_ptr& statement);
    static bool narrow(place& segment, const place& wish);
    prepared_ptr statement_named(std::string_view name) const;
    std::size_t whole_bytes() const;
    prepared_ptr statement_of(const protocol::parse_message& parse);
    std::uint64_t content_of(const prepared_statement& statement);
    routing::decision judge(const routing::query_facts_ptr& facts, std::string_view sql,
                            bool is_extended);
    route route_query(std::string_view sql);
    route route_extended(unit& what);
    route resolve(routing::decision why);
    bool is_fit(int node) const;
    void choose_balanced_node();
    void choose_reader();
    bool is_balancing_query(const routing::query_facts& facts) const;
    routing::query_facts_ptr prepared_facts(const routing::query_facts& facts) const;
    const routing::catalog_facts* catalog_of(const routing::query_facts_ptr& facts,
                                             const routing::query_facts_ptr& prepared);
    routing::session_traits traits_for(const routing::query_facts_ptr& facts, std::string_view sql,
                                       const routing::query_facts_ptr& prepared, bool is_extended);
    const routing::query_facts_ptr& analyze(std::string_view sql);
    // session_statements.cpp
    void need_statement(const routing::statement_facts& facts);
    void need_statements_of_query();
    static bool names_statements(const unit_item& item);
    void bring_named(server_link& link, const unit_item& item);
    bool must_show_earlier_reads(const server_link& link) const;
    void take_snapshot_within(server_link& link);
    void run_within(server_link& link, std::string_view sql, std::uint32_t tag);
    struct settings_detour {
        std::vector<std::string> there;
        std::vector<std::string> back;
    };
    settings_detour detour_for(const server_link& link, const prepared_statement& wanted);
    void bring_within(server_link& link, const prepared_statement& wanted);
    static bool lacks_statement(server_link& link, const prepared_statement& wanted,
                                const std::string& name);
    bool lacks_statements(server_link& link) const;
    runtime::task<> bring_statements(server_link& link);
    bool is_described_in_unit(const unit_item& bind) const;
    const prepared_statement* other_shape(const server_link& link) const;
    const prepared_statement* unsure_shape(server_link& link) const;
    runtime::task<bool> bring_described(server_link& link);
    runtime::task<> fail_own_transaction();
    void note_described(server_link& link, char type, std::span<const std::byte> body,
                        const protocol::step& what);
    std::vector<std::string> explain_route();

    // session_causal.cpp
    bool is_causal() const;
    void note_touched();
    void take_causal_ticket();
    bool has_replayed(int node);
    runtime::task<> wait_for_sample(clock::time_point until);
    runtime::task<> wait_for_catalog(clock::time_point until, bool& is_answered);
    void send_unit(server_link& link, const unit& what);
    void end_unnamed();
    void send_query(server_link& link, const unit& what, std::span<const std::byte> bytes);
    void send_extended(server_link& link, std::span<const std::byte> bytes);
    void prepare_query_within(server_link& link, std::span<const std::byte> bytes, bool is_whole);
    void note_query_within(server_link& link, std::span<const std::byte> bytes, bool is_whole);
    void close_stale_names(server_link& link);
    void close_everywhere(const std::string& name);
    void close_forgotten(server_link& link, bool needs_sync);
    void end_unit_elsewhere(const server_link* at);
    void forget_answered(const server_link& link);
    void expect_item(server_link& link, const unit_item& item);
    const prepared_statement* item_statement(const unit_item& item) const;
    static const std::string& item_name(const unit_item& item);
    static bool is_renamed(const unit_item& item);
    void write_renamed(server_link& link, const unit_item& item, std::span<const std::byte> bytes);
    bool needs_statement(server_link& link, const unit_item& item) const;
    std::optional<std::string> stale_name(const server_link& link, const unit_item& item) const;
    void close_on_link(server_link& link, const std::string& name);
    bool prepare_item(server_link& link, const unit_item& item, std::span<const std::byte> before);
    void prepare_place(server_link& link, const unit_item& item);
    void bring_statement(server_link& link, const prepared_statement& statement);
    void begin_unit();
    void note_sent(server_link& link, const routing::query_facts_ptr& facts);
    void answer_locally(const unit& what, const census* everybody = nullptr);
    std::optional<protocol::pg_error> answer_command(protocol::message_buffer& out,
                                                     const census* everybody);
    void skip_unit(const unit& what);
    void log_client_messages(std::span<const std::byte> bytes) const;
    void log_client_message(char type, std::span<const std::byte> body) const;
    void log_node_statement(const server_link& link, std::string_view prefix,
                            std::string_view text);
    void count_statements(const server_link& link, const routing::query_facts& facts);

    // session_repair.cpp
    void keep_for_repair(const server_link& link, const unit& what,
                         std::span<const std::byte> bytes);
    void pass(std::span<const std::byte> bytes);
    void release_held();
    bool repair_after_loss(server_link& link);
    std::string_view text_of_repaired() const;
    void forget_repair();
    bool is_repaired_by(std::string_view sqlstate);
    runtime::task<server_link*> run_repair(const unit& what);
    std::uint64_t fingerprint(std::string_view sql) const;
    bool is_remembered_write(std::string_view sql) const;

    // session_forward.cpp
    bool pump(server_link& link);
    bool forward_replies(server_link& link);
    bool forward_client(server_link& link);
    bool flush_link(server_link& link);
    bool forward_message(server_link& link, protocol::frame_header header);
    std::size_t needed_bytes(protocol::frame_header header) const;
    std::optional<std::size_t> scan_replies(server_link& link, std::span<const std::byte> bytes);
    bool on_reply(server_link& link, char type, std::span<const std::byte> body,
                  const protocol::step& what);
    bool on_error(server_link& link, std::span<const std::byte> body, const protocol::step& what);
    bool on_parameter(server_link& link, std::span<const std::byte> body);
    bool on_ready(server_link& link, char status);
    void note_published();
    void note_prepared(server_link& link, const std::string& name, std::string_view text);
    void forget_statements(server_link& link, const std::string& name);
    void on_completed(server_link& link, const protocol::step& what, std::string_view tag);
    void apply_effects(server_link& link, const routing::statement_facts& facts,
                       std::string_view text, std::string_view tag);
    void note_parameter(std::string_view name, std::string_view value);
    void note_own_value(std::span<const std::byte> body);
    void write_link(server_link& link, std::span<const std::byte> bytes);

    // session_sharing.cpp
    bool shares_links() const { return mode_ != config::pool_mode::session && !is_exclusive_; }
    /// What ends a pin: the session's end or DISCARD ALL, or also what the server says.
    enum class pin_end : std::uint8_t { discard, audit };
    void pin(const char* why, pin_end until = pin_end::discard);
    pin_end end_of_unknown() const;
    void note_hidden_pin();
    void unpin();
    template <class Look>
    void look_at_parts(const routing::statement_facts& facts, Look look, int depth = 0) const;
    void note_pins(const routing::statement_facts& facts, const routing::catalog_facts* catalog,
                   bool is_parsed);
    bool uses_sequences(const routing::query_facts& facts) const;
    bool shows_foreign_statements(const server_link& link, const routing::query_facts& facts) const;
    void hide_foreign_statements_within(server_link& link);
    void share_links();
    bool may_share() const;
    bool may_share(const server_link& link) const;
    bool uses_foreign_sequences(const server_link& link) const;
    bool uses_foreign_sequences(const server_link& link, const unit_item& item) const;
    void claim_sequences_within(server_link& link);
    bool refuses_transaction();

    // session_audit.cpp
    void note_audit(const routing::statement_facts& facts);
    bool must_learn_settings();
    bool is_audit_due();
    runtime::task<> audit_links();
    bool has_foreign(const server_link& link, std::string_view settings,
                     std::string_view statements);

    // session_links.cpp, session_opening.cpp, session_leaving.cpp
    server_link* link_to(int node);
    server_link* ready_link(int node);
    enum class readiness_of_link : std::uint8_t { ready, not_shareable, lost };
    runtime::task<server_link*> prepare(route& way);
    runtime::task<opening> obtain_link(int node);
    runtime::task<readiness_of_link> bring_state(server_link& link);
    bool give_way(route& way, const opening& outcome);
    void avoid(int node);
    bool serve_unasked(route& way);
    void tell_not_served(const protocol::pg_error& otherwise);
    bool take_turn_now();
    bool take_idle_lease();
    void take_over(link_list&& links);
    void note_taken_over(server_link& link);
    void leave_queue();
    void return_turn();
    /// `missed`: cancelled, late, or the session is over. `refused`: too many wait already.
    enum class turn_outcome : std::uint8_t { taken, missed, refused };
    runtime::task<turn_outcome> take_turn(bool may_tell);
    void tell_of_wait();
    runtime::task<opening> open_link(server_link& link, bool relays);
    runtime::task<opening> connect_link(server_link& link);
    runtime::task<opening> start_link(server_link& link, bool relays);
    runtime::task<bool> bring_settings(server_link& link);
    runtime::task<bool> join_transaction(server_link& link);
    runtime::task<bool> learn_isolation(server_link& link);
    bool is_standby_ready(const server_link& link) const;
    bool must_fix_transaction() const;
    bool is_left_in_transaction(const server_link& link) const;
    runtime::task<> bring_transaction_settings(server_link& link);
    runtime::task<bool> fail_transaction();
    runtime::task<bool> wait_for_primary(clock::time_point until);
    void send_own_query(server_link& link, std::string_view sql);
    runtime::task<bool> run_own(server_link& link, std::string_view sql);
    runtime::task<bool> finish_own(server_link& link);
    runtime::task<> give_back_links();
    runtime::task<> drain(server_link& link);
    void leave_shared_transaction(server_link& link);
    void drop_link(server_link& link);
    void send_cancel(server_link& link);
    int main_node() const;
    server_link* primary_link();

    session_home& home_;
    const std::uint64_t id_;
    runtime::event_set events_;
    runtime::transport client_;
    runtime::deadline deadline_;
    input_buffer input_;
    pending_output output_;
    runtime::task<> root_;

    // Who it is.
    const clock::time_point began_ = clock::now();
    std::string peer_host_;
    int peer_port_;
    std::shared_ptr<core::pool> pool_;                   // null: it has not said yet
    std::unique_ptr<std::string> own_application_name_;  // null: still that of the start-up
    std::uint32_t pid_ = 0;  // of its cancel key, which the registry has
    bool has_key_ = false;
    bool is_logged_in_ = false;
    settings_ptr settings_;
    std::unique_ptr<own_settings> own_settings_;  // null: the session has never used PGPOOL SET

    config::pool_mode mode_ = config::pool_mode::session;

    // What it holds.
    std::vector<std::unique_ptr<server_link>> links_;  // at most one for each node
    std::unique_ptr<waiting_session> waiting_;         // null: it doesn't stand in the queue
    bool has_turn_ = false;
    bool unit_pins_ = false;     // something in this unit pins
    const char* pin_ = nullptr;  // why it keeps its links, whatever the pool mode
    bool pin_is_lasting_ = false;
    bool audit_is_due_ = false;                             // the cause of the pin may be gone
    session_settings::link_settings_ptr learned_settings_;  // whose look in an audit is known
    bool is_exclusive_ = false;  // the client proved itself to one server: that link is all it has
    std::forward_list<std::unique_ptr<cancel_sender>> cancels_;

    // Causal reads: what this session's reads must see.
    std::uint64_t causal_ticket_ = 0;
    std::optional<ha::causal_board::floor> causal_floor_;

    clock::time_point told_of_wait_at_{};  // that all links are in use
    clock::time_point idle_since_{};       // epoch: the client waits for us, or is being served

    // What has happened.
    bool client_is_gone_ = false;
    bool is_ending_ = false;
    bool cancel_is_requested_ = false;
    bool deadline_has_passed_ = false;
    bool pause_has_passed_ = false;
    bool has_said_goodbye_ = false;
    bool waits_for_view_ = false;
    bool is_giving_back_ = false;

    // Session state.
    session_settings settings_record_;
    prepared_statements prepared_;
    routing::session_tracker tracker_;
    int transaction_node_ = -1;        // while there is a transaction: the node that has its writes
    int state_node_ = -1;              // where has_server_state_ holds
    bool reader_has_queried_ = false;  // in this transaction
    bool transaction_is_fixed_ = false;  // a query of ours has run on the primary: see must_fix
    bool has_server_state_ = false;    // something on the primary's link can't be rebuilt elsewhere
    int balanced_node_ = -1;           // the session's load balance node
    int reader_node_ = -1;             // the one for the statement at hand
    std::uint64_t avoided_epoch_ = 0;  // nodes found unreachable under this view
    std::vector<int> avoided_nodes_;

    // The unit at work.
    std::unique_ptr<unit_at_work> work_;  // null only while the session waits for a unit
    bool has_drawn_ = false;              // a load balance node, for this unit
    bool has_waited_ = false;             // for this unit's way: it takes what there is
    routing::reason reason_ = routing::reason::read_balanced;  // why the unit goes where it goes
    routing::text_rules text_rules_;
    prepared_ptr last_unnamed_;
    rules_ptr last_unnamed_rules_;
    std::size_t statement_index_ = 0;
    std::size_t scanned_bytes_ = 0;  // of an extended unit whose end has not come yet
    std::size_t stream_bytes_ = 0;   // of a client's message that is streamed to the link
    std::size_t drained_bytes_ = 0;  // read from links since the client has gone
    std::size_t discard_bytes_ = 0;  // of a client's message that nobody serves
    std::uint64_t own_shape_ = 0;    // of what our own Describe has told last
    int unit_main_ = -1;             // the main node when the unit began
    int unit_node_ = -1;             // that serves the present segment
    bool unit_has_end_ = true;       // the segment at hand is all of its unit
    bool is_in_unit_ = false;
    bool is_query_unit_ = false;
    bool has_effects_ = false;
    bool unit_ended_transaction_ = false;
    bool unit_may_end_transaction_ = false;  // what has been sent of it, as far as is known
    bool touches_data_ = false;  // the transaction did something that is not proven read-only
    bool settings_changed_ = false;
    bool is_open_ended_ = false;        // more of the client's stream belongs to this unit
    bool is_routed_ = false;            // ... and is read and routed segment by segment
    bool main_part_is_failed_ = false;  // by an error of ours: another part of the unit has failed
    bool is_settling_ = false;          // a link answers what it owes; nothing more is sent to it
    bool replies_are_asked_for_ = false;  // since something was sent of the unit
    bool segment_is_done_ = false;
    bool unit_failed_ = false;
    bool ready_is_held_ =
        false;  // a reader failed: its ReadyForQuery waits for the primary's part to be failed
    bool discards_until_sync_ = false;
    bool is_corked_ = false;    // bytes for the link gather in its output
    bool is_own_work_ = false;  // replies of the link at work are ours
    bool own_work_failed_ = false;
    // Repair: a read on a standby of which the client has got nothing yet.
    enum class repair : std::uint8_t { none, possible, due, done };
    repair repair_ = repair::none;
    bool repair_tells_write_ = false;  // the standby said that it writes
    /// What a server said when it ended a link that the session can do without.
    std::unique_ptr<protocol::pg_error> lost_error_;
};

}  // namespace pgtorii::core
