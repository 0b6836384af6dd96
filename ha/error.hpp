#pragma once

#include "core/base/result.hpp"

#include <type_traits>

namespace pgtorii::ha {

/// Why a look at a server gave no answer, beyond the system's own errors.
enum class errc {
    connect_late = 1,
    check_late,
    name_unresolved,
    socket_path_too_long,
    connection_lost,
    reply_unexpected,
    reply_malformed,
    reply_too_big,
    password_missing,
    authentication_unsupported,
    server_refused,
    delays_malformed,
};

/// The category of errc; its messages are for operators.
const boost::system::error_category& error_category();

/// Found by argument-dependent lookup: makes `error_code failure = errc::check_late;` work.
inline error_code make_error_code(errc value)
{
    return {static_cast<int>(value), error_category()};
}

}  // namespace pgtorii::ha

template <>
struct boost::system::is_error_code_enum<pgtorii::ha::errc> : std::true_type {};
