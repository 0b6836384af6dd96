#pragma once

#include "core/base/result.hpp"
#include "core/runtime/executor.hpp"
#include "ha/cluster_view.hpp"

#include <memory>
#include <string>
#include <vector>

namespace pgtorii::ha {

/// The addresses of one server. Control thread only; one call at a time.
///
/// Directories of Unix-domain sockets and numeric addresses need no resolver. Names are asked again
/// each time, so that a moved service name is noticed; but a resolver that fails or hangs does not
/// make a server unreachable whose addresses are known: the last ones serve until it answers.
/// getaddrinfo can't be cancelled; one that is still under way is left behind, and its answer is
/// used by a later call.
class address_source {
public:
    address_source(runtime::executor home, std::string hostname, int port);
    ~address_source();
    address_source(const address_source&) = delete;
    address_source& operator=(const address_source&) = delete;

    /// Errors: errc::socket_path_too_long, errc::name_unresolved, errc::check_late, or the
    /// resolver's own.
    runtime::awaitable<result<std::vector<socket_address>>> resolve(clock::time_point deadline);

private:
    struct lookup;

    void begin_lookup();

    runtime::executor home_;
    std::string hostname_;
    int port_;
    std::vector<socket_address> known_;
    std::shared_ptr<lookup> lookup_;
};

/// The address of a Unix-domain socket (`hostname` is a directory) or a numeric address; for a name
/// errc::name_unresolved.
[[nodiscard]] result<socket_address> literal_address(const std::string& hostname, int port);

}  // namespace pgtorii::ha
