#pragma once

#include <string>
#include <string_view>

namespace pgtorii::protocol {

/// The form of a password that SCRAM is calculated with, as libpq and PostgreSQL make it: ASCII as
/// it is; else prepared by SASLprep; and where that is impossible (no UTF-8, characters that are
/// prohibited or unknown to Unicode 3.2, nothing left of it) as it is again. Overwrite the result
/// when it is no longer needed.
/// Source: RFC 4013; PostgreSQL, sasl-authentication.
std::string prepared_password(std::string_view password);

}  // namespace pgtorii::protocol
