#include "config/secret_file.hpp"

#include "config/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>

namespace pgtorii::config {
namespace {

constexpr mode_t private_mode = S_IRUSR | S_IWUSR;

/// A descriptor that is closed when it goes.
class open_file {
public:
    explicit open_file(int descriptor) : descriptor_(descriptor) {}
    ~open_file()
    {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    open_file(const open_file&) = delete;
    open_file& operator=(const open_file&) = delete;
    int get() const { return descriptor_; }

private:
    int descriptor_;
};

/// Where the content really is: the target of a link.
std::string target_of(const std::string& path)
{
    const std::unique_ptr<char, void (*)(void*)> resolved{::realpath(path.c_str(), nullptr),
                                                          &std::free};
    return resolved ? std::string(resolved.get()) : path;
}

bool write_all(int descriptor, std::string_view content)
{
    while (!content.empty()) {
        const auto count = ::write(descriptor, content.data(), content.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        content.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

/// Gives the new file the owner, group and mode of the old one.
bool dress_like(int descriptor, const std::string& old_path)
{
    struct stat old{};
    if (::stat(old_path.c_str(), &old) != 0)
        return errno == ENOENT && ::fchmod(descriptor, private_mode) == 0;
    struct stat made{};
    if (::fstat(descriptor, &made) != 0) return false;
    const bool is_same = old.st_uid == made.st_uid && old.st_gid == made.st_gid;
    if (!is_same && ::fchown(descriptor, old.st_uid, old.st_gid) != 0) return false;
    return ::fchmod(descriptor, old.st_mode & 07777) == 0;
}

/// So that the new name outlives a crash. Some file systems can't.
void sync_directory(const std::string& file)
{
    auto directory = std::filesystem::path{file}.parent_path().string();
    if (directory.empty()) directory = ".";
    const open_file opened{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (opened.get() >= 0) ::fsync(opened.get());
}

}  // namespace

secret_file read_secret_file(const std::string& path, std::size_t bytes_max)
{
    secret_file made;
    const open_file file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)};
    struct stat status{};
    if (file.get() < 0 || ::fstat(file.get(), &status) != 0) {
        made.failure = errno;
        return made;
    }
    const auto mode = status.st_mode;
    made.is_open_to_others = (mode & S_IRWXO) != 0;
    made.is_open_to_group = (mode & (status.st_uid == 0 ? S_IWGRP : S_IRWXG)) != 0;
    // In one piece from the beginning: a text that grows would leave copies behind.
    std::string bytes(bytes_max + 1, '\0');
    std::size_t size = 0;
    while (size < bytes.size()) {
        const auto count = ::read(file.get(), bytes.data() + size, bytes.size() - size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) made.failure = errno;
        if (count <= 0) break;
        size += static_cast<std::size_t>(count);
    }
    made.is_cut = size > bytes_max;
    if (made.failure == 0)
        made.bytes = secret{std::string_view{bytes}.substr(0, std::min(size, bytes_max))};
    wipe(bytes);
    return made;
}

std::optional<problem> replace_file(const std::string& path, std::string_view content)
{
    const auto target = target_of(path);
    auto temporary = target + ".XXXXXX";
    const open_file file{::mkostemp(temporary.data(), O_CLOEXEC)};
    const auto refuse = [&](std::string_view what) {
        const int cause = errno;
        if (file.get() >= 0) ::unlink(temporary.c_str());
        return problem{
            fmt::format("could not {} {}: {}", what, in_quotes(target), std::strerror(cause)), {}};
    };
    if (file.get() < 0) return refuse("make a file beside");
    if (!dress_like(file.get(), target)) return refuse("keep owner and mode of");
    if (!write_all(file.get(), content) || ::fsync(file.get()) != 0) return refuse("write");
    if (::rename(temporary.c_str(), target.c_str()) != 0) return refuse("replace");
    sync_directory(target);
    return std::nullopt;
}

}  // namespace pgtorii::config
