#include "core/unit_at_work.hpp"

#include <utility>

namespace pgtorii::core {

namespace {

/// What one great unit has needed is not kept for the small ones that follow.
constexpr std::size_t kept_count_max = 256;
constexpr std::size_t kept_bytes_max = 4096;

template <class Value>
void clear_list(std::vector<Value>& list)
{
    if (list.capacity() > kept_count_max) {
        list = {};
    } else {
        list.clear();
    }
}

void clear_text(std::string& text)
{
    if (text.capacity() > kept_bytes_max) {
        text = {};
    } else {
        text.clear();
    }
}

/// To clear a hash table costs something even when it is empty.
template <class Table>
void clear_table(Table& table)
{
    if (!table.empty()) table = {};
}

}  // namespace

void unit_at_work::clear()
{
    clear_list(items);
    for (auto* const list : {&parses, &executes, &closes, &renamed, &described, &needed_statements})
        clear_list(*list);
    clear_list(unplaced_portals);
    clear_table(portals);
    clear_table(closed_names);
    clear_table(new_statements);
    unnamed_portal = {};
    judged = nullptr;
    judged_place = {};
    facts = nullptr;
    question = nullptr;
    for (auto* const text :
         {&effects_text, &repair_bytes, &held_replies, &told_instead, &own_value})
        clear_text(*text);
    own_error = nullptr;
}

}  // namespace pgtorii::core
