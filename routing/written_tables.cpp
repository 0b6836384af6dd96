#include "routing/written_tables.hpp"

#include <algorithm>

namespace pgtorii::routing {

namespace {

char folded(char c)
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Compares a folded name with one as written.
bool is_before(std::string_view known, std::string_view name)
{
    return std::lexicographical_compare(known.begin(), known.end(), name.begin(), name.end(),
                                        [](char a, char b) { return a < folded(b); });
}

bool is_same(std::string_view known, std::string_view name)
{
    return known.size() == name.size() && std::equal(known.begin(), known.end(), name.begin(),
                                                     [](char a, char b) { return a == folded(b); });
}

}  // namespace

std::string_view last_part(std::string_view name)
{
    // A quoted name may hold a dot itself. Its tail then stands for it, on both sides alike.
    const auto dot = name.rfind('.');
    return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

void written_tables::add(std::string_view name)
{
    if (is_everything_) return;
    name = last_part(name);
    const auto at = std::lower_bound(names_.begin(), names_.end(), name, is_before);
    if (at != names_.end() && is_same(*at, name)) return;
    if (names_.size() == count_max) {
        add_everything();
        return;
    }
    std::string low(name);
    std::transform(low.begin(), low.end(), low.begin(), folded);
    names_.insert(at, std::move(low));
}

void written_tables::add_everything()
{
    is_everything_ = true;
    names_ = {};
}

void written_tables::add(const written_tables& others)
{
    if (others.is_everything_) add_everything();
    for (const auto& name : others.names_) add(name);
}

void written_tables::clear()
{
    is_everything_ = false;
    names_.clear();
}

bool written_tables::contains(std::string_view name) const
{
    if (is_everything_) return true;
    name = last_part(name);
    const auto at = std::lower_bound(names_.begin(), names_.end(), name, is_before);
    return at != names_.end() && is_same(*at, name);
}

}  // namespace pgtorii::routing
