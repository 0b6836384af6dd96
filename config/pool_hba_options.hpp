#pragma once

#include "config/pool_hba.hpp"
#include "config/problem.hpp"

#include <optional>
#include <string_view>

namespace pgtorii::config {

/// What an option of a record leads to.
struct option_outcome {
    std::optional<problem> error{};
    std::optional<problem> warning{};
};

/// Puts `text`, "name=value", into a record whose kind and method stand.
option_outcome apply_option(hba_record& record, std::string_view text);

/// Whether the options of a record go together; to be asked when all have been applied.
option_outcome check_options(const hba_record& record);

/// Reads "ldap[s]://[host[:port]]/base[?attribute[?scope[?filter]]]" into `into`. Source: RFC 4516.
std::optional<problem> read_ldap_url(std::string_view text, ldap_options& into);

}  // namespace pgtorii::config
