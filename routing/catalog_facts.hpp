#pragma once

#include <memory>
#include <string>
#include <vector>

namespace pgtorii::routing {

/// What the catalog says of the names in one text, in one namespace: a database with the user, role
/// and search_path under which the names are resolved there. A name that the catalog doesn't know
/// adds nothing: the server that runs the statement says so in its own words.
struct catalog_facts {
    /// A function, operator or cast of the text, or of a view that it reads, is VOLATILE.
    bool calls_volatile_function = false;
    /// A relation that the text names is in pg_catalog (not through views: routing.md,
    /// section 4.2).
    bool reads_system_catalog = false;
    /// A name resolves to a temporary table of somebody's.
    bool reads_temporary_table = false;
    /// Also through views, and as a partition: it has no rows on a standby, only an error (0A000).
    bool reads_unlogged_table = false;
    /// A view locks rows (FOR UPDATE) inside.
    bool locks_rows = false;
    /// All tables that are read, those below views and partitioned tables too: "schema.name".
    std::vector<std::string> tables;
    /// False: there are more tables than are kept, so any table may be among them.
    bool tables_are_all = true;
};

using catalog_facts_ptr = std::shared_ptr<const catalog_facts>;

}  // namespace pgtorii::routing
