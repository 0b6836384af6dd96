#pragma once

// How libpg_query's JSON is read: for tree_*.cpp only.

#include <simdjson.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pgtorii::routing {

using tree_array = simdjson::dom::array;
using tree_element = simdjson::dom::element;
using tree_object = simdjson::dom::object;

/// A field's value; empty, 0 or false when it is not there (libpg_query leaves out what is zero).
std::string_view text_in(const tree_object& node, std::string_view key);
std::int64_t number_in(const tree_object& node, std::string_view key);
bool flag_in(const tree_object& node, std::string_view key);
bool has(const tree_object& node, std::string_view key);

/// The words of a list of String nodes; at most three, as in catalog.schema.name.
struct qualified_name {
    std::array<std::string_view, 3> parts{};
    std::size_t count = 0;

    std::string_view last() const { return count == 0 ? std::string_view() : parts[count - 1]; }
    std::string_view schema() const { return count < 2 ? std::string_view() : parts[count - 2]; }
    /// "schema.name", or "name".
    std::string joined() const;
};

qualified_name name_in(const tree_object& node, std::string_view key);
std::string joined(std::string_view schema, std::string_view name);

/// The text of a constant, wherever SET and options allow one: 'x', x, 1, on. Integers as 0 or 1.
std::string_view constant_text(const tree_element& value);
/// Whether such a text means no.
bool is_off(std::string_view value);

std::string lower_case(std::string_view word);

}  // namespace pgtorii::routing
