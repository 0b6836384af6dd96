#pragma once

#include "core/runtime/descriptor.hpp"

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace pgtorii::core {

/// Why a socket can't be listened on, in PostgreSQL's words. Start-up only.
class listen_failure : public std::runtime_error {
public:
    listen_failure(const std::string& message, std::string hint_text)
        : std::runtime_error(message),
          hint(std::move(hint_text))
    {
    }
    std::string hint;
};

/// A listening socket, non-blocking. A Unix socket also holds its lock file, and both files go with
/// it.
class listening_socket {
public:
    /// All addresses that `host` names ("*": every interface of both families). Throws
    /// listen_failure when none can be bound: a second start on one port fails here, since
    /// SO_REUSEPORT is never set.
    static std::vector<listening_socket> open_tcp(const std::string& host, int port, int backlog);

    /// `directory`/.s.PGSQL.`port`, guarded by a lock file beside it as PostgreSQL does: a socket
    /// file left by a process that died is replaced, one that a live process holds is not.
    /// `permissions`: mode bits; `group`: empty keeps ours.
    static listening_socket open_unix(const std::string& directory, int port, int backlog,
                                      unsigned permissions, const std::string& group);

    listening_socket(listening_socket&&) noexcept;
    listening_socket& operator=(listening_socket&&) = delete;
    ~listening_socket();

    int fd() const { return socket_.get(); }
    /// For the log: "127.0.0.1:9999" or the path.
    const std::string& name() const { return name_; }

private:
    listening_socket() = default;

    runtime::descriptor socket_;
    runtime::descriptor lock_;
    std::string name_;
    std::string unix_path_;
};

}  // namespace pgtorii::core
