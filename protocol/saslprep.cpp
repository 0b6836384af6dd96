#include "protocol/saslprep.hpp"

#include "protocol/authentication.hpp"

#include <algorithm>
#include <cstddef>
#include <stringprep.h>

namespace pgtorii::protocol {
namespace {

/// Three bytes of UTF-8 may become 18 characters (U+FDFA).
constexpr std::size_t growth_max = 18;
constexpr std::size_t prepared_bytes_max = 64 << 10;  // more than a password message holds

bool is_ascii(std::string_view text)
{
    return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace

std::string prepared_password(std::string_view password)
{
    std::string as_it_is(password);
    if (is_ascii(password) || password.size() > prepared_bytes_max ||
        password.find('\0') != password.npos)
        return as_it_is;
    // In place, within a buffer that can't be too small.
    std::string buffer(password.size() * growth_max + 1, '\0');
    std::ranges::copy(password, buffer.begin());
    const int failure =
        ::stringprep(buffer.data(), buffer.size(), STRINGPREP_NO_UNASSIGNED, stringprep_saslprep);
    std::string prepared(buffer.c_str());
    wipe(buffer);
    if (failure != STRINGPREP_OK || prepared.empty()) {
        wipe(prepared);
        return as_it_is;
    }
    wipe(as_it_is);
    return prepared;
}

}  // namespace pgtorii::protocol
