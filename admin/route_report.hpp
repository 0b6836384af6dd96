#pragma once

#include "admin/route_input.hpp"
#include "admin/route_judge.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace pgtorii::admin::route {

/// One statement with what one or two configurations say of it.
struct judged_statement {
    std::string where;  ///< "file:line".
    std::string_view sql;
    verdict here;
    std::optional<verdict> there;  ///< Under the other configuration.
};

/// What the report as a whole is about.
struct report_frame {
    std::string configuration;
    std::string other_configuration;  ///< Empty: there is none.
    std::size_t session_count = 0;
    input_counts input;
    bool is_json = false;
};

/// Counts by destination and reason, and the statements that another configuration sends elsewhere:
/// these by their text without literals, of which a bounded number is kept.
class report {
public:
    void add(const judged_statement& each);

    std::uint64_t statement_count() const { return statement_count_; }
    std::uint64_t difference_count() const { return difference_count_; }
    std::uint64_t count_of(routing::reason why) const;

    void print(const report_frame& frame, std::ostream& out) const;

    static constexpr std::size_t difference_texts_max = 1'000;
    static constexpr std::size_t sample_bytes_max = 2'000;

private:
    /// Destination, nodes and reason; sorts as it is shown.
    using row_key = std::tuple<routing::target, std::string, routing::reason>;
    struct row {
        std::uint64_t count = 0;
        verdict example;
    };
    struct difference {
        std::string where;  ///< The first one.
        std::string sample;
        verdict here;
        verdict there;
        std::uint64_t count = 0;
    };

    std::map<row_key, row> rows() const;
    void add_difference(const judged_statement& each);
    void print_text(const report_frame& frame, std::ostream& out) const;
    void print_differences(const report_frame& frame, std::ostream& out) const;
    void print_json(const report_frame& frame, std::ostream& out) const;

    std::map<std::tuple<routing::target, const node_shares*, routing::reason>, std::uint64_t>
        counts_;
    std::vector<difference> differences_;  // in order of appearance
    std::unordered_map<std::string, std::size_t> by_text_;
    std::uint64_t statement_count_ = 0;
    std::uint64_t difference_count_ = 0;
    std::uint64_t untold_differences_ = 0;
};

/// A line, or with --json an object on a line, for one statement.
void print_statement(const judged_statement& each, const report_frame& frame, std::ostream& out);

/// A text on one line: runs of blanks and control characters are one blank; cut behind `bytes_max`.
std::string one_line(std::string_view sql, std::size_t bytes_max);

/// As a JSON string, quotes included. Bytes that are no UTF-8 become U+FFFD.
std::string json_quoted(std::string_view text);

}  // namespace pgtorii::admin::route
