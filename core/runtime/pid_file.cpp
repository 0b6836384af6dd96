#include "core/runtime/pid_file.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <limits>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pgtorii::runtime {

namespace {

constexpr int exit_running = 1;
constexpr int exit_fatal = 3;

std::optional<pid_t> pid_in(int file)
{
    std::array<char, 32> text{};
    const auto length = ::pread(file, text.data(), text.size(), 0);
    if (length <= 0) return std::nullopt;
    const char* begin = text.data();
    const char* const end = begin + length;
    while (begin != end && (*begin == ' ' || *begin == '\t' || *begin == '\n' || *begin == '\r'))
        ++begin;
    pid_t pid = 0;
    const auto read = std::from_chars(begin, end, pid);
    // 0 and below name process groups to kill(): never a process of ours.
    if (read.ec != std::errc{} || pid <= 0) return std::nullopt;
    return pid;
}

/// A process that was started again in a container often finds its own pid, or its parent's, in the
/// file that the one before it left: those are certainly not the one that wrote it.
bool is_another_process(pid_t pid)
{
    if (pid == ::getpid() || pid == ::getppid()) return false;
    return ::kill(pid, 0) == 0 || errno == EPERM;
}

pid_file_failure failure(std::string_view what, const std::filesystem::path& path, int cause)
{
    const auto directory = path.parent_path().string();
    std::string hint;
    if (cause == ENOENT) {
        hint = fmt::format(
            "Make the directory \"{}\", or set \"pid_file_name\" to a file in another one.",
            directory);
    } else if (cause == EACCES || cause == EROFS || cause == EPERM) {
        hint = fmt::format("Make \"{}\" writable for this user, or set \"pid_file_name\" to a file "
                           "elsewhere.",
                           directory);
    }
    return {
        fmt::format("could not {} pid file \"{}\": {}", what, path.string(), std::strerror(cause)),
        std::move(hint), exit_fatal};
}

pid_file_failure already_running(std::optional<pid_t> pid)
{
    // Pgpool-II's own words, which scripts look for.
    return {fmt::format("pid file found. is another pgpool({}) is running?",
                        pid ? std::to_string(*pid) : "unknown"),
            "", exit_running};
}

/// Whether `path` still names the open file: the process that held the lock may have removed it.
bool names(const std::filesystem::path& path, int file)
{
    struct stat named{};
    struct stat opened{};
    return ::lstat(path.c_str(), &named) == 0 && ::fstat(file, &opened) == 0 &&
           named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

descriptor locked(const std::filesystem::path& path)
{
    for (;;) {
        descriptor file{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
        if (!file.is_open()) throw failure("open", path, errno);
        if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
            if (errno != EWOULDBLOCK) throw failure("lock", path, errno);
            throw already_running(pid_in(file.get()));
        }
        if (names(path, file.get())) return file;
    }
}

void write_pid(int file, const std::filesystem::path& path)
{
    const auto text = fmt::format("{}\n", ::getpid());
    if (::fchmod(file, 0600) != 0 || ::ftruncate(file, 0) != 0) throw failure("write", path, errno);
    const auto written = ::pwrite(file, text.data(), text.size(), 0);
    if (written < 0) throw failure("write", path, errno);
    if (static_cast<std::size_t>(written) != text.size()) throw failure("write", path, ENOSPC);
}

}  // namespace

std::filesystem::path pid_file_path(const std::string& pid_file_name,
                                    const std::filesystem::path& config_file)
{
    return config_file.parent_path() / pid_file_name;
}

std::optional<pid_t> read_pid_file(const std::filesystem::path& path)
{
    const descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    return file.is_open() ? pid_in(file.get()) : std::nullopt;
}

pid_file pid_file::create(const std::filesystem::path& path)
{
    auto lock = locked(path);
    const auto before = pid_in(lock.get());
    // Pgpool-II does not lock its file: that it is running can be seen only from the pid.
    if (before && is_another_process(*before)) throw already_running(before);
    write_pid(lock.get(), path);

    pid_file created;
    created.path_ = path;
    created.lock_ = std::move(lock);
    created.replaced_ = before.has_value();
    return created;
}

pid_file::pid_file(pid_file&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      lock_(std::move(other.lock_)),
      replaced_(other.replaced_)
{
}

pid_file::~pid_file()
{
    // Only while it is ours: somebody may have removed it by hand and started another process.
    if (lock_.is_open() && names(path_, lock_.get())) ::unlink(path_.c_str());
}

}  // namespace pgtorii::runtime
