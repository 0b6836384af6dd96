#include "config/auth_name.hpp"

#include "config/text.hpp"

#include <fmt/format.h>
#include <re2/re2.h>

namespace pgtorii::config {
namespace {

using boost::system::result;

constexpr std::int64_t expression_memory_max = 256 << 10;

RE2::Options expression_options()
{
    RE2::Options options;
    options.set_dot_nl(true);  // as PostgreSQL's without options
    options.set_log_errors(false);
    options.set_max_mem(expression_memory_max);
    return options;
}

/// What stands for something else in PostgreSQL's expressions than in RE2's; empty: nothing.
std::string find_ambiguity(std::string_view text)
{
    constexpr std::string_view escapes = "bBCQEpPzZ";
    for (std::size_t at = 0; at + 1 < text.size(); ++at) {
        const char next = text[at + 1];
        if (text[at] == '\\') {
            if (escapes.find(next) != escapes.npos) return fmt::format("\\{}", next);
            ++at;
        } else if (text[at] == '(' && next == '?' && text.substr(at, 3) != "(?:" &&
                   !(at == 0 && text.starts_with("(?i)"))) {
            return std::string(text.substr(at, 3));
        }
    }
    return {};
}

re2::StringPiece piece_of(std::string_view text)
{
    return {text.data(), text.size()};
}

result<auth_name, problem> expression_of(std::string_view text)
{
    auto compiled = name_expression::parse(text.substr(1));
    if (!compiled) return compiled.error();
    return auth_name{auth_name::kind::expression, {}, std::move(*compiled)};
}

auth_name of_kind(auth_name::kind what, std::string_view text = {})
{
    return {what, std::string(text), std::nullopt};
}

}  // namespace

result<name_expression, problem> name_expression::parse(std::string_view text)
{
    const auto refuse = [&](std::string_view why) {
        return problem{fmt::format("{} is no regular expression: {}", in_quotes(text), why),
                       "A name that begins with a slash is a regular expression."};
    };
    if (text.size() > bytes_max) return refuse(fmt::format("it is longer than {}", bytes_max));
    if (const auto ambiguity = find_ambiguity(text); !ambiguity.empty())
        return refuse(fmt::format("{} is not supported", printable(ambiguity)));
    auto compiled = std::make_shared<const RE2>(piece_of(text), expression_options());
    if (!compiled->ok()) return refuse(printable(compiled->error()));
    name_expression made;
    made.compiled_ = std::move(compiled);
    return made;
}

bool name_expression::matches(std::string_view name) const
{
    return RE2::PartialMatch(piece_of(name), *compiled_);
}

std::optional<std::string> name_expression::first_group(std::string_view name) const
{
    std::string found;
    if (!RE2::PartialMatch(piece_of(name), *compiled_, &found)) return std::nullopt;
    return found;
}

bool name_expression::has_group() const
{
    return compiled_->NumberOfCapturingGroups() > 0;
}

result<auth_name, problem> database_name_of(const auth_token& token)
{
    using kind = auth_name::kind;
    if (token.text.starts_with('/')) return expression_of(token.text);
    if (token.is_keyword("all")) return of_kind(kind::all);
    if (token.is_keyword("sameuser")) return of_kind(kind::same_user);
    if (token.is_keyword("samerole") || token.is_keyword("samegroup"))
        return of_kind(kind::same_role);
    if (token.is_keyword("replication")) return of_kind(kind::replication);
    return of_kind(kind::exact, token.text);
}

result<auth_name, problem> user_name_of(const auth_token& token)
{
    using kind = auth_name::kind;
    if (token.text.starts_with('/')) return expression_of(token.text);
    if (token.is_keyword("all")) return of_kind(kind::all);
    if (!token.is_quoted && token.text.starts_with('+')) {
        if (token.text.size() == 1)
            return problem{"a plus sign has no role behind it", "Write +role."};
        return of_kind(kind::member, std::string_view{token.text}.substr(1));
    }
    return of_kind(kind::exact, token.text);
}

bool is_user(const auth_name& name, std::string_view user, const membership& is_in_role)
{
    using kind = auth_name::kind;
    switch (name.what) {
    case kind::exact: return user == name.text;
    case kind::all: return true;
    case kind::member: return is_in_role && is_in_role(name.text).value_or(false);
    case kind::expression: return name.expression->matches(user);
    case kind::same_user:
    case kind::same_role:
    case kind::replication: break;
    }
    return false;
}

}  // namespace pgtorii::config
