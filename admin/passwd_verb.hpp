#pragma once

#include "admin/secret_prompt.hpp"
#include "core/command_line.hpp"

#include <ostream>
#include <span>
#include <string>

namespace pgtorii::admin {

/// `pgtorii passwd`: makes a password field for pool_passwd or pcp.conf, and puts it into
/// pool_passwd; what pg_enc and pg_md5 are for Pgpool-II. `arguments` are those behind the word
/// "passwd". Gives the exit code, 0 or 1. Not for several threads at once (getopt).
int run_passwd(std::span<const std::string> arguments, const core::surroundings& around,
               const secret_prompt& ask, std::ostream& out, std::ostream& terminal);

}  // namespace pgtorii::admin
