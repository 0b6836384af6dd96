#include "core/command_line.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <getopt.h>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

namespace pgtorii::core {

namespace {

// Where Debian's package has its files.
constexpr const char* configuration_directory = "/etc/pgpool2";

// Values of options without a short form.
constexpr int option_check_config = 256;
constexpr int option_print_sample_config = 257;

constexpr const char* short_options = ":a:f:F:k:m:nDCdxhv";

const option long_options[] = {
    {"hba-file", required_argument, nullptr, 'a'},
    {"config-file", required_argument, nullptr, 'f'},
    {"pcp-file", required_argument, nullptr, 'F'},
    {"key-file", required_argument, nullptr, 'k'},
    {"mode", required_argument, nullptr, 'm'},
    {"dont-detach", no_argument, nullptr, 'n'},
    {"discard-status", no_argument, nullptr, 'D'},
    {"clear-oidmaps", no_argument, nullptr, 'C'},
    {"debug", no_argument, nullptr, 'd'},
    {"debug-assertions", no_argument, nullptr, 'x'},
    {"help", no_argument, nullptr, 'h'},
    {"version", no_argument, nullptr, 'v'},
    {"check-config", no_argument, nullptr, option_check_config},
    {"print-sample-config", no_argument, nullptr, option_print_sample_config},
    {nullptr, 0, nullptr, 0},
};

/// Pgpool-II looks at the first letter only.
stop_mode stop_mode_of(const std::string& text)
{
    switch (text.empty() ? '\0' : text.front()) {
    case 's': return stop_mode::smart;
    case 'f': return stop_mode::fast;
    case 'i': return stop_mode::immediate;
    default: throw bad_usage{fmt::format("unknown shutdown mode \"{}\"", text)};
    }
}

verb verb_of(std::span<char* const> words)
{
    if (words.empty()) return verb::start;
    const std::string word = words.front();
    if (words.size() > 1) {
        throw bad_usage{fmt::format("too many arguments: \"{}\" behind \"{}\"", words[1], word)};
    }
    if (word == "route" || word == "passwd")
        throw bad_usage{fmt::format("\"{}\" must be the first word", word)};
    if (word == "stop") return verb::stop;
    if (word == "reload") return verb::reload;
    throw bad_usage{fmt::format("unknown command \"{}\"", word)};
}

[[noreturn]] void refuse_option(int found, std::span<char* const> arguments)
{
    // getopt_long has moved on: a long option is the argument before. A short one is in optopt,
    // where a known long option without its value stands too, by its letter.
    const std::string last = arguments[static_cast<std::size_t>(optind) - 1];
    const bool is_unknown_letter =
        optopt != 0 && optopt < option_check_config && !std::strchr(short_options, optopt);
    const auto option_text = is_unknown_letter || !last.starts_with("--")
                                 ? fmt::format("-{}", static_cast<char>(optopt))
                                 : last;
    if (found == ':') throw bad_usage{fmt::format("option \"{}\" needs a value", option_text)};
    throw bad_usage{fmt::format("unknown, ambiguous or misused option \"{}\"", option_text)};
}

/// Takes one option over. False: it ends the reading of the line, as -h and -v do.
bool apply(int found, command_line& asked, const std::filesystem::path& directory)
{
    const std::string argument = optarg ? optarg : "";
    switch (found) {
    case 'a': asked.hba_file = directory / argument; return true;
    case 'f': asked.config_file = directory / argument; return true;
    case 'F': asked.pcp_file = directory / argument; return true;
    case 'k': asked.key_file = directory / argument; return true;
    case 'm': asked.mode = stop_mode_of(argument); return true;
    case 'n': asked.stays_in_foreground = true; return true;
    case 'D': asked.discards_status = true; return true;
    case 'C': asked.clears_oid_maps = true; return true;
    case 'd': asked.is_debug = true; return true;
    case 'x': asked.checks_assertions = true; return true;
    case 'h': asked.what = verb::help; return false;
    case 'v': asked.what = verb::version; return false;
    case option_check_config: asked.what = verb::check_config; return true;
    default: asked.what = verb::print_sample_config; return true;
    }
}

std::string variable(const char* name)
{
    const char* const value = std::getenv(name);
    return value ? value : "";
}

}  // namespace

surroundings read_surroundings()
{
    std::error_code failure;
    auto directory = std::filesystem::current_path(failure);
    return {.current_directory = failure ? "/" : std::move(directory),
            .home = variable("HOME"),
            .key_file = variable("PGPOOLKEYFILE")};
}

command_line parse_command_line(std::span<const char* const> arguments, const surroundings& around)
{
    // getopt_long reorders the pointers, never the texts.
    std::vector<char*> words;
    for (const char* each : arguments) words.push_back(const_cast<char*>(each));
    const auto count = static_cast<int>(words.size());
    words.push_back(nullptr);

    const std::filesystem::path configuration = configuration_directory;
    command_line asked;
    asked.config_file = configuration / "pgpool.conf";
    asked.hba_file = configuration / "pool_hba.conf";
    asked.pcp_file = configuration / "pcp.conf";
    if (!around.key_file.empty()) {
        asked.key_file = around.current_directory / around.key_file;
    } else if (!around.home.empty()) {
        asked.key_file = std::filesystem::path{around.home} / ".pgpoolkey";
    }

    const std::string_view first = arguments.size() > 1 ? arguments[1] : "";
    if (first == "route" || first == "passwd") {
        asked.what = first == "route" ? verb::route : verb::passwd;
        asked.verb_arguments.assign(arguments.begin() + 2, arguments.end());
        return asked;
    }

    optind = 0;  // glibc: begin anew
    opterr = 0;
    for (;;) {
        const int found = ::getopt_long(count, words.data(), short_options, long_options, nullptr);
        if (found == -1) break;
        if (found == '?' || found == ':') refuse_option(found, words);
        if (!apply(found, asked, around.current_directory)) return asked;
    }
    const auto first_word = static_cast<std::size_t>(optind);
    const auto rest = std::span<char* const>{words}.first(words.size() - 1).subspan(first_word);
    const auto named = verb_of(rest);
    if (named == verb::start) return asked;
    if (asked.what != verb::start) {
        throw bad_usage{fmt::format(
            "\"{}\" does not go with --check-config or --print-sample-config", rest.front())};
    }
    asked.what = named;
    return asked;
}

std::string usage_text(const std::string& program)
{
    const auto name = std::filesystem::path{program}.filename().string();
    return fmt::format(
        R"(pgtorii {0} - one gate in front of a PostgreSQL cluster, in place of Pgpool-II {1}

Usage:
  {2} [-f FILE] [-F FILE] [-a FILE] [-k FILE] [-n] [-D] [-C] [-d]   start
  {2} [-f FILE] [-m MODE] stop                                      stop
  {2} [-f FILE] reload                                              read the configuration again
  {2} route --config FILE [OPTION]... [INPUT]...                    tell where statements would go (route --help)
  {2} passwd [OPTION]... [PASSWORD]                         make a password for pool_passwd (passwd --help)

Options:
  -a, --hba-file=FILE       pool_hba.conf ({3}/pool_hba.conf)
  -f, --config-file=FILE    pgpool.conf ({3}/pgpool.conf)
  -F, --pcp-file=FILE       pcp.conf ({3}/pcp.conf)
  -k, --key-file=FILE       key of encrypted passwords ($PGPOOLKEYFILE, else ~/.pgpoolkey)
  -n, --dont-detach         stay in the foreground, log to standard error
  -D, --discard-status      forget the saved states of the servers
  -C, --clear-oidmaps       forget the query cache's tables (memcached only)
  -d, --debug               log debug messages
  -x, --debug-assertions    accepted; internal checks are always on
  -m, --mode=MODE           how to stop: smart (default), fast or immediate
  -h, --help                this text
  -v, --version             the version
      --check-config        tell what is wrong with pgpool.conf; exit code 1 if it can't be used
      --print-sample-config write a commented pgpool.conf to standard output
)",
        pgtorii_version, pgpool_version, name.empty() ? "pgtorii" : name, configuration_directory);
}

std::string version_text()
{
    return fmt::format("pgpool-II version {} (pgtorii {})\n", pgpool_version, pgtorii_version);
}

}  // namespace pgtorii::core
