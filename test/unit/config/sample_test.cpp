#include "config/sample.hpp"

#include "config/load.hpp"
#include "config/parameter.hpp"

#include <catch2/catch.hpp>

#include <sstream>

using namespace pgtorii::config;

namespace {

std::string uncommented(const std::string& text)
{
    std::stringstream in(text);
    std::string out;
    for (std::string line; std::getline(in, line);) {
        const bool is_setting = line.size() > 1 && line[0] == '#' && line[1] != ' ';
        out += (is_setting ? line.substr(1) : line) + '\n';
    }
    return out;
}

void check_defaults(const load_outcome& outcome)
{
    const settings defaults;
    for (const auto& remark : outcome.diagnostics) FAIL_CHECK(to_text(remark));
    for_each_parameter([&](const section&, const parameter& row) {
        INFO(row.name);
        CHECK(row.get(outcome.values, 0) == row.get(defaults, 0));
    });
}

}  // namespace

TEST_CASE("The sample file sets nothing as it is, and the defaults without its comment signs")
{
    const auto sample = sample_config();
    check_defaults(load_text("sample", sample));
    check_defaults(load_text("sample", uncommented(sample)));
    CHECK(uncommented(sample).find("\nport = 9999\n") != std::string::npos);
}

TEST_CASE("The sample file has every parameter, with its meaning, in lines that fit a screen")
{
    const auto sample = sample_config();
    for_each_parameter([&](const section& part, const parameter& row) {
        INFO(row.name);
        CHECK(sample.find("\n# " + std::string(part.name) + "\n") != std::string::npos);
        CHECK(sample.find(indexed_name(row, 0)) != std::string::npos);
        if (row.alias_of.empty())
            CHECK(sample.find("# " + std::string(row.meaning.substr(0, 30))) != std::string::npos);
    });
    std::stringstream in(sample);
    for (std::string line; std::getline(in, line);) {
        INFO(line);
        CHECK(line.size() <= 100);
    }
    CHECK(sample.find("#unix_socket_permissions = 0777\n") != std::string::npos);
    CHECK(sample.find("#reset_query_list = 'ABORT;DISCARD ALL'\n") != std::string::npos);
    CHECK(sample.find("# wd_listen_port is not set by default.\n") != std::string::npos);
    CHECK(sample.find("# logdir is an old name of work_dir.\n") != std::string::npos);
    CHECK(sample.find("No effect here: one process serves all clients") != std::string::npos);
}
