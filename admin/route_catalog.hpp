#pragma once

#include "routing/catalog_facts.hpp"
#include "routing/statement_facts.hpp"

#include <cstddef>
#include <cstdint>
#include <istream>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace pgtorii::admin::route {

/// What is taken for granted of functions, operators and casts that nothing is known of.
enum class assumption : std::uint8_t {
    nothing,
    read,   // not volatile
    write,  // volatile
};

/// Stands in for the catalog where there is no server: what a schema file tells, and assumptions.
/// Names count without their schema, in any schema: there is no search_path here, and where several
/// objects have a name the worst of them counts.
class catalog_model {
public:
    explicit catalog_model(assumption unknown = assumption::nothing) : unknown_(unknown) {}

    /// Reads the functions, operators, types, relations and partitions of a file as
    /// pg_dump --schema-only writes it. Gives how many it has found.
    std::size_t add_schema(std::istream& schema);

    /// What the catalog would say of the names in a text. Null: nothing is known of one of them,
    /// and nothing may be assumed. A relation that is not known is an ordinary table wherever
    /// something may be assumed.
    routing::catalog_facts_ptr facts_of(const routing::query_facts& content) const;

private:
    struct relation {
        bool is_unlogged = false;
        bool locks_rows = false;
        bool is_view = false;
        std::string full_name;
        std::vector<std::string> relations;  ///< Of a view; of a table, its partitions and heirs.
        std::vector<std::string> functions;
        std::vector<std::string> operators;
        std::vector<std::string> types;
    };
    class statement_reader;
    class inquiry;

    assumption unknown_;
    bool has_schema_ = false;
    std::unordered_map<std::string, bool> functions_;         ///< Whether it is volatile.
    std::unordered_map<std::string, std::string> operators_;  ///< The function behind it.
    std::unordered_set<std::string> types_;
    std::unordered_map<std::string, relation> relations_;
};

}  // namespace pgtorii::admin::route
