#include "admin/route_options.hpp"

#include "admin/verb_options.hpp"

#include <fmt/format.h>

#include <string_view>

namespace pgtorii::admin::route {

namespace {

// Values of options without a short form.
enum long_option : int {
    option_against = 256,
    option_application,
    option_assume_functions,
    option_database,
    option_fail_on,
    option_format,
    option_json,
    option_schema,
    option_user,
};

constexpr const char* short_options = ":f:hv";

const ::option long_options[] = {
    {"config", required_argument, nullptr, 'f'},
    {"config-file", required_argument, nullptr, 'f'},
    {"against", required_argument, nullptr, option_against},
    {"format", required_argument, nullptr, option_format},
    {"assume-functions", required_argument, nullptr, option_assume_functions},
    {"schema", required_argument, nullptr, option_schema},
    {"fail-on", required_argument, nullptr, option_fail_on},
    {"user", required_argument, nullptr, option_user},
    {"database", required_argument, nullptr, option_database},
    {"application-name", required_argument, nullptr, option_application},
    {"json", no_argument, nullptr, option_json},
    {"verbose", no_argument, nullptr, 'v'},
    {"help", no_argument, nullptr, 'h'},
    {nullptr, 0, nullptr, 0},
};

std::vector<routing::reason> reasons_named(std::string_view list)
{
    std::vector<routing::reason> found;
    for (;;) {
        const auto name = list.substr(0, list.find(','));
        int number = 0;
        constexpr auto last = static_cast<int>(routing::reason::local_command);
        while (number <= last && routing::name_of(static_cast<routing::reason>(number)) != name)
            ++number;
        if (number > last) throw unusable{fmt::format("there is no reason \"{}\"", name)};
        found.push_back(static_cast<routing::reason>(number));
        if (name.size() == list.size()) return found;
        list.remove_prefix(name.size() + 1);
    }
}

assumption assumption_named(std::string_view name)
{
    if (name == "read") return assumption::read;
    if (name == "write") return assumption::write;
    throw unusable{fmt::format("--assume-functions is read or write, not \"{}\"", name)};
}

void apply(int found, const std::string& argument, options& asked)
{
    switch (found) {
    case 'f': asked.config = argument; break;
    case 'v': asked.is_verbose = true; break;
    case 'h': asked.wants_help = true; break;
    case option_against: asked.against = argument; break;
    case option_application: asked.application = argument; break;
    case option_assume_functions: asked.assumed = assumption_named(argument); break;
    case option_database: asked.database = argument; break;
    case option_fail_on: asked.fails_on = reasons_named(argument); break;
    case option_format:
        asked.format = format_named(argument);
        if (!asked.format) throw unusable{fmt::format("there is no format \"{}\"", argument)};
        break;
    case option_json: asked.is_json = true; break;
    case option_schema: asked.schema = argument; break;
    default: asked.user = argument; break;
    }
}

}  // namespace

const char* const options_help =
    R"(Tells where statements would go under a configuration, and why. Off line: no server is asked.

Usage:
  pgtorii route --config FILE [OPTION]... [INPUT]...

INPUT is SQL as psql reads it, or a server's log in csvlog or jsonlog format; "-", or none: standard input.

Options:
  -f, --config=FILE             pgpool.conf
      --against=FILE            tell which statements would go elsewhere under this one
      --format=FORMAT           sql, csvlog or jsonlog; else it is recognised
      --schema=FILE             what pg_dump --schema-only has written: functions, views, tables
      --assume-functions=WHAT   read or write: what functions do that neither PostgreSQL nor the schema file has
      --user, --database, --application-name
                                of the session that runs a script: for the redirect lists
      --fail-on=REASON,...      exit with 1 when one of these reasons has occurred
      --json                    the report as JSON
  -v, --verbose                 each statement too
  -h, --help                    this text

Exit code: 0; 1: statements go elsewhere (--against), or a reason of --fail-on; 2: something can't be used.
)";

options parse_options(std::span<const std::string> arguments)
{
    options asked;
    asked.inputs = read_options(
        arguments, short_options, long_options,
        [&asked](int found, const std::string& argument) { apply(found, argument, asked); },
        [](bool lacks_value, const std::string& word) {
            throw unusable{lacks_value ? fmt::format("option \"{}\" needs a value", word)
                                       : fmt::format("unknown or misused option \"{}\"", word)};
        });
    if (asked.inputs.empty()) asked.inputs.emplace_back("-");
    if (asked.config.empty() && !asked.wants_help)
        throw unusable{"name a configuration with --config"};
    return asked;
}

}  // namespace pgtorii::admin::route
