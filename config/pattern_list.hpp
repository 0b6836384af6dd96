#pragma once

#include "config/problem.hpp"

#include <boost/system/result.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace pgtorii::config {

/// How a list of patterns is cut into items.
enum class pattern_syntax {
    names,    // items end at a comma and are trimmed: functions, tables
    queries,  // items end at an unescaped semicolon, not trimmed; \' stands for a quote
};

/// A list of POSIX extended regular expressions, compiled. An item matches the whole subject,
/// whatever the case:
/// "^" and "$" are added unless it has them; "a|b" then means "a..." or "...b", as in Pgpool-II.
/// "." matches a newline. Matching takes time linear in the subject. Immutable: safe to use from
/// all threads.
class pattern_list {
public:
    pattern_list();  ///< An empty list: matches nothing.
    ~pattern_list();
    pattern_list(pattern_list&&) noexcept;
    pattern_list& operator=(pattern_list&&) noexcept;

    /// The list that `text` describes, or what is wrong with one of its items.
    [[nodiscard]] static boost::system::result<pattern_list, problem> parse(std::string_view text,
                                                                            pattern_syntax syntax);

    bool matches(std::string_view subject) const;
    bool empty() const;
    std::size_t size() const;
    const std::string& text() const;  ///< As configured.

private:
    struct compiled;
    std::unique_ptr<compiled> compiled_;
};

}  // namespace pgtorii::config
