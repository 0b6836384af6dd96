#pragma once

#include "config/auth_lines.hpp"
#include "config/problem.hpp"

#include <boost/system/result.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace re2 {
class RE2;
}

namespace pgtorii::config {

/// A regular expression of pool_hba.conf or pool_ident.conf: found anywhere in a name, upper and
/// lower case differ. Copies share it; safe to use from all threads; matching takes time linear in
/// the name. Source: PostgreSQL, auth-pg-hba-conf.
class name_expression {
public:
    static constexpr std::size_t bytes_max = 1'000;

    /// `text` is without the slash. PostgreSQL's escapes that mean something else to RE2, and what
    /// RE2 lacks (\1, look-ahead), are refused.
    [[nodiscard]] static boost::system::result<name_expression, problem>
    parse(std::string_view text);

    bool matches(std::string_view name) const;
    /// What the first parentheses have caught (empty when they took no part); nothing when `name`
    /// does not match. Only for has_group.
    std::optional<std::string> first_group(std::string_view name) const;
    bool has_group() const;

private:
    std::shared_ptr<const re2::RE2> compiled_;
};

/// Whether the user that logs in is in a role. Nothing: nobody knows.
using membership = std::function<std::optional<bool>(std::string_view role)>;

/// A name of a database or user in a record.
struct auth_name {
    enum class kind : std::uint8_t {
        exact,
        all,
        same_user,    ///< Databases only: the user's name.
        same_role,    ///< Databases only: a role of this name that the user is in.
        replication,  ///< Databases only: physical replication, which nothing else stands for.
        member,       ///< Users only: who is in the role `text`.
        expression,
    };
    kind what = kind::exact;
    std::string text;  ///< Of exact and member.
    std::optional<name_expression> expression{};
};

[[nodiscard]] boost::system::result<auth_name, problem> database_name_of(const auth_token& token);
[[nodiscard]] boost::system::result<auth_name, problem> user_name_of(const auth_token& token);

/// Whether a name of the user list stands for this user.
bool is_user(const auth_name& name, std::string_view user, const membership& is_in_role);

}  // namespace pgtorii::config
