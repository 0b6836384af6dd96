#include "core/listener.hpp"

#include <fmt/format.h>

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <grp.h>
#include <memory>
#include <netdb.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace pgtorii::core {

namespace {

constexpr const char* busy_port_hint =
    "Is another postmaster already running on port {}? If not, wait a few seconds and retry.";

std::string text_of(const sockaddr* address, socklen_t length, int port)
{
    char host[NI_MAXHOST];
    if (::getnameinfo(address, length, host, sizeof host, nullptr, 0, NI_NUMERICHOST) != 0)
        return "?";
    return address->sa_family == AF_INET6 ? fmt::format("[{}]:{}", host, port)
                                          : fmt::format("{}:{}", host, port);
}

/// PostgreSQL's words: could not bind IPv4 address "127.0.0.1": Address already in use
std::string bind_text(const sockaddr& address, socklen_t length, int cause)
{
    char host[NI_MAXHOST] = "?";
    ::getnameinfo(&address, length, host, sizeof host, nullptr, 0, NI_NUMERICHOST);
    return fmt::format("could not bind {} address \"{}\": {}",
                       address.sa_family == AF_INET6 ? "IPv6" : "IPv4", host, std::strerror(cause));
}

struct address_list_deleter {
    void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

runtime::descriptor bound_tcp(const addrinfo& address, int backlog)
{
    runtime::descriptor socket{
        ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (!socket.is_open()) return socket;
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address.ai_family == AF_INET6) {
        // Two families, two sockets, as PostgreSQL does: addresses never come in mapped form.
        ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (::bind(socket.get(), address.ai_addr, address.ai_addrlen) != 0 ||
        ::listen(socket.get(), backlog) != 0) {
        const int cause = errno;
        socket.close();
        errno = cause;
    }
    return socket;
}

runtime::descriptor locked_file(const std::string& socket_path)
{
    const auto lock_path = socket_path + ".lock";
    runtime::descriptor lock{
        ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (!lock.is_open()) {
        throw listen_failure{
            fmt::format("could not create lock file \"{}\": {}", lock_path, std::strerror(errno)),
            ""};
    }
    // The lock dies with its process, so a file that a crash left is no obstacle, whatever pid it
    // names.
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
        throw listen_failure{
            fmt::format("lock file \"{}\" already exists", lock_path),
            fmt::format("Is another postmaster using socket file \"{}\"?", socket_path)};
    }
    return lock;
}

/// A PostgreSQL server, or Pgpool-II, may use the path without our kind of lock: it answers a
/// connection.
bool is_served(const sockaddr_un& address)
{
    const runtime::descriptor probe{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

void set_access(const std::string& path, unsigned permissions, const std::string& group)
{
    if (!group.empty()) {
        const auto* const entry = ::getgrnam(group.c_str());
        if (!entry) throw listen_failure{fmt::format("group \"{}\" does not exist", group), ""};
        if (::chown(path.c_str(), static_cast<uid_t>(-1), entry->gr_gid) != 0) {
            throw listen_failure{
                fmt::format("could not set group of file \"{}\": {}", path, std::strerror(errno)),
                ""};
        }
    }
    if (::chmod(path.c_str(), permissions) != 0) {
        throw listen_failure{
            fmt::format("could not set permissions of file \"{}\": {}", path, std::strerror(errno)),
            ""};
    }
}

}  // namespace

listening_socket::listening_socket(listening_socket&& other) noexcept
    : socket_(std::move(other.socket_)),
      lock_(std::move(other.lock_)),
      name_(std::move(other.name_)),
      unix_path_(std::exchange(other.unix_path_, {}))
{
}

listening_socket::~listening_socket()
{
    if (unix_path_.empty()) return;
    ::unlink(unix_path_.c_str());
    ::unlink((unix_path_ + ".lock").c_str());
}

std::vector<listening_socket> listening_socket::open_tcp(const std::string& host, int port,
                                                         int backlog)
{
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = AI_PASSIVE;
    addrinfo* list = nullptr;
    const auto service = std::to_string(port);
    const int outcome =
        ::getaddrinfo(host == "*" ? nullptr : host.c_str(), service.c_str(), &wanted, &list);
    if (outcome != 0) {
        throw listen_failure{
            fmt::format("could not translate host name \"{}\", service \"{}\" to address: {}", host,
                        port, ::gai_strerror(outcome)),
            ""};
    }
    const std::unique_ptr<addrinfo, address_list_deleter> owned{list};

    std::vector<listening_socket> opened;
    std::string failure;
    for (const auto* each = list; each; each = each->ai_next) {
        const auto name = text_of(each->ai_addr, each->ai_addrlen, port);
        listening_socket made;
        made.socket_ = bound_tcp(*each, backlog);
        made.name_ = name;
        if (made.socket_.is_open()) {
            opened.push_back(std::move(made));
            continue;
        }
        const int cause = errno;
        failure = bind_text(*each->ai_addr, each->ai_addrlen, cause);
        // A machine without IPv6 has nothing to bind there; that is no failure as long as another
        // address works.
        if (cause == EAFNOSUPPORT || cause == EADDRNOTAVAIL) continue;
        throw listen_failure{failure, cause == EADDRINUSE ? fmt::format(busy_port_hint, port)
                                                          : std::string{}};
    }
    if (opened.empty()) throw listen_failure{failure, ""};
    return opened;
}

listening_socket listening_socket::open_unix(const std::string& directory, int port, int backlog,
                                             unsigned permissions, const std::string& group)
{
    const auto path = fmt::format("{}/.s.PGSQL.{}", directory, port);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        throw listen_failure{
            fmt::format("Unix-domain socket path \"{}\" is too long (maximum {} bytes)", path,
                        sizeof address.sun_path - 1),
            ""};
    }
    std::memcpy(address.sun_path, path.data(), path.size());

    listening_socket made;
    made.name_ = path;
    made.lock_ = locked_file(path);
    if (is_served(address)) {
        throw listen_failure{
            fmt::format("could not bind Unix address \"{}\": {}", path, std::strerror(EADDRINUSE)),
            fmt::format(busy_port_hint, port)};
    }
    const auto owner = fmt::format("{}\n", ::getpid());
    if (::ftruncate(made.lock_.get(), 0) != 0 ||
        ::pwrite(made.lock_.get(), owner.data(), owner.size(), 0) < 0) {
        throw listen_failure{
            fmt::format("could not write lock file \"{}.lock\": {}", path, std::strerror(errno)),
            ""};
    }
    ::unlink(path.c_str());
    made.socket_ =
        runtime::descriptor{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (!made.socket_.is_open() ||
        ::bind(made.socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
            0) {
        throw listen_failure{
            fmt::format("could not bind Unix address \"{}\": {}", path, std::strerror(errno)), ""};
    }
    made.unix_path_ = path;
    set_access(path, permissions, group);
    if (::listen(made.socket_.get(), backlog) != 0) {
        throw listen_failure{
            fmt::format("could not listen on Unix address \"{}\": {}", path, std::strerror(errno)),
            ""};
    }
    return made;
}

}  // namespace pgtorii::core
