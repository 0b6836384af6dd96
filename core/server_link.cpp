#include "core/server_link.hpp"

#include "core/base/always_assert.hpp"
#include "core/link_pool.hpp"

#include <array>
#include <sys/socket.h>

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
