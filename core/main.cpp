// The program: command line, configuration, and the one place where admin is wired into core.

#include "admin/passwd_verb.hpp"
#include "admin/route_verb.hpp"
#include "admin/show_commands.hpp"
#include "admin/verbs.hpp"
#include "config/load.hpp"
#include "config/reload.hpp"
#include "config/sample.hpp"
#include "config/unserved.hpp"
#include "core/command_line.hpp"
#include "core/daemon.hpp"
#include "core/gate.hpp"
#include "core/runtime/log.hpp"
#include "core/runtime/pid_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <optional>
#include <span>

namespace {

namespace config = pgtorii::config;
namespace core = pgtorii::core;
namespace runtime = pgtorii::runtime;
using config::message_level;

constexpr int exit_fatal = 3;  // Pgpool-II's, for everything that is wrong at start

void say(message_level level, std::string_view message, std::string_view hint = {})
{
    runtime::log::write(level, {}, {.message = message, .hint = hint});
}

/// A notice (a parameter has no effect here, and why) is for the log of a start: it would be
/// tiresome at each reload and stop.
void say(const config::diagnostic& what, message_level level_of_errors,
         message_level level_of_notices)
{
    const auto level = what.level == config::severity::error     ? level_of_errors
                       : what.level == config::severity::warning ? message_level::warning
                                                                 : level_of_notices;
    say(level, to_text(what));
}

config::load_outcome read_config(const core::command_line& call)
{
    auto outcome = config::load_file(call.config_file);
    auto unserved = config::find_unserved(outcome.values, call.config_file);
    if (!outcome.has_errors()) std::ranges::move(unserved, std::back_inserter(outcome.diagnostics));
    return outcome;
}

/// The settings of the file. Null: it can't be used, and every reason has been told.
std::shared_ptr<config::settings> load(const core::command_line& call,
                                       message_level level_of_errors = message_level::fatal,
                                       message_level level_of_notices = message_level::notice)
{
    auto outcome = read_config(call);
    for (const auto& each : outcome.diagnostics) say(each, level_of_errors, level_of_notices);
    if (outcome.has_errors()) return nullptr;
    auto values = std::make_shared<config::settings>(std::move(outcome.values));
    if (call.is_debug && values->log_min_messages > message_level::debug1) {
        values->log_min_messages = message_level::debug1;
    }
    return values;
}

/// What of the changed file takes effect now; with an error in it nothing does.
core::settings_ptr load_again(const core::command_line& call, const config::settings& running)
{
    const auto fresh = load(call, message_level::warning);
    if (!fresh) {
        say(message_level::warning,
            "the configuration was not reloaded: the running values stay in effect");
        return nullptr;
    }
    auto outcome = config::reload(running, *fresh);
    for (const auto& name : outcome.kept) {
        say(message_level::log,
            fmt::format("parameter \"{}\" cannot be changed without restarting the server", name));
    }
    for (const auto& name : outcome.changed)
        say(message_level::log, fmt::format("parameter \"{}\" changed", name));
    return std::make_shared<const config::settings>(std::move(outcome.values));
}

int serve(const core::command_line& call)
{
    std::optional<core::detachment> detached;
    if (!call.stays_in_foreground) detached = core::detachment::begin();
    const auto values = load(call, message_level::fatal, message_level::log);
    if (!values) return exit_fatal;
    runtime::log::configure(*values);
    const auto pid_path = runtime::pid_file_path(values->pid_file_name, call.config_file);
    const auto pid_file = runtime::pid_file::create(pid_path);
    if (pid_file.replaced()) {
        say(message_level::notice,
            "pid file found but it seems bogus. Trying to start pgpool anyway...");
    }
    core::node_counters counters;
    core::pin_board pins;
    const pgtorii::admin::show_commands commands{counters, pins};
    core::gate gate{values, counters, pins, commands,
                    [&call](const config::settings& running) { return load_again(call, running); }};
    gate.run([&] {
        say(message_level::log,
            fmt::format("pgpool-II successfully started. version {} (pgtorii {})",
                        core::pgpool_version, core::pgtorii_version));
        if (detached) detached->ready(values->logging_collector);
    });
    return 0;
}

int run(const core::command_line& call, const std::string& program)
{
    switch (call.what) {
    case core::verb::start: return serve(call);
    case core::verb::help: std::cerr << core::usage_text(program); return 0;
    case core::verb::version: std::cerr << core::version_text(); return 0;
    case core::verb::print_sample_config: std::cout << config::sample_config(); return 0;
    case core::verb::route:
        return pgtorii::admin::run_route(call.verb_arguments, std::cin, std::cout, std::cerr);
    case core::verb::passwd:
        return pgtorii::admin::run_passwd(call.verb_arguments, core::read_surroundings(),
                                          pgtorii::admin::ask_on_terminal, std::cout, std::cerr);
    case core::verb::check_config: {
        auto outcome = read_config(call);
        // At a start a missing file is Pgpool-II's warning; who asks for a check wants that file.
        if (!std::filesystem::exists(call.config_file)) {
            outcome.diagnostics.push_back({config::severity::error, call.config_file, 0,
                                           "there is no such file", "Name it with -f."});
        }
        const auto report = config::report_of(outcome, call.config_file);
        std::cout << report.text;
        return report.exit_status;
    }
    case core::verb::stop:
    case core::verb::reload: {
        const auto values = load(call);
        if (!values) return exit_fatal;
        const auto pid_path = runtime::pid_file_path(values->pid_file_name, call.config_file);
        if (call.what == core::verb::reload)
            return pgtorii::admin::reload_running(pid_path, std::cerr);
        return pgtorii::admin::stop_running(pid_path, call.mode, std::cerr);
    }
    }
    return exit_fatal;
}

}  // namespace

int main(int count, char** arguments)
{
    try {
        const std::span<const char* const> given{arguments, static_cast<std::size_t>(count)};
        return run(core::parse_command_line(given, core::read_surroundings()), arguments[0]);
    } catch (const core::bad_usage& wrong) {
        std::cerr << wrong.what() << '\n' << core::usage_text(arguments[0]);
        return 1;
    } catch (const runtime::pid_file_failure& wrong) {
        std::cerr << wrong.what() << '\n';
        if (!wrong.hint.empty()) std::cerr << "HINT:  " << wrong.hint << '\n';
        return wrong.exit_code;
    } catch (const core::listen_failure& wrong) {
        say(message_level::fatal, wrong.what(), wrong.hint);
        return exit_fatal;
    } catch (const std::exception& wrong) {
        say(message_level::fatal, wrong.what());
        return exit_fatal;
    }
}
