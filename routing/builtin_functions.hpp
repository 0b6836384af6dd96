#pragma once

#include <cstdint>
#include <string_view>

namespace pgtorii::routing {

/// What a call may do, as far as the name tells.
enum class function_effect : std::uint8_t {
    read_only,        // every builtin function of the name is immutable or stable
    writing,          // volatile, or it tells about the server or the transaction that it runs in
    runs_query,       // a text that is an argument, which may be anything
    changes_setting,  // set_config
    takes_advisory_lock,  // one that outlives the transaction
    uses_sequence,        // nextval, setval, currval, lastval
    unknown,              // no builtin function
};

/// `name` without schema, as it stands in pg_proc. A function of the user's own that has the name
/// of a builtin one, with other argument types, is taken for the builtin: only the catalog could
/// tell them apart.
function_effect effect_of_builtin(std::string_view name);

}  // namespace pgtorii::routing
