#include "config/password_cipher.hpp"
#include "config/pool_passwd.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace pgtorii::config;

namespace {

void require(bool holds)
{
    if (!holds) __builtin_trap();
}

}  // namespace

/// libFuzzer's entry: any bytes as pool_passwd. An entry that is put in is found again as it was,
/// and the others stay; an AES entry is deciphered or is not.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto before = load_pool_passwd_text("f", text);
    require(before.diagnostics.size() <= 100 && !before.has_errors());
    (void)decrypt_password(text, "key");

    const auto line = text.substr(0, text.find('\n'));
    const auto colon = line.find(':');
    std::string user(line.substr(0, colon));
    std::erase_if(user, [](char c) { return c == '\r' || c == '\0'; });
    if (user.empty() || user.size() > 63) user = "user";
    std::vector<password_change> change;
    change.push_back({user, secret{"TEXTp:\\w"}});
    const auto after = load_pool_passwd_text("f", updated_pool_passwd(text, change));
    const auto* found = after.entries.find(user);
    require(found != nullptr && found->kind == password_kind::text &&
            found->value.view() == "p:\\w");
    const bool was_there = before.entries.find(user) != nullptr;
    require(after.entries.size() == before.entries.size() + (was_there ? 0 : 1));
    return 0;
}
