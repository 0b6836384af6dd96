#include "admin/route_verb.hpp"

#include "admin/route_catalog.hpp"
#include "admin/route_input.hpp"
#include "admin/route_judge.hpp"
#include "admin/route_options.hpp"
#include "admin/route_report.hpp"
#include "config/load.hpp"
#include "config/unserved.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

namespace pgtorii::admin {

namespace {

using namespace route;

constexpr int exit_found = 1;
constexpr int exit_unusable = 2;

core::settings_ptr load(const std::string& path)
{
    // At a start a missing file is Pgpool-II's warning; here it would judge by the defaults.
    if (!std::filesystem::exists(path))
        throw unusable{fmt::format("there is no file \"{}\"", path)};
    auto outcome = config::load_file(path);
    auto unserved = config::find_unserved(outcome.values, path);
    std::ranges::move(unserved, std::back_inserter(outcome.diagnostics));
    std::string errors;
    for (const auto& each : outcome.diagnostics) {
        if (each.level != config::severity::error) continue;
        if (!errors.empty()) errors += '\n';
        errors += config::to_text(each);
    }
    if (!errors.empty()) throw unusable{errors};
    if (std::ranges::none_of(outcome.values.backends, &config::backend::configured))
        throw unusable{fmt::format("{}: no server is configured (backend_hostname0 ...)", path)};
    return std::make_shared<const config::settings>(std::move(outcome.values));
}

catalog_model catalog_of(const options& asked)
{
    catalog_model catalog{asked.assumed};
    if (asked.schema.empty()) return catalog;
    std::ifstream schema{asked.schema};
    if (!schema)
        throw unusable{
            fmt::format("could not open \"{}\": {}", asked.schema, std::strerror(errno))};
    if (catalog.add_schema(schema) == 0)
        throw unusable{fmt::format("\"{}\" defines nothing", asked.schema)};
    return catalog;
}

/// One run: the judges of one or two configurations, fed from all inputs.
class run {
public:
    run(const options& asked, std::istream& standard_input, std::ostream& out,
        std::ostream& terminal)
        : asked_(asked),
          standard_input_(standard_input),
          out_(out),
          terminal_(terminal),
          catalog_(catalog_of(asked))
    {
        const auto settings = load(asked.config);
        auto text_bytes_max = settings->analyze_bytes_max;
        here_.emplace(settings, catalog_);
        if (!asked.against.empty()) {
            const auto other = load(asked.against);
            text_bytes_max = std::max(text_bytes_max, other->analyze_bytes_max);
            there_.emplace(other, catalog_);
        }
        bounds_.text_bytes_max = static_cast<std::size_t>(text_bytes_max);
        frame_.configuration = asked.config;
        frame_.other_configuration = asked.against;
        frame_.is_json = asked.is_json;
    }

    int execute()
    {
        for (const auto& each : asked_.inputs) read(each);
        frame_.session_count = here_->session_count();
        report_.print(frame_, out_);
        warn();
        out_.flush();
        if (!out_) throw unusable{"could not write the report"};
        const auto& input = frame_.input;
        if (input.is_broken_off || input.is_given_up ||
            (report_.statement_count() == 0 && input.unreadable > 0))
            return exit_unusable;
        const bool has_failed = std::ranges::any_of(
            asked_.fails_on, [&](auto why) { return report_.count_of(why) > 0; });
        return has_failed || report_.difference_count() > 0 ? exit_found : 0;
    }

private:
    void read(const std::string& path)
    {
        std::ifstream file;
        if (path != "-") {
            file.open(path, std::ios::binary);
            if (!file)
                throw unusable{
                    fmt::format("could not open \"{}\": {}", path, std::strerror(errno))};
        }
        const std::string name = path == "-" ? "line" : path;
        const bool was_readable = frame_.input.unreadable == 0;
        const auto taken = read_input(
            path == "-" ? standard_input_ : file, asked_.format, bounds_,
            [&](const event& each) { take(each, name); }, frame_.input);
        if (taken != input_format::sql) has_log_ = true;
        if (was_readable)
            first_unreadable_ = fmt::format("{}:{}", name, frame_.input.first_unreadable);
    }

    void take(event what, const std::string& name)
    {
        if (what.user.empty()) what.user = asked_.user;
        if (what.database.empty()) what.database = asked_.database;
        if (what.application.empty()) what.application = asked_.application;
        const auto here = here_->take(what);
        const auto there = there_ ? there_->take(what) : std::nullopt;
        if (!here) return;
        const judged_statement judged{.where = fmt::format("{}:{}", name, what.line),
                                      .sql = what.sql,
                                      .here = *here,
                                      .there = there};
        if (asked_.is_verbose) print_statement(judged, frame_, out_);
        report_.add(judged);
    }

    /// What the counts alone would hide.
    void warn() const
    {
        const auto& input = frame_.input;
        const auto say = [this](std::string_view what) {
            terminal_ << "WARNING:  " << what << '\n';
        };
        if (input.unreadable > 0) {
            say(fmt::format("{} lines or records could not be read; the first: {}",
                            input.unreadable, first_unreadable_));
        }
        if (input.is_given_up) say("a quote has no end: what follows it was not read");
        if (input.is_broken_off) say("an input could not be read to its end");
        if (input.backslash_lines > 0)
            say(fmt::format("{} backslash commands of psql were skipped", input.backslash_lines));
        if (here_->forgotten_sessions() > 0) {
            say(fmt::format("more than {} sessions were open at once: {} that were silent longest "
                            "count as ended",
                            judge::open_sessions_max, here_->forgotten_sessions()));
        }
        if (report_.statement_count() == 0 && has_log_) {
            say("no statement was found: is log_statement or log_min_duration_statement on, and "
                "lc_messages English?");
        }
        const auto unknown = report_.count_of(routing::reason::catalog_unknown);
        if (unknown > 0) {
            say(fmt::format("{} statements depend on what the catalog says of their names; "
                            "--schema and --assume-functions tell",
                            unknown));
        }
    }

    const options& asked_;
    std::istream& standard_input_;
    std::ostream& out_;
    std::ostream& terminal_;
    catalog_model catalog_;
    std::optional<judge> here_;
    std::optional<judge> there_;
    limits bounds_;
    report_frame frame_;
    report report_;
    bool has_log_ = false;
    std::string first_unreadable_;
};

}  // namespace

int run_route(std::span<const std::string> arguments, std::istream& standard_input,
              std::ostream& out, std::ostream& terminal)
{
    try {
        const auto asked = parse_options(arguments);
        if (asked.wants_help) {
            out << options_help;
            return 0;
        }
        return run(asked, standard_input, out, terminal).execute();
    } catch (const unusable& wrong) {
        terminal << "pgtorii route: " << wrong.what() << '\n';
        return exit_unusable;
    }
}

}  // namespace pgtorii::admin
