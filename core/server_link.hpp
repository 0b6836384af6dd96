#pragma once

#include "core/base/clock.hpp"
#include "core/census.hpp"
#include "core/prepared_statements.hpp"
#include "core/runtime/descriptor.hpp"
#include "core/runtime/transport.hpp"
#include "core/session_settings.hpp"
#include "ha/cluster_view.hpp"
#include "protocol/reply_ledger.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pgtorii::core {

class link_pool;
struct pool;

/// Bytes on their way out that the socket did not take at once. Bounded by its users: nobody reads
/// more input for it while it holds something.
class pending_output {
public:
    bool is_empty() const { return begin_ == bytes_.size(); }
    std::size_t size() const { return bytes_.size() - begin_; }
    std::span<const std::byte> bytes() const { return std::span{bytes_}.subspan(begin_); }
    void append(std::span<const std::byte> more)
    {
        bytes_.insert(bytes_.end(), more.begin(), more.end());
    }
    void consume(std::size_t count);
    void clear();

private:
    static constexpr std::size_t keep_bytes_max = 16 * 1024;
    std::vector<std::byte> bytes_;
    std::size_t begin_ = 0;
};

/// default_transaction_isolation of a link, as far as it matters.
enum class link_isolation : std::uint8_t { unknown, read_committed, repeatable_read, serializable };

/// One connection to a server, with the record of what it has: its state there, what it owes, what
/// was prepared on it. Belongs to one session (on that session's worker), or, parked, to the pool.
/// Its place in the budget of its node goes back when it is destroyed.
class server_link {
public:
    server_link(link_pool& owner, std::shared_ptr<pool> home, int node_id);
    ~server_link();
    server_link(const server_link&) = delete;
    server_link& operator=(const server_link&) = delete;

    int node() const { return node_; }
    const std::shared_ptr<core::pool>& home() const { return home_; }

    runtime::transport transport;
    protocol::reply_ledger ledger;
    pending_output output;
    /// The start of a message whose rest has not come: what the scanner must see as one piece.
    std::vector<std::byte> carry;
    /// Bytes of a message being streamed through that are still to come.
    std::size_t skip_bytes = 0;
    bool skip_is_forwarded = true;

    ha::socket_address address;  ///< Where it is connected to: a cancel request goes there too.
    std::uint32_t backend_pid = 0;
    std::vector<std::byte> cancel_secret;
    std::vector<std::pair<std::string, std::string>>
        parameters;                 ///< ParameterStatus of its login, in order.
    char status = 'I';              ///< Of the last ReadyForQuery.
    bool is_authenticated = false;  ///< The server has said AuthenticationOk.
    bool was_challenged = false;    ///< The server asked the client for a secret: never shared.
    bool is_message_cut =
        true;  ///< A message to the server was begun and not ended (or the login is not over).
    bool is_lost = false;     ///< The connection has failed: nothing more can be moved.
    bool is_spoiled = false;  ///< Something on it can't be reset: to be closed, not pooled.
    bool in_shared_transaction = false;    ///< Joined the session's transaction as a reader.
    std::size_t transaction_settings = 0;  ///< So many SETs of that transaction were brought here.
    link_isolation isolation = link_isolation::unknown;  ///< Of the transactions to come here.

    /// Of the session's record of settings, as brought here; unknown_version: as `settings` says.
    std::uint64_t settings_version = 0;
    static constexpr std::uint64_t unknown_version = ~std::uint64_t{0};
    session_settings::link_settings_ptr settings;  ///< As last brought here, whoever it was.
    std::unordered_map<std::string, placed_statement> statements;  ///< By their names here.
    /// A Close of a name goes to the server: unless the unit fails before it, nothing is left
    /// there, of whatever session.
    void note_close_sent(const std::string& name);
    /// A statement of the session is prepared here in the middle of a unit, under this name.
    void note_brought(const std::string& name) { brought_names_.push_back(name); }
    /// DEALLOCATE ALL goes to the server in the middle of a unit.
    void note_all_closed();
    /// The unit has ended.
    void note_unit_end(bool has_failed);
    /// The session whose currval() it can tell; zero: that of others, perhaps.
    std::uint64_t sequences_of = 0;
    /// Nothing of others is left of that: DISCARD SEQUENCES goes to the server.
    void claim_sequences(std::uint64_t session)
    {
        sequences_of = session;
        sequences_are_new_ = true;
    }
    /// Worker and number of the session that has shared it last.
    std::pair<int, std::uint64_t> last_holder{-1, 0};
    std::vector<std::string> names_to_close;  ///< Of those, what the session may have forgotten.
    std::uint32_t cancels_under_way =
        0;  ///< While not zero, nothing new is sent and it is not handed on.

    /// Causal reads: the newest ticket whose floor this server is known to have replayed, and the
    /// floor's timeline.
    std::uint64_t replayed_ticket = 0;
    std::uint32_t replayed_timeline = 0;

    clock::time_point connected_at{};
    clock::time_point leased_at{};  ///< When its session took it, or the last one did.
    std::uint64_t lease_count = 0;
    void note_leased(clock::time_point now)
    {
        leased_at = now;
        ++lease_count;
    }
    clock::time_point returned_at{};  ///< When it was parked.
    link_facts facts() const;

    /// Nothing of any session is on it: it is as after its login.
    bool is_fresh() const
    {
        return settings_version == 0 && !settings && statements.empty() && sequences_of == 0;
    }
    /// DISCARD ALL has run on it: it is fresh.
    void note_discard_all();

    /// Ends the watch and keeps the socket inside, for the pool; `unpark` gives it to a worker
    /// again.
    void park();
    runtime::descriptor unpark();
    int parked_fd() const { return parked_.get(); }

private:
    std::vector<std::string> closed_names_;   // in this unit
    std::vector<std::string> brought_names_;  // in this unit
    bool sequences_are_new_ = false;          // in this unit
    link_pool& owner_;
    std::shared_ptr<core::pool> home_;
    int node_;
    runtime::descriptor parked_;
};

}  // namespace pgtorii::core
