#include "config/parameter.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

using namespace pgtorii::config;

namespace {

using tsv_row = std::map<std::string, std::string>;

std::vector<std::string> cells(const std::string& line)
{
    std::vector<std::string> found;
    std::stringstream in(line);
    for (std::string cell; std::getline(in, cell, '\t');) found.push_back(cell);
    return found;
}

/// What Pgpool-II's parameters are, as a file of facts collected from its servers and sources.
std::vector<tsv_row> facts()
{
    std::ifstream in(PGTORII_SOURCE_DIR "/test/unit/config/parameters.tsv");
    std::string line;
    std::getline(in, line);
    const auto header = cells(line);
    std::vector<tsv_row> rows;
    while (std::getline(in, line)) {
        const auto values = cells(line);
        REQUIRE(values.size() == header.size());
        tsv_row& row = rows.emplace_back();
        for (std::size_t i = 0; i < header.size(); ++i) row[header[i]] = values[i];
    }
    return rows;
}

/// "backend_port[0..127]" -> the row, and its highest index.
const parameter* find_fact(const std::string& name, std::size_t& most)
{
    const auto bracket = name.find('[');
    if (bracket == std::string::npos) return find_plain(name);
    most = std::stoul(name.substr(name.find("..") + 2));
    return find_indexed(name.substr(0, bracket));
}

std::string text_of(kind k, std::int64_t maximum)
{
    switch (k) {
    case kind::boolean: return "bool";
    case kind::integer: return maximum == int64_max ? "int64" : "int";
    case kind::real: return "real";
    case kind::text: return "string";
    case kind::text_list: return "string_list";
    case kind::word: return "enum";
    }
    return "";
}

std::string text_of(const parameter& row)
{
    std::string name;
    switch (row.unit) {
    case unit::none: return "none|no";
    case unit::milliseconds: name = "ms"; break;
    case unit::seconds: name = "s"; break;
    case unit::minutes: name = "min"; break;
    case unit::bytes: return "bytes|memory";
    case unit::kilobytes: return "kB|memory";
    }
    return name + (row.takes_suffix ? "|time" : "|no");
}

std::string text_of(context when)
{
    switch (when) {
    case context::restart: return "restart";
    case context::reload: return "reload";
    case context::session: return "session";
    }
    return "";
}

/// "debug5,debug2(alias debug)" from words.
std::string text_of(std::span<const word> words)
{
    std::string text;
    for (const auto& each : words) {
        if (each.is_alias) continue;
        text += (text.empty() ? "" : ",") + std::string(each.text);
        for (const auto& other : words) {
            // slony is accepted up to 4.6 only; the facts have it in their history column.
            if (other.is_alias && other.number == each.number && other.text != "slony")
                text += fmt::format("(alias {})", other.text);
        }
    }
    return text.empty() ? "-" : text;
}

std::string unquoted(std::string text)
{
    return text.starts_with('\'') ? text.substr(1, text.size() - 2) : text;
}

/// The facts' default; that of Debian's build where it is another one.
std::string expected_default(const tsv_row& fact)
{
    const std::string marker = "Debian 4.3.5 build: ";
    const auto& notes = fact.at("notes");
    const auto found = notes.find(marker);
    const auto& name = fact.at("name");
    if (name == "logdir") return "";
    if (name == "unix_socket_directories") return socket_directory;  // 4.4's socket_dir
    if (name == "work_dir") return "/var/log/postgresql";            // 4.7's logdir
    if (found != std::string::npos) return notes.substr(found + marker.size());
    if (name.starts_with("hostname") || fact.at("default") != "'*****'")
        return unquoted(fact.at("default"));
    return unquoted(fact.at("default_native"));
}

std::int64_t number(const std::string& text)
{
    return text == "-" ? 0 : std::stoll(text, nullptr, 0);
}

}  // namespace

TEST_CASE("Every parameter of Pgpool-II has its row, and every row is as Pgpool-II has it")
{
    const auto all = facts();
    REQUIRE(all.size() == 203);
    std::set<const parameter*> seen;
    for (const auto& fact : all) {
        const auto& name = fact.at("name");
        INFO(name);
        std::size_t most = 0;
        const auto* row = find_fact(name, most);
        REQUIRE(row != nullptr);
        CHECK(seen.insert(row).second);
        CHECK_FALSE(row->is_ours);
        CHECK(index_max(*row) == most);
        CHECK(text_of(row->context) == fact.at("change_context"));
        CHECK(text_of(*row) == fact.at("unit"));
        CHECK(row->is_password == (fact.at("default") == "'*****'"));
        CHECK(row->since == (fact.at("since") == "<=4.3" ? "4.3" : fact.at("since")));
        // A string with a separator is a list of ours, and socket_dir has its successor's kind.
        const auto& separator = fact.at("list_separator");
        const bool is_list_string = fact.at("kind") == "string" && separator != "-";
        if (!(is_list_string || name == "socket_dir") || row->kind != kind::text_list)
            CHECK(text_of(row->kind, row->maximum) == fact.at("kind"));
        if (fact.at("min") != "-") {
            CHECK(row->minimum == number(fact.at("min")));
            CHECK(row->maximum == number(fact.at("max")));
        }
        if (!name.starts_with("backend_flag"))
            CHECK(text_of(row->words) ==
                  (name == "log_destination" ? "stderr,syslog" : fact.at("enum_values")));
        if (name != "socket_dir" && !name.starts_with("backend_flag"))
            CHECK((row->separator == 0 ? "-" : std::string(1, row->separator)) == separator);
    }
}

TEST_CASE("The defaults are those that Pgpool-II shows")
{
    const settings values;
    for (const auto& fact : facts()) {
        const auto& name = fact.at("name");
        INFO(name);
        std::size_t most = 0;
        const auto* row = find_fact(name, most);
        REQUIRE(row != nullptr);
        const auto expected = expected_default(fact);
        const bool is_node_health = row->slots == slots::backends && find_plain(row->name);
        if (name == "log_file_mode")
            CHECK(row->default_text == "0600");
        else
            CHECK(row->default_text == expected);
        // Old names show their successor's value; health checks of nodes are filled in by the
        // loader.
        if (row->alias_of.empty() && !is_node_health)
            CHECK(to_text(*row, row->get(values, 0)) == expected);
    }
}

TEST_CASE("Our own parameters stand in their own section, the last one")
{
    for (const auto& part : sections()) {
        for (const auto& row : part.rows) {
            INFO(row.name);
            CHECK(row.is_ours == (part.name == "pgtorii"));
        }
    }
    CHECK(sections().back().name == "pgtorii");
    CHECK(sections().back().rows.size() == 23);
    const settings values;
    CHECK(values.query_wait_timeout == std::chrono::minutes(2));
    CHECK(values.analyze_bytes_max == 65536);
    CHECK(values.fact_cache_size == 8 << 20);
}

TEST_CASE("Rows are complete")
{
    std::size_t count = 0;
    for_each_parameter([&](const section&, const parameter& row) {
        INFO(row.name);
        ++count;
        CHECK_FALSE(row.meaning.empty());
        CHECK(row.meaning.back() == '.');
        REQUIRE(row.get != nullptr);
        REQUIRE(row.set != nullptr);
        if (!row.alias_of.empty()) CHECK(find_plain(row.alias_of) != nullptr);
        if (row.kind == kind::word) CHECK_FALSE(row.words.empty());
        // What get gives, set takes: at every index, and without a change.
        settings values;
        for (const auto index : {std::size_t{0}, index_max(row)}) {
            const auto held = row.get(values, index);
            CHECK_FALSE(row.set(values, index, row, held));
            CHECK(row.get(values, index) == held);
        }
    });
    CHECK(count == 203 + 23);
}

TEST_CASE("No two rows write to the same member")
{
    // A copied row with a member that was not changed would show here.
    std::vector<const parameter*> rows;
    for_each_parameter([&](const section&, const parameter& row) {
        if (row.alias_of.empty()) rows.push_back(&row);
    });
    const auto other_value = [](const parameter& row) -> value {
        switch (row.kind) {
        case kind::boolean: return true;
        case kind::integer:
        case kind::word: return std::int64_t{1};
        case kind::real: return 7.5;
        case kind::text:
        case kind::text_list: break;
        }
        if (row.name == "backend_flag") return std::string("DISALLOW_TO_FAILOVER");
        if (row.name == "log_destination") return std::string("syslog");
        if (!row.pair_words.empty()) return fmt::format("a:{}", row.pair_words.back().text);
        const bool has_number =
            row.pairs_name_counts || row.name.find("preference") != row.name.npos;
        return std::string(has_number ? "a:1" : "a:b");
    };
    for (const auto* changed : rows) {
        settings values;
        values.backends.resize(1);
        values.watchdog_nodes.resize(1);
        values.heartbeats.resize(1);
        const settings before = values;
        auto given = other_value(*changed);
        if (changed->get(values, 0) == given) {
            if (changed->kind == kind::boolean)
                given = false;
            else
                given = std::int64_t{0};
        }
        INFO(changed->name);
        REQUIRE_FALSE(changed->set(values, 0, *changed, given));
        for (const auto* row : rows) {
            INFO(row->name);
            CHECK((row->get(values, 0) == row->get(before, 0)) == (row != changed));
        }
    }
}

TEST_CASE("Names of indexed parameters are found by the longest prefix")
{
    CHECK(find_indexed_prefix("heartbeat_hostname3")->name == "heartbeat_hostname");
    CHECK(find_indexed_prefix("hostname_x")->name == "hostname");
    CHECK(find_indexed_prefix("backend_weightx")->name == "backend_weight");
    CHECK(find_indexed_prefix("port") == nullptr);
    CHECK(find_plain("backend_port") == nullptr);
    CHECK(find_plain("PORT") == nullptr);
}
