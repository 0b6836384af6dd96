#include "ha/delay_command.hpp"

#include "ha/error.hpp"
#include "ha/number_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace pgtorii::ha {
namespace {

constexpr std::string_view blanks = " \t\r";

bool is_plain(char c)
{
    constexpr std::string_view others = "._:/-";
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           others.find(c) != std::string_view::npos;
}

/// Host names that the shell would read as anything but a word are quoted.
std::string shell_word(const std::string& text)
{
    if (std::ranges::all_of(text, is_plain)) return text;
    std::string quoted = "'";
    for (const char c : text) {
        if (c == '\'')
            quoted += "'\\''";
        else
            quoted += c;
    }
    return quoted + "'";
}

std::optional<std::chrono::microseconds> delay_from(std::string_view milliseconds)
{
    constexpr double limit = 1e12;  // of milliseconds, about 30 years
    const auto value = fraction_from(milliseconds);
    if (!value) return std::nullopt;
    if (*value == -1) return node_view::delay_of_lost;
    if (!(*value >= 0 && *value <= limit)) return std::nullopt;
    const std::chrono::duration<double, std::milli> delay(*value);
    return std::chrono::duration_cast<std::chrono::microseconds>(delay);
}

}  // namespace

std::string delay_command_line(std::string_view command, const cluster_view& view,
                               std::vector<int>& nodes)
{
    std::string line(command);
    for (const auto& node : view.nodes) {
        if (node.status == node_status::unused || node.id == view.primary) continue;
        nodes.push_back(node.id);
        line += ' ';
        line += shell_word(fmt::format("{}:{}", node.hostname, node.port));
    }
    return line;
}

result<std::vector<std::chrono::microseconds>> read_delays(std::string_view output,
                                                           std::size_t count)
{
    const auto line = output.substr(0, output.find('\n'));
    if (line.size() + 1 < output.size()) return errc::delays_malformed;  // more than one line
    std::vector<std::chrono::microseconds> delays;
    for (std::size_t at = line.find_first_not_of(blanks); at < line.size();
         at = line.find_first_not_of(blanks, at)) {
        const auto end = std::min(line.find_first_of(blanks, at), line.size());
        const auto delay = delay_from(line.substr(at, end - at));
        if (!delay || delays.size() == count) return errc::delays_malformed;
        delays.push_back(*delay);
        at = end;
    }
    if (delays.size() != count) return errc::delays_malformed;
    return delays;
}

}  // namespace pgtorii::ha
