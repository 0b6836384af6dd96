#include "admin/route_report.hpp"

#include "routing/literal_key.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <iterator>

namespace pgtorii::admin::route {

namespace {

constexpr std::size_t line_bytes_max = 200;

/// "balanced (node 1 50 %, node 2 50 %)".
std::string destination_text(const verdict& what)
{
    const auto name = routing::name_of(what.why.target);
    return what.nodes->empty() ? std::string{name}
                               : fmt::format("{} ({})", name, text_of(*what.nodes));
}

std::string verdict_text(const verdict& what)
{
    return fmt::format("{}, {}: {}", destination_text(what), routing::name_of(what.why.reason),
                       routing::text_of(what.why.reason));
}

std::string verdict_json(const verdict& what)
{
    std::string nodes;
    for (const auto& each : *what.nodes) {
        nodes += fmt::format("{}{{\"node\":{},\"percent\":{}}}", nodes.empty() ? "" : ",",
                             each.node, each.percent);
    }
    return fmt::format("\"destination\":{},\"nodes\":[{}],\"reason\":{},\"meaning\":{}",
                       json_quoted(routing::name_of(what.why.target)), nodes,
                       json_quoted(routing::name_of(what.why.reason)),
                       json_quoted(routing::text_of(what.why.reason)));
}

/// "1 statement", "2 statements".
std::string counted(std::uint64_t count, std::string_view what)
{
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

/// What is one text in the list of differences: its literals don't count.
std::string text_key(const judged_statement& each)
{
    std::string key;
    if (!routing::make_literal_key(each.sql, key))
        key = each.sql.substr(0, report::sample_bytes_max);
    return fmt::format("{}\n{}\n{}", verdict_text(each.here), verdict_text(*each.there), key);
}

}  // namespace

std::string one_line(std::string_view sql, std::size_t bytes_max)
{
    std::string line;
    for (const char c : sql) {
        const auto byte = static_cast<unsigned char>(c);
        const bool is_blank = byte <= ' ' || byte == 0x7F;
        if (is_blank && (line.empty() || line.back() == ' ')) continue;
        if (line.size() >= bytes_max) {
            // Not in the middle of a character.
            while (!line.empty() && (static_cast<unsigned char>(line.back()) & 0xC0) == 0x80)
                line.pop_back();
            if (!line.empty() && static_cast<unsigned char>(line.back()) >= 0xC0) line.pop_back();
            return line + " ...";
        }
        line += is_blank ? ' ' : c;
    }
    if (line.ends_with(' ')) line.pop_back();
    return line;
}

std::string json_quoted(std::string_view text)
{
    const bool is_utf8 = simdjson::validate_utf8(text.data(), text.size());
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += {'\\', c};
        } else if (byte < 0x20) {
            out += fmt::format("\\u{:04x}", byte);
        } else if (byte >= 0x80 && !is_utf8) {
            out += "\\ufffd";
        } else {
            out += c;
        }
    }
    return out + '"';
}

void print_statement(const judged_statement& each, const report_frame& frame, std::ostream& out)
{
    const bool differs = each.there && each.here.goes_elsewhere(*each.there);
    if (frame.is_json) {
        out << fmt::format("{{\"where\":{},\"sql\":{},{}", json_quoted(each.where),
                           json_quoted(each.sql), verdict_json(each.here));
        if (each.there) {
            out << fmt::format(",\"goes_elsewhere\":{},\"against\":{{{}}}", differs,
                               verdict_json(*each.there));
        }
        out << "}\n";
        return;
    }
    out << fmt::format("{}: {}\n    {}\n", each.where, verdict_text(each.here),
                       one_line(each.sql, line_bytes_max));
    if (differs)
        out << fmt::format("    {}: {}\n", frame.other_configuration, verdict_text(*each.there));
}

void report::add(const judged_statement& each)
{
    ++statement_count_;
    ++counts_[{each.here.why.target, each.here.nodes, each.here.why.reason}];
    if (each.there && each.here.goes_elsewhere(*each.there)) add_difference(each);
}

void report::add_difference(const judged_statement& each)
{
    ++difference_count_;
    auto key = text_key(each);
    auto found = by_text_.find(key);
    if (found == by_text_.end()) {
        if (differences_.size() >= difference_texts_max) {
            ++untold_differences_;
            return;
        }
        found = by_text_.emplace(std::move(key), differences_.size()).first;
        differences_.push_back({.where = each.where,
                                .sample = one_line(each.sql, sample_bytes_max),
                                .here = each.here,
                                .there = *each.there});
    }
    ++differences_[found->second].count;
}

std::uint64_t report::count_of(routing::reason why) const
{
    std::uint64_t sum = 0;
    for (const auto& [key, count] : counts_) sum += std::get<2>(key) == why ? count : 0;
    return sum;
}

std::map<report::row_key, report::row> report::rows() const
{
    std::map<row_key, row> found;
    for (const auto& [key, count] : counts_) {
        const auto& [target, nodes, why] = key;
        const verdict example{.why = {target, why}, .nodes = nodes};
        auto& each = found[{target, text_of(*nodes), why}];
        each.count += count;
        each.example = example;
    }
    return found;
}

void report::print(const report_frame& frame, std::ostream& out) const
{
    if (frame.is_json) {
        print_json(frame, out);
    } else {
        print_text(frame, out);
    }
}

void report::print_text(const report_frame& frame, std::ostream& out) const
{
    out << fmt::format("{} of {} under {}\n", counted(statement_count_, "statement"),
                       counted(frame.session_count, "session"), frame.configuration);
    const auto found = rows();
    std::size_t destination_width = std::string_view{"destination"}.size();
    std::size_t reason_width = std::string_view{"reason"}.size();
    for (const auto& [key, each] : found) {
        destination_width = std::max(destination_width, destination_text(each.example).size());
        reason_width = std::max(reason_width, routing::name_of(each.example.why.reason).size());
    }
    if (!found.empty()) {
        out << fmt::format("\n{:<{}}  {:<{}}  statements    share\n", "destination",
                           destination_width, "reason", reason_width);
    }
    for (const auto& [key, each] : found) {
        const auto why = each.example.why.reason;
        const double share =
            100.0 * static_cast<double>(each.count) / static_cast<double>(statement_count_);
        out << fmt::format("{:<{}}  {:<{}}  {:>10}  {:>5.1f} %  {}\n",
                           destination_text(each.example), destination_width, routing::name_of(why),
                           reason_width, each.count, share, routing::text_of(why));
    }
    if (!frame.other_configuration.empty()) print_differences(frame, out);
}

void report::print_differences(const report_frame& frame, std::ostream& out) const
{
    out << fmt::format("\n{} would go elsewhere under {}\n",
                       counted(difference_count_, "statement"), frame.other_configuration);
    for (const auto& each : differences_) {
        out << fmt::format("\n{}: {} of this text\n    {}\n    {}: {}\n    {}: {}\n", each.where,
                           counted(each.count, "statement"), one_line(each.sample, line_bytes_max),
                           frame.configuration, verdict_text(each.here), frame.other_configuration,
                           verdict_text(each.there));
    }
    if (untold_differences_ > 0)
        out << fmt::format("\nand {} of other texts\n", counted(untold_differences_, "statement"));
}

void report::print_json(const report_frame& frame, std::ostream& out) const
{
    const auto& input = frame.input;
    out << fmt::format("{{\"configuration\":{},\"statements\":{},\"sessions\":{},"
                       "\"unreadable\":{},\"other_records\":{},\"backslash_lines\":{},"
                       "\"copy_lines\":{},\"counts\":[",
                       json_quoted(frame.configuration), statement_count_, frame.session_count,
                       input.unreadable, input.other_records, input.backslash_lines,
                       input.copy_lines);
    const char* comma = "";
    for (const auto& [key, each] : rows()) {
        out << fmt::format("{}{{{},\"statements\":{}}}", comma, verdict_json(each.example),
                           each.count);
        comma = ",";
    }
    out << ']';
    if (!frame.other_configuration.empty()) {
        out << fmt::format(",\"against\":{{\"configuration\":{},\"statements\":{},"
                           "\"statements_of_other_texts\":{},\"texts\":[",
                           json_quoted(frame.other_configuration), difference_count_,
                           untold_differences_);
        comma = "";
        for (const auto& each : differences_) {
            out << fmt::format("{}{{\"where\":{},\"sql\":{},\"statements\":{},\"here\":{{{}}},"
                               "\"there\":{{{}}}}}",
                               comma, json_quoted(each.where), json_quoted(each.sample), each.count,
                               verdict_json(each.here), verdict_json(each.there));
            comma = ",";
        }
        out << "]}";
    }
    out << "}\n";
}

}  // namespace pgtorii::admin::route
