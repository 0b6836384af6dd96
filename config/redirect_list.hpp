#pragma once

#include "config/pattern_list.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgtorii::config {

enum class redirect_target : std::uint8_t { primary, standby, node };

/// One of the {database,app_name,user}_redirect_preference_list parameters: "pattern:node(ratio)",
/// comma separated. Immutable.
class redirect_list {
public:
    struct entry {
        pattern_list pattern;  ///< Holds exactly one.
        redirect_target target = redirect_target::primary;
        int node = 0;      ///< For redirect_target::node.
        double ratio = 1;  ///< Share of sessions that go there.
    };

    /// The list that `text` describes, or what is wrong with one of its items.
    [[nodiscard]] static boost::system::result<redirect_list, problem> parse(std::string_view text);

    /// The first entry that matches `name`, or null. Lives as long as the list.
    const entry* find(std::string_view name) const;

    const std::vector<entry>& entries() const { return entries_; }
    bool empty() const { return entries_.empty(); }
    const std::string& text() const { return text_; }  ///< As configured.

private:
    std::vector<entry> entries_;
    std::string text_;
};

}  // namespace pgtorii::config
