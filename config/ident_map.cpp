#include "config/ident_map.hpp"

#include "config/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgtorii::config {
namespace {

constexpr std::size_t expressions_max = 1'000;
constexpr std::string_view group_mark = "\\1";

using boost::system::result;

result<ident_maps::entry, problem> entry_of(const auth_line& line)
{
    const bool is_complete = line.fields.size() == 3;
    if (!is_complete ||
        std::ranges::any_of(line.fields, [](const auth_field& field) { return field.size() != 1; }))
        return problem{"the line does not have three words",
                       "A line is: map, name in the certificate, user."};
    const auto& name = line.fields[1][0];
    const auto& user = line.fields[2][0];
    ident_maps::entry made;
    made.map = line.fields[0][0].text;
    if (name.text.starts_with('/')) {
        auto expression = name_expression::parse(std::string_view{name.text}.substr(1));
        if (!expression) return expression.error();
        made.expression = std::move(*expression);
    } else {
        made.name = name.text;
    }
    auto user_name = user_name_of(user);
    if (!user_name) return user_name.error();
    made.user = std::move(*user_name);
    made.takes_group = made.expression && made.user.what == auth_name::kind::exact &&
                       made.user.text.find(group_mark) != std::string::npos;
    if (made.takes_group && !made.expression->has_group())
        return problem{fmt::format("{} has a \\1, and {} no parentheses", in_quotes(user.text),
                                   in_quotes(name.text)),
                       {}};
    return made;
}

ident_maps_outcome read_entries(auth_lines& lines)
{
    std::vector<ident_maps::entry> entries;
    std::size_t expression_count = 0;
    for (const auto& line : lines.lines()) {
        if (lines.is_stopped()) break;
        auto made = entry_of(line);
        if (!made) {
            lines.report(severity::error, line.file, line.line, made.error().message,
                         made.error().hint);
            continue;
        }
        expression_count += made->expression ? 1U : 0U;
        expression_count += made->user.expression ? 1U : 0U;
        if (expression_count > expressions_max) {
            lines.report(severity::error, line.file, line.line,
                         fmt::format("more than {} regular expressions", expressions_max));
            break;
        }
        entries.push_back(std::move(*made));
    }
    ident_maps_outcome made;
    made.diagnostics = std::move(lines.diagnostics());
    if (!made.has_errors()) made.maps = ident_maps{std::move(entries)};
    return made;
}

bool is_allowed_by(const ident_maps::entry& entry, std::string_view name, std::string_view user,
                   const membership& is_in_role)
{
    if (!entry.expression) return name == entry.name && is_user(entry.user, user, is_in_role);
    if (!entry.takes_group)
        return entry.expression->matches(name) && is_user(entry.user, user, is_in_role);
    const auto caught = entry.expression->first_group(name);
    if (!caught) return false;
    auto wanted = entry.user.text;
    wanted.replace(wanted.find(group_mark), group_mark.size(), *caught);
    return user == wanted;
}

}  // namespace

bool ident_maps::allows(std::string_view map, std::string_view name, std::string_view user,
                        const membership& is_in_role) const
{
    if (name.empty()) return false;  // a certificate may have no common name
    if (map.empty()) return name == user;
    return std::ranges::any_of(entries_, [&](const entry& each) {
        return each.map == map && is_allowed_by(each, name, user, is_in_role);
    });
}

bool ident_maps::has(std::string_view map) const
{
    return std::ranges::any_of(entries_, [&](const entry& each) { return each.map == map; });
}

bool ident_maps_outcome::has_errors() const
{
    return std::ranges::any_of(
        diagnostics, [](const diagnostic& each) { return each.level == severity::error; });
}

ident_maps_outcome load_ident_maps(const std::string& path, file_source source)
{
    auth_lines lines{std::move(source)};
    lines.read_main(path);
    return read_entries(lines);
}

ident_maps_outcome load_ident_maps_text(const std::string& name, std::string_view text,
                                        file_source source)
{
    auth_lines lines{std::move(source)};
    lines.read_text(name, text);
    return read_entries(lines);
}

}  // namespace pgtorii::config
