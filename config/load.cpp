#include "config/load.hpp"

#include "config/cross_checks.hpp"
#include "config/file_reader.hpp"
#include "config/names.hpp"
#include "config/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace pgtorii::config {
namespace {

constexpr std::size_t diagnostics_max = 100;

std::string_view name_of(severity level)
{
    switch (level) {
    case severity::notice: return "notice";
    case severity::warning: return "warning";
    case severity::error: return "error";
    }
    return "";
}

bool is_known(std::string_view name)
{
    return name == "include" || find_named(name).row != nullptr || is_former_name(name);
}

/// Makes settings out of the entries of a file.
class entry_applier {
public:
    explicit entry_applier(std::vector<diagnostic> found)
    {
        outcome_.diagnostics = std::move(found);
    }

    load_outcome apply(const std::string& file, const std::vector<file_entry>& entries)
    {
        for (const auto& entry : entries) {
            if (outcome_.diagnostics.size() >= diagnostics_max) {
                report(severity::error, entry, {"too many remarks: the rest is not read", {}});
                return std::move(outcome_);
            }
            apply(entry);
        }
        finish_backends();
        finish(outcome_.values.watchdog_nodes, &watchdog_node::wd_port);
        finish(outcome_.values.heartbeats, &heartbeat::heartbeat_port);
        note_ineffective();
        for (const auto& found : cross_check(outcome_.values)) {
            const auto blamed = places_.find(found.parameter);
            const file_entry whole_file{{}, {}, file, 0};
            report(found.level, blamed == places_.end() ? whole_file : *blamed->second, found.what);
        }
        return std::move(outcome_);
    }

private:
    void apply(const file_entry& entry)
    {
        const auto found = find_named(entry.name);
        if (found.row == nullptr)
            return report(severity::warning, entry,
                          {fmt::format("unknown parameter {}", in_quotes(entry.name)),
                           advice_on_unknown(entry.name)});
        if (!found.failure.message.empty()) return report(severity::error, entry, found.failure);
        const auto& row = *found.row;
        if (!row.alias_of.empty()) {
            report(severity::warning, entry,
                   {fmt::format("\"{}\" is an old name of \"{}\"", row.name, row.alias_of),
                    fmt::format("Write {}.", row.alias_of)});
            if (entry.value.empty()) return;  // as Pgpool-II takes an empty logdir
        }
        const auto name = indexed_name(row, found.index);
        if (auto failure = assign(outcome_.values, row, found.index, name, entry.value))
            return report(severity::error, entry, *failure);
        places_[name] = &entry;
        if (row.name == "backend_clustering_mode" && lower_case(entry.value) == "slony")
            report(severity::warning, entry,
                   {"slony is taken as logical_replication", "Write logical_replication."});
    }

    void finish_backends()
    {
        auto& values = outcome_.values;
        for (std::size_t i = 0; i < values.backends.size(); ++i) {
            if (values.backends[i].backend_port != 0 || values.backends[i].backend_hostname.empty())
                continue;
            report(severity::warning, *places_.at(fmt::format("backend_hostname{}", i)),
                   {fmt::format("backend {} does not exist: it has no port", i),
                    fmt::format("Set backend_port{} too.", i)});
        }
        finish(values.backends, &backend::backend_port);
        for (auto& node : values.backends) {
            if (node.configured && node.backend_hostname.empty())
                node.backend_hostname = socket_directory;
        }
        // What the file does not say for a node, the parameter without index says.
        for_each_parameter([&](const section&, const parameter& row) {
            const auto* base = row.slots == slots::backends ? find_plain(row.name) : nullptr;
            if (base == nullptr) return;
            for (std::size_t i = 0; i < values.backends.size(); ++i) {
                if (!places_.contains(indexed_name(row, i)))
                    row.set(values, i, row, base->get(values, 0));
            }
        });
    }

    /// Marks the slots that exist, and drops those behind the last of them that tell nothing.
    template <class Slot>
    static void finish(std::vector<Slot>& slots, int Slot::* port)
    {
        for (auto& slot : slots) slot.configured = slot.*port != 0;
        while (!slots.empty() && !slots.back().configured) slots.pop_back();
    }

    /// Says once, for each parameter that has no effect here, what takes its place; not where its
    /// value is the default.
    void note_ineffective()
    {
        for_each_parameter([this](const section&, const parameter& row) {
            const auto place = places_.find(std::string(row.name));
            if (row.instead.empty() || place == places_.end() ||
                to_text(row, row.get(outcome_.values, 0)) == row.default_text)
                return;
            report(severity::notice, *place->second,
                   {fmt::format("\"{}\" has no effect: {}", row.name, row.instead), {}});
        });
    }

    void report(severity level, const file_entry& entry, const problem& what)
    {
        outcome_.diagnostics.push_back({level, entry.file, entry.line, what.message, what.hint});
    }

    load_outcome outcome_;
    std::unordered_map<std::string, const file_entry*> places_;  // by name with index: last setting
};

load_outcome finish_load(const std::string& file, file_reader& reader)
{
    return entry_applier(std::move(reader.diagnostics())).apply(file, reader.entries());
}

}  // namespace

std::string to_text(const diagnostic& remark)
{
    auto text = printable(remark.file) + ": ";
    if (remark.line > 0) text.insert(text.size() - 1, fmt::format("{}:", remark.line));
    text += fmt::format("{}: {}", name_of(remark.level), remark.message);
    if (!remark.hint.empty()) text += fmt::format("; hint: {}", remark.hint);
    return text;
}

bool load_outcome::has_errors() const
{
    return std::any_of(diagnostics.begin(), diagnostics.end(),
                       [](const diagnostic& each) { return each.level == severity::error; });
}

load_outcome load_file(const std::string& path)
{
    file_reader reader(&is_known);
    reader.read_main(path);
    return finish_load(path, reader);
}

load_outcome load_text(const std::string& name, std::string_view text)
{
    file_reader reader(&is_known);
    reader.read_text(name, text);
    return finish_load(name, reader);
}

check_report report_of(const load_outcome& outcome, const std::string& path)
{
    check_report report;
    for (const auto& remark : outcome.diagnostics) report.text += to_text(remark) + '\n';
    const auto count = [&](severity level) {
        return std::count_if(outcome.diagnostics.begin(), outcome.diagnostics.end(),
                             [&](const diagnostic& each) { return each.level == level; });
    };
    report.text +=
        fmt::format("{}: {} errors, {} warnings, {} notices\n", path, count(severity::error),
                    count(severity::warning), count(severity::notice));
    report.exit_status = outcome.has_errors() ? 1 : 0;
    return report;
}

}  // namespace pgtorii::config
