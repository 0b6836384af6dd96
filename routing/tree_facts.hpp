#pragma once

#include "routing/statement_facts.hpp"

#include <memory>
#include <string_view>

namespace pgtorii::routing {

/// Turns libpg_query's parse tree (its JSON form) into facts. Knows node names of PostgreSQL 15 and
/// nothing of texts.
class tree_reader {
public:
    tree_reader();
    ~tree_reader();
    tree_reader(const tree_reader&) = delete;
    tree_reader& operator=(const tree_reader&) = delete;

    /// Fills `facts` with one entry for each statement of the tree (one `empty` when it has none),
    /// and depends_on_literals. Offsets are those of the tree. False, with `facts` in an unknown
    /// state: the JSON nests deeper than 1,024 levels or is not UTF-8.
    bool read(std::string_view json, query_facts& facts);

private:
    struct parser;
    bool read_tree(std::string_view json, query_facts& facts);
    std::unique_ptr<parser> parser_;
};

}  // namespace pgtorii::routing
