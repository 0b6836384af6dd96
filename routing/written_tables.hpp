#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pgtorii::routing {

/// Tables that a transaction has written, for disable_load_balance_on_write = dml_adaptive: the
/// last part of each name, compared without case, as Pgpool-II does (routing.md, section 7).
/// Bounded: a transaction that writes more tables than are kept has written everything.
class written_tables {
public:
    /// `name` as in statement_facts: "schema.name" or "name".
    void add(std::string_view name);
    /// A write whose targets can't be told.
    void add_everything();
    void add(const written_tables& others);
    void clear();

    bool is_empty() const { return names_.empty() && !is_everything_; }
    bool is_everything() const { return is_everything_; }
    /// Whether `name`, in either form, is one of them.
    bool contains(std::string_view name) const;
    /// Folded, sorted, without schema.
    const std::vector<std::string>& names() const { return names_; }

    static constexpr std::size_t count_max = 500;

private:
    std::vector<std::string> names_;
    bool is_everything_ = false;
};

/// The last part of "schema.name".
std::string_view last_part(std::string_view name);

}  // namespace pgtorii::routing
