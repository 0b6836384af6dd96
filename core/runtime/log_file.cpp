#include "core/runtime/log_file.hpp"

#include "core/runtime/descriptor.hpp"
#include "core/runtime/log.hpp"
#include "core/runtime/log_text.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pgtorii::runtime::log {

namespace {

std::string name_at(const std::string& pattern, std::time_t now)
{
    std::tm local{};
    ::localtime_r(&now, &local);
    std::array<char, 1024> name{};
    const auto length = std::strftime(name.data(), name.size(), pattern.c_str(), &local);
    return {name.data(), length};
}

bad_destination failure(std::string_view what, const std::string& path, std::string_view why)
{
    return bad_destination{fmt::format("could not {} \"{}\": {}", what, path, why)};
}

/// The open file. Its directory may be one that anybody writes to (the default is below /tmp), so a
/// link, a device or somebody else's file is refused: the log would go where they want it.
descriptor open_file(const std::string& path, unsigned mode, bool truncates)
{
    descriptor file{::open(
        path.c_str(),
        O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode)};
    if (!file.is_open()) throw failure("open log file", path, std::strerror(errno));
    struct stat found{};
    if (::fstat(file.get(), &found) != 0)
        throw failure("stat log file", path, std::strerror(errno));
    if (!S_ISREG(found.st_mode)) throw failure("open log file", path, "not a regular file");
    if (found.st_uid != ::geteuid() && found.st_uid != 0) {
        throw failure("open log file", path, "it belongs to another user");
    }
    if (found.st_uid == ::geteuid() && ::fchmod(file.get(), mode) != 0) {
        throw failure("set permissions of log file", path, std::strerror(errno));
    }
    if (truncates && ::ftruncate(file.get(), 0) != 0) {
        throw failure("truncate log file", path, std::strerror(errno));
    }
    return file;
}

}  // namespace

log_file::log_file(log_file_settings values, std::time_t now)
{
    open(values, now, false);
    settings_ = std::move(values);
    set_next_rotation(now);
}

void log_file::reconfigure(log_file_settings values, std::time_t now)
{
    const bool is_elsewhere =
        values.directory != settings_.directory || values.name != settings_.name;
    if (is_elsewhere) open(values, now, false);
    settings_ = std::move(values);
    rotation_is_off_ = false;
    set_next_rotation(now);
}

bool log_file::is_rotation_due(std::time_t now) const
{
    if (rotation_is_off_) return false;
    const bool is_old = next_rotation_ != 0 && now >= next_rotation_;
    const bool is_full = settings_.rotation_bytes > 0 && size_ >= settings_.rotation_bytes;
    return is_old || is_full;
}

std::string log_file::rotate(std::time_t now)
{
    const bool is_by_age = next_rotation_ != 0 && now >= next_rotation_;
    set_next_rotation(now);
    try {
        open(settings_, now, is_by_age && settings_.truncates_on_rotation);
        rotation_is_off_ = false;
    } catch (const bad_destination& problem) {
        rotation_is_off_ = true;
        return problem.what();
    }
    return {};
}

void log_file::sink_it_(const spdlog::details::log_msg& message)
{
    stderr_sink::sink_it_(message);
    count(message.payload.size());
}

void log_file::open(const log_file_settings& values, std::time_t now, bool may_truncate)
{
    if (::mkdir(values.directory.c_str(), 0700) != 0 && errno != EEXIST) {
        throw failure("create log directory", values.directory, std::strerror(errno));
    }
    auto path = values.directory + '/' + name_at(values.name, now);
    const auto file = open_file(path, values.mode, may_truncate && path != path_);
    struct stat found{};
    if (::fstat(file.get(), &found) != 0 || ::dup2(file.get(), STDERR_FILENO) < 0) {
        throw failure("use log file", path, std::strerror(errno));
    }
    size_ = found.st_size;
    path_ = std::move(path);
}

void log_file::set_next_rotation(std::time_t now)
{
    std::tm local{};
    ::localtime_r(&now, &local);
    next_rotation_ = settings_.rotation_age.count() > 0
                         ? log::next_rotation(now, settings_.rotation_age, local.tm_gmtoff)
                         : 0;
}

}  // namespace pgtorii::runtime::log
