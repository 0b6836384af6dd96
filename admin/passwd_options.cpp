#include "admin/passwd_options.hpp"

#include "admin/verb_options.hpp"

#include <fmt/format.h>

#include <pwd.h>
#include <unistd.h>
#include <vector>

namespace pgtorii::admin::passwd {

namespace {

// Values of options without a short form.
constexpr int option_aes = 256;
constexpr int option_md5 = 257;
constexpr int option_scram = 258;
constexpr int option_pcp = 259;

constexpr const char* short_options = ":k:K:f:i:u:pPmh";

const option long_options[] = {
    {"aes", no_argument, nullptr, option_aes},
    {"md5", no_argument, nullptr, option_md5},
    {"scram", no_argument, nullptr, option_scram},
    {"pcp", no_argument, nullptr, option_pcp},
    {"key-file", required_argument, nullptr, 'k'},
    {"enc-key", required_argument, nullptr, 'K'},
    {"config-file", required_argument, nullptr, 'f'},
    {"input-file", required_argument, nullptr, 'i'},
    {"username", required_argument, nullptr, 'u'},
    {"prompt", no_argument, nullptr, 'p'},
    {"prompt-for-key", no_argument, nullptr, 'P'},
    {"update-pass", no_argument, nullptr, 'm'},
    {"help", no_argument, nullptr, 'h'},
    {nullptr, 0, nullptr, 0},
};

std::string own_user()
{
    const auto* const known = ::getpwuid(::geteuid());
    return known ? known->pw_name : "";
}

void apply(int found, const std::string& argument, options& asked)
{
    switch (found) {
    case option_aes: asked.what = form::aes; break;
    case option_md5: asked.what = form::md5; break;
    case option_scram: asked.what = form::scram; break;
    case option_pcp: asked.what = form::pcp; break;
    case 'k': asked.key_file = argument; break;
    case 'K': asked.key.emplace(argument); break;
    case 'f': asked.config_file = argument; break;
    case 'i': asked.input_file = argument; break;
    case 'u': asked.user = argument; break;
    case 'P': asked.asks_for_key = true; break;
    case 'm': asked.updates = true; break;
    case 'h': asked.wants_help = true; break;
    default: break;  // -p: without a password it is asked for anyway
    }
}

void check(const options& asked)
{
    if (asked.updates && asked.what == form::pcp)
        throw refused{"-m writes pool_passwd, and --pcp is for pcp.conf"};
    if (asked.password && !asked.input_file.empty())
        throw refused{"a password and -i don't go together"};
    if (asked.user.empty()) throw refused{"name the user with -u"};
}

}  // namespace

const char* const options_help =
    R"(Makes a password field for pool_passwd or pcp.conf, as pg_enc and pg_md5 do.

Usage:
  pgtorii passwd [OPTION]... [PASSWORD]

Without PASSWORD it is asked for, or read from standard input when that is no terminal: others see the arguments
of a program.

What it becomes:
      --aes                 encrypted by a key (the default): works with all methods of the servers
      --md5                 an MD5 hash with the user's name: for servers that ask for md5
      --scram               a SCRAM-SHA-256 verifier: for clients that prove themselves by it
      --pcp                 an MD5 hash for pcp.conf

Options:
  -m, --update-pass         put it into pool_passwd, in place of the user's entry; else it is printed
  -u, --username=USER       whose it is (you)
  -f, --config-file=FILE    pgpool.conf, which names pool_passwd (/etc/pgpool2/pgpool.conf)
  -i, --input-file=FILE     lines of user:password, all of them
  -p, --prompt              ask for the password
  -k, --key-file=FILE       the key of --aes is its first line ($PGPOOLKEYFILE, else ~/.pgpoolkey)
  -K, --enc-key=KEY         the key itself
  -P, --prompt-for-key      ask for the key
  -h, --help                this text
)";

options parse_options(std::span<const std::string> arguments, const core::surroundings& around)
{
    options asked;
    const char* const no_arguments[] = {"pgtorii"};
    const auto usual = core::parse_command_line(no_arguments, around);
    asked.config_file = usual.config_file;
    asked.key_file = usual.key_file;
    asked.user = own_user();
    auto rest = read_options(
        arguments, short_options, long_options,
        [&asked](int found, const std::string& argument) { apply(found, argument, asked); },
        // Not the word itself, which may be a password.
        [](bool lacks_value, const std::string&) {
            throw refused{lacks_value ? "an option needs a value"
                                      : "unknown or misused option: see passwd --help"};
        });
    if (asked.wants_help) return asked;
    if (rest.size() > 1) throw refused{"too many arguments"};
    for (auto& each : rest) {
        asked.password.emplace(each);
        config::wipe(each);
    }
    check(asked);
    return asked;
}

}  // namespace pgtorii::admin::passwd
