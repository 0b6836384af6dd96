#pragma once

#include "config/problem.hpp"
#include "config/settings.hpp"

#include <boost/system/result.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

/// The parameter table: each parameter is declared once, as a row of parameters_*.cpp. The parser,
/// SHOW, PGPOOL SET, reload and the sample file all work from it.
namespace pgtorii::config {

enum class kind : std::uint8_t { boolean, integer, real, text, text_list, word };

/// The native unit of an integer: what a plain number means.
enum class unit : std::uint8_t { none, milliseconds, seconds, minutes, bytes, kilobytes };

/// When a change takes effect.
enum class context : std::uint8_t {
    restart,
    reload,
    session,  // at reload, and by PGPOOL SET for one session
};

/// The vector of settings that an indexed parameter (name0, name1 ...) belongs to.
enum class slots : std::uint8_t { none, backends, watchdog_nodes, heartbeats };

/// A value without its type's details: chrono counts and enumerators are integers, lists their
/// text.
using value = std::variant<bool, std::int64_t, double, std::string>;

/// A word of an enumeration. Aliases are understood, and not listed.
struct word {
    std::string_view text;
    std::int64_t number;
    bool is_alias = false;
};

inline constexpr std::int64_t int_max = std::numeric_limits<std::int32_t>::max();
inline constexpr std::int64_t int64_max = std::numeric_limits<std::int64_t>::max();

/// A row of the table.
struct parameter {
    std::string_view name;
    std::string_view default_text;
    std::string_view meaning;
    value (*get)(const settings&, std::size_t index) = nullptr;
    std::optional<problem> (*set)(settings&, std::size_t index, const parameter&,
                                  const value&) = nullptr;

    config::kind kind = kind::text;
    config::unit unit = unit::none;
    config::context context = context::restart;
    config::slots slots = slots::none;
    pattern_syntax patterns = pattern_syntax::names;  ///< Of a list of patterns.
    bool takes_suffix = true;            ///< A number may have a unit written behind it.
    bool is_password = false;            ///< SHOW prints stars.
    bool is_octal = false;               ///< SHOW prints an octal number.
    bool is_pair_list = false;           ///< Items are "left:right".
    bool pairs_name_counts = false;      ///< A whole number from 1 stands right of the colon.
    std::span<const word> pair_words{};  ///< If not empty: what may stand right of the colon.
    bool is_ours = false;                ///< Pgpool-II has no such parameter.
    char separator = 0;                  ///< Of a list.
    std::int64_t minimum = 0;
    std::int64_t maximum = int_max;
    std::span<const word> words;     ///< Of an enumeration; of a list of words: what it may hold.
    std::string_view since = "4.3";  ///< First version of Pgpool-II that has it.
    std::string_view alias_of;       ///< An old name: its value goes to that parameter.
    std::string_view instead;        ///< It has no effect here: what takes its place.
};

/// The parameters of one section of the file, in the order in which they are shown.
struct section {
    std::string_view name;
    std::span<const parameter> rows;
};

/// All sections, our own ("pgtorii") last.
std::span<const section> sections();

/// The row of a parameter that is written without an index, or null. Names are case-sensitive.
const parameter* find_plain(std::string_view name);

/// The row of an indexed parameter by its name without the index, or null.
const parameter* find_indexed(std::string_view name);

/// The longest name of an indexed parameter that `name` begins with, or null. Pgpool-II reads every
/// name that begins so as that parameter with an index.
const parameter* find_indexed_prefix(std::string_view name);

/// Highest index of an indexed parameter; 0 of another.
std::size_t index_max(const parameter& row);

/// Calls `visit(section, row)` for every row of the table, in its order.
template <class Visit>
void for_each_parameter(Visit visit)
{
    for (const auto& part : sections()) {
        for (const auto& row : part.rows) visit(part, row);
    }
}

/// The value that `text` stands for, range checked. `name` is for messages: it has the index.
[[nodiscard]] boost::system::result<value, problem>
parse_value(const parameter& row, std::string_view name, std::string_view text);

/// The text of a value as SHOW prints it, passwords in clear.
std::string to_text(const parameter& row, const value& shown);

/// parse_value and set. Gives what is wrong, or nothing. `values` is unchanged then.
[[nodiscard]] std::optional<problem> assign(settings& values, const parameter& row,
                                            std::size_t index, std::string_view name,
                                            std::string_view text);

/// `name` with its index when it is an indexed parameter's.
std::string indexed_name(const parameter& row, std::size_t index);

/// How many slots of the row's vector exist; 1 for a parameter without index.
std::size_t slot_count(const settings& values, const parameter& row);

/// Whether slot `index` of the row's vector is configured; true for a parameter without index.
bool is_configured(const settings& values, const parameter& row, std::size_t index);

}  // namespace pgtorii::config
