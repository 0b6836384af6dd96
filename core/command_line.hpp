#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace pgtorii::core {

/// What the call asks for.
enum class verb : std::uint8_t {
    start,
    stop,
    reload,
    help,                 // usage on standard error, exit 0
    version,              // version on standard error, exit 0
    check_config,         // reads pgpool.conf and tells what is wrong with it
    print_sample_config,  // on standard output
    route,                // off line: where statements would go
    passwd,               // makes password fields
};

/// How the running process ends: smart waits for all sessions, fast and immediate do not.
enum class stop_mode : std::uint8_t { smart, fast, immediate };

/// A command line as Pgpool-II's program takes it. File names are absolute.
struct command_line {
    verb what = verb::start;
    std::filesystem::path config_file;        ///< -f
    std::filesystem::path hba_file;           ///< -a
    std::filesystem::path pcp_file;           ///< -F
    std::filesystem::path key_file;           ///< -k; empty: none is known.
    bool stays_in_foreground = false;         ///< -n
    bool discards_status = false;             ///< -D
    bool clears_oid_maps = false;             ///< -C
    bool is_debug = false;                    ///< -d
    bool checks_assertions = false;           ///< -x
    stop_mode mode = stop_mode::smart;        ///< -m
    std::vector<std::string> verb_arguments;  ///< What stands behind "route" or "passwd".
};

/// A call that makes no sense: usage goes to standard error, exit 1.
class bad_usage : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// What a command line means depends on these.
struct surroundings {
    std::filesystem::path current_directory;
    std::string home;
    std::string key_file;  ///< $PGPOOLKEYFILE
};

/// Those of this process.
surroundings read_surroundings();

/// Reads the arguments, the program's name first. Options may stand before or behind the verb, be
/// abbreviated and be joined, as getopt_long does it for Pgpool-II. Throws bad_usage. Not for
/// several threads at once. Only as the first word "route" and "passwd" are verbs of their own,
/// with options of their own.
command_line parse_command_line(std::span<const char* const> arguments, const surroundings& around);

/// The usage text; `program` is the name that it was called by, with or without a path.
std::string usage_text(const std::string& program);

/// The line of --version. It begins with the words that scripts look for.
std::string version_text();

/// The Pgpool-II version that we pretend to be in version texts, and our own.
inline constexpr const char* pgpool_version = "4.7.2";
inline constexpr const char* pgtorii_version = "0.1.0";

}  // namespace pgtorii::core
