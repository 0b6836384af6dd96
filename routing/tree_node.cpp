#include "routing/tree_node.hpp"

#include "routing/text_outline.hpp"

namespace pgtorii::routing {

std::string_view text_in(const tree_object& node, std::string_view key)
{
    std::string_view found;
    if (node[key].get(found) != simdjson::SUCCESS) return {};
    return found;
}

std::int64_t number_in(const tree_object& node, std::string_view key)
{
    std::int64_t found = 0;
    if (node[key].get(found) != simdjson::SUCCESS) return 0;
    return found;
}

bool flag_in(const tree_object& node, std::string_view key)
{
    bool found = false;
    return node[key].get(found) == simdjson::SUCCESS && found;
}

bool has(const tree_object& node, std::string_view key)
{
    return node[key].error() == simdjson::SUCCESS;
}

std::string qualified_name::joined() const
{
    return routing::joined(schema(), last());
}

qualified_name name_in(const tree_object& node, std::string_view key)
{
    qualified_name found;
    tree_array list;
    if (node[key].get(list) != simdjson::SUCCESS) return found;
    for (const tree_element item : list) {
        std::string_view word;
        if (item["String"]["sval"].get(word) != simdjson::SUCCESS) continue;
        if (found.count == found.parts.size()) {
            found.parts = {found.parts[1], found.parts[2]};
            --found.count;
        }
        found.parts[found.count++] = word;
    }
    return found;
}

std::string joined(std::string_view schema, std::string_view name)
{
    std::string whole;
    whole.reserve(schema.size() + 1 + name.size());
    if (!schema.empty()) whole.append(schema).append(1, '.');
    return whole.append(name);
}

std::string_view constant_text(const tree_element& value)
{
    std::string_view found;
    if (value["A_Const"]["sval"]["sval"].get(found) == simdjson::SUCCESS) return found;
    if (value["A_Const"]["fval"]["fval"].get(found) == simdjson::SUCCESS) return found;
    if (value["String"]["sval"].get(found) == simdjson::SUCCESS) return found;
    tree_object integer;
    if (value["A_Const"]["ival"].get(integer) == simdjson::SUCCESS ||
        value["Integer"].get(integer) == simdjson::SUCCESS) {
        return number_in(integer, "ival") == 0 ? "0" : "1";  // as a boolean
    }
    return {};
}

bool is_off(std::string_view value)
{
    for (const std::string_view word :
         {"off", "of", "false", "fals", "fal", "fa", "f", "no", "n", "0"}) {
        if (equals_ignoring_case(value, word)) return true;
    }
    return false;
}

std::string lower_case(std::string_view word)
{
    std::string folded(word);
    for (char& c : folded) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return folded;
}

}  // namespace pgtorii::routing
