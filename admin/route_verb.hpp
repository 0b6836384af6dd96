#pragma once

#include <istream>
#include <ostream>
#include <span>
#include <string>

namespace pgtorii::admin {

/// `pgtorii route`: where the statements of a script or a server's log would go, off line.
/// `arguments` are those behind the word "route". Exit codes: 0, or 1 when statements would go
/// elsewhere under the configuration of --against or a reason of --fail-on has occurred, or 2 when
/// the call makes no sense or a file can't be used. Not for several threads at once (getopt).
int run_route(std::span<const std::string> arguments, std::istream& standard_input,
              std::ostream& out, std::ostream& terminal);

}  // namespace pgtorii::admin
