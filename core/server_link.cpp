#include "core/server_link.hpp"

#include "core/base/always_assert.hpp"
#include "core/link_pool.hpp"

#include <array>
#include <sys/socket.h>
#include <utility>

namespace pgtorii::core {

void pending_output::consume(std::size_t count)
{
    begin_ += count;
    always_assert(begin_ <= bytes_.size());
    if (begin_ == bytes_.size()) clear();
}

void pending_output::clear()
{
    begin_ = 0;
    if (bytes_.capacity() > keep_bytes_max) {
        bytes_ = {};
    } else {
        bytes_.clear();
    }
}

server_link::server_link(link_pool& owner, std::shared_ptr<core::pool> home, int node_id)
    : owner_(owner),
      home_(std::move(home)),
      node_(node_id)
{
}

server_link::~server_link()
{
    // Terminate, if the server is waiting for a message: it logs a connection that just ends in a
    // transaction.
    constexpr std::array<unsigned char, 5> terminate{'X', 0, 0, 0, 4};
    const int fd = parked_.is_open() ? parked_.get() : transport.fd();
    if (fd >= 0 && ledger.is_idle() && output.is_empty() && !is_message_cut) {
        [[maybe_unused]] const auto sent =
            ::send(fd, terminate.data(), terminate.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    owner_.forget(*this);
}

void server_link::note_close_sent(const std::string& name)
{
    const auto found = statements.find(name);
    if (found == statements.end()) return;
    found->second = {};
    closed_names_.push_back(name);
}

void server_link::note_all_closed()
{
    for (auto& [name, placed] : statements) {
        placed = {};
        closed_names_.push_back(name);
    }
}

void server_link::note_unit_end(bool has_failed)
{
    // The server may have skipped it.
    if (std::exchange(sequences_are_new_, false) && has_failed) sequences_of = 0;
    if (!brought_names_.empty()) {
        for (const auto& name : std::exchange(brought_names_, {})) {
            const auto found = statements.find(name);
            if (has_failed && found != statements.end()) found->second = {};
        }
    }
    if (closed_names_.empty()) return;
    for (const auto& name : std::exchange(closed_names_, {})) {
        const auto found = statements.find(name);
        // Prepared again since, or (after an error) perhaps not closed.
        if (has_failed || found == statements.end() || found->second.id != 0) continue;
        statements.erase(found);
    }
}

void server_link::note_discard_all()
{
    if (settings_version != 0) isolation = link_isolation::unknown;
    settings_version = 0;
    settings.reset();
    statements.clear();
    names_to_close.clear();
    sequences_of = 0;
}

link_facts server_link::facts() const
{
    return {.node = node_,
            .backend_pid = backend_pid,
            .connected_at = wall_time_of(connected_at),
            .leased_at = wall_time_of(leased_at),
            .returned_at = wall_time_of(returned_at),
            .lease_count = lease_count};
}

void server_link::park()
{
    always_assert(ledger.is_idle() && output.is_empty() && carry.empty() && skip_bytes == 0);
    always_assert(cancels_under_way == 0);
    parked_ = transport.detach();
}

runtime::descriptor server_link::unpark()
{
    return std::move(parked_);
}

}  // namespace pgtorii::core
