#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

namespace pgtorii {

using error_code = boost::system::error_code;

/// A value or the error_code that tells why there is none. Functions that return it are
/// [[nodiscard]].
template <class Value>
using result = boost::system::result<Value>;

}  // namespace pgtorii
