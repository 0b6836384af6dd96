#include "admin/passwd_verb.hpp"

#include "admin/passwd_options.hpp"
#include "config/load.hpp"
#include "config/password_cipher.hpp"
#include "config/pool_passwd.hpp"
#include "config/secret_file.hpp"
#include "config/text.hpp"
#include "protocol/authentication.hpp"
#include "protocol/scram_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <vector>

namespace pgtorii::admin {

namespace {

using namespace passwd;
using config::secret;

constexpr std::size_t input_bytes_max = 16 << 20;
constexpr std::size_t pcp_hash_begin = 3;  // behind "md5"

void check_user(std::string_view user)
{
    if (user.empty() || user.find_first_of(std::string_view{"\n\r\0", 3}) != user.npos)
        throw refused{
            fmt::format("{} can't be a user's name in pool_passwd", config::in_quotes(user))};
}

secret key_of(const options& asked, const secret_prompt& ask, std::ostream& terminal)
{
    if (asked.asks_for_key) {
        auto typed = ask("encryption key: ");
        if (!typed || typed->empty()) throw refused{"encryption key not provided"};
        return std::move(*typed);
    }
    if (asked.key) return asked.key->copy();
    if (asked.key_file.empty()) throw refused{"encryption key not provided"};
    auto read = config::read_pool_key(asked.key_file);
    for (const auto& each : read.diagnostics) terminal << config::to_text(each) << '\n';
    if (!read.key)
        throw refused{fmt::format("encryption key not provided: there is none in {}",
                                  config::in_quotes(asked.key_file))};
    return std::move(*read.key);
}

/// Turns passwords into fields, all of them by one key.
class field_maker {
public:
    field_maker(form what, secret key) : what_(what), key_(std::move(key)) {}

    secret make(std::string_view user, const secret& password) const
    {
        if (password.empty())
            throw refused{fmt::format("the password of {} is empty", config::in_quotes(user))};
        switch (what_) {
        case form::aes:
            if (const auto sealed = config::encrypt_password(password.view(), key_.view()))
                return secret{"AES" + *sealed};
            break;
        case form::md5:
            if (const auto hash = protocol::md5_verifier(user, password.view()))
                return secret{*hash};
            break;
        case form::scram:
            if (const auto made = protocol::scram_verifier::from_password(password.view()))
                return secret{made->to_text()};
            break;
        case form::pcp:
            if (const auto hash = protocol::md5_verifier({}, password.view()))
                return secret{std::string_view{*hash}.substr(pcp_hash_begin)};
            break;
        }
        throw refused{"the cryptographic library refuses"};
    }

private:
    form what_;
    secret key_;
};

std::vector<config::password_change> read_pairs(const options& asked, const field_maker& maker,
                                                std::ostream& terminal)
{
    const auto file = config::read_secret_file(asked.input_file, input_bytes_max);
    if (file.failure != 0 || file.is_cut)
        throw refused{fmt::format("could not read {}: {}", config::in_quotes(asked.input_file),
                                  std::strerror(file.is_cut ? EFBIG : file.failure))};
    std::vector<config::password_change> made;
    auto rest = file.bytes.view();
    for (std::size_t number = 1; !rest.empty(); ++number) {
        const auto end = rest.find('\n');
        auto line = rest.substr(0, end);
        rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty()) continue;
        const auto colon = line.find(':');
        if (colon == line.npos || colon == 0 || colon + 1 == line.size()) {
            terminal << fmt::format("LINE#{:02}: invalid username:password pair\n", number);
            continue;
        }
        const std::string user(line.substr(0, colon));
        check_user(user);
        made.push_back({user, maker.make(user, secret{line.substr(colon + 1)})});
    }
    return made;
}

std::string pool_passwd_path(const std::string& config_file)
{
    if (!std::filesystem::exists(config_file))
        throw refused{fmt::format("there is no file {}; name pgpool.conf with -f",
                                  config::in_quotes(config_file))};
    const auto outcome = config::load_file(config_file);
    for (const auto& each : outcome.diagnostics) {
        if (each.level == config::severity::error) throw refused{config::to_text(each)};
    }
    if (outcome.values.pool_passwd.empty())
        throw refused{
            fmt::format("pool_passwd is switched off in {}", config::in_quotes(config_file))};
    return std::filesystem::path{config_file}.parent_path() / outcome.values.pool_passwd;
}

void run(const options& asked, const secret_prompt& ask, std::ostream& out, std::ostream& terminal)
{
    const field_maker maker{asked.what,
                            asked.what == form::aes ? key_of(asked, ask, terminal) : secret{}};
    std::vector<config::password_change> made;
    if (!asked.input_file.empty()) {
        made = read_pairs(asked, maker, terminal);
    } else {
        check_user(asked.user);
        auto password = asked.password ? std::optional{asked.password->copy()} : ask("password: ");
        if (!password) throw refused{"there is no password"};
        made.push_back({asked.user, maker.make(asked.user, *password)});
    }
    if (asked.updates) {
        const auto failure = config::update_pool_passwd(pool_passwd_path(asked.config_file), made);
        if (failure) throw refused{failure->message};
    } else if (asked.input_file.empty()) {
        out << made.front().field.view() << '\n';
    } else {
        out << config::updated_pool_passwd({}, made);
    }
}

}  // namespace

int run_passwd(std::span<const std::string> arguments, const core::surroundings& around,
               const secret_prompt& ask, std::ostream& out, std::ostream& terminal)
{
    try {
        const auto asked = parse_options(arguments, around);
        if (asked.wants_help)
            out << options_help;
        else
            run(asked, ask, out, terminal);
        return 0;
    } catch (const refused& wrong) {
        terminal << wrong.what() << '\n';
        return 1;
    }
}

}  // namespace pgtorii::admin
