#include "core/command_line.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace pgtorii::core;

namespace {

const surroundings nowhere{.current_directory = "/here", .home = "/home/joe", .key_file = ""};

command_line parse(std::vector<const char*> arguments, const surroundings& around = nowhere)
{
    arguments.insert(arguments.begin(), "/usr/sbin/pgpool");
    return parse_command_line(arguments, around);
}

std::string complaint(std::vector<const char*> arguments)
{
    try {
        parse(std::move(arguments));
    } catch (const bad_usage& bad) {
        return bad.what();
    }
    return "";
}

}  // namespace

TEST_CASE("Without arguments it starts with Debian's files")
{
    const auto asked = parse({});
    CHECK(asked.what == verb::start);
    CHECK(asked.config_file == "/etc/pgpool2/pgpool.conf");
    CHECK(asked.hba_file == "/etc/pgpool2/pool_hba.conf");
    CHECK(asked.pcp_file == "/etc/pgpool2/pcp.conf");
    CHECK(asked.key_file == "/home/joe/.pgpoolkey");
    CHECK_FALSE(asked.stays_in_foreground);
    CHECK_FALSE(asked.discards_status);
    CHECK_FALSE(asked.clears_oid_maps);
    CHECK_FALSE(asked.is_debug);
    CHECK_FALSE(asked.checks_assertions);
    CHECK(asked.mode == stop_mode::smart);
}

TEST_CASE("The call of pgpool_setup's scripts is understood")
{
    const auto asked =
        parse({"-D", "-n", "-f", "etc/pgpool.conf", "-F", "/abs/pcp.conf", "-a", "hba"});
    CHECK(asked.what == verb::start);
    CHECK(asked.discards_status);
    CHECK(asked.stays_in_foreground);
    CHECK(asked.config_file == "/here/etc/pgpool.conf");
    CHECK(asked.pcp_file == "/abs/pcp.conf");
    CHECK(asked.hba_file == "/here/hba");
}

TEST_CASE("Options may be joined, long, abbreviated, and stand behind the verb")
{
    CHECK(parse({"-nDCdx"}).clears_oid_maps);
    CHECK(parse({"-nDCdx"}).checks_assertions);
    CHECK(parse({"-nf/etc/x"}).config_file == "/etc/x");
    CHECK(parse({"--config-file=/etc/x"}).config_file == "/etc/x");
    CHECK(parse({"--config-file", "/etc/x"}).config_file == "/etc/x");
    CHECK(parse({"--conf", "/etc/x"}).config_file == "/etc/x");
    CHECK(parse({"--hba-file=h", "--pcp-file=p"}).pcp_file == "/here/p");
    CHECK(parse({"--dont-detach", "--discard-status", "--clear-oidmaps"}).stays_in_foreground);
    CHECK(parse({"--debug"}).is_debug);
    CHECK(parse({"--debug-assertions"}).checks_assertions);
    const auto stop = parse({"-f", "x", "stop", "-m", "fast"});
    CHECK(stop.what == verb::stop);
    CHECK(stop.mode == stop_mode::fast);
    CHECK(stop.config_file == "/here/x");
    CHECK(parse({"reload", "-f", "x"}).what == verb::reload);
    CHECK(parse({"--", "stop"}).what == verb::stop);
    // A value may look like an option.
    CHECK(parse({"-f", "-n"}).config_file == "/here/-n");
}

TEST_CASE("Only the first letter of the shutdown mode counts")
{
    for (const auto* mode : {"s", "smart", "slow"})
        CHECK(parse({"-m", mode, "stop"}).mode == stop_mode::smart);
    for (const auto* mode : {"f", "fast", "foo"})
        CHECK(parse({"-m", mode, "stop"}).mode == stop_mode::fast);
    for (const auto* mode : {"i", "immediate"}) {
        CHECK(parse({std::string("--mode=").append(mode).c_str(), "stop"}).mode ==
              stop_mode::immediate);
    }
    CHECK(complaint({"-m", "x", "stop"}) == "unknown shutdown mode \"x\"");
    CHECK(complaint({"-m", "", "stop"}) == "unknown shutdown mode \"\"");
    CHECK(complaint({"-m", "Fast"}) == "unknown shutdown mode \"Fast\"");
}

TEST_CASE("The key file is the option's, else the environment's, else the home directory's")
{
    auto around = nowhere;
    around.key_file = "keys/k";
    CHECK(parse({}, around).key_file == "/here/keys/k");
    CHECK(parse({"-k", "mine"}, around).key_file == "/here/mine");
    around.key_file.clear();
    around.home.clear();
    CHECK(parse({}, around).key_file.empty());
}

TEST_CASE("Help and version end the reading of the line")
{
    CHECK(parse({"-h"}).what == verb::help);
    CHECK(parse({"--help"}).what == verb::help);
    CHECK(parse({"-v"}).what == verb::version);
    CHECK(parse({"--version"}).what == verb::version);
    CHECK(parse({"-v", "--nonsense"}).what == verb::version);
    CHECK(complaint({"--nonsense", "-v"}) != "");
}

TEST_CASE("Our own verbs are options")
{
    CHECK(parse({"--check-config", "-f", "x"}).what == verb::check_config);
    CHECK(parse({"-f", "x", "--check-config"}).config_file == "/here/x");
    CHECK(parse({"--print-sample-config"}).what == verb::print_sample_config);
    CHECK(complaint({"--check-config", "stop"}) ==
          "\"stop\" does not go with --check-config or --print-sample-config");
}

TEST_CASE("A call that makes no sense names what is wrong")
{
    CHECK(complaint({"start"}) == "unknown command \"start\"");
    CHECK(complaint({""}) == "unknown command \"\"");
    CHECK(complaint({"stop", "reload"}) == "too many arguments: \"reload\" behind \"stop\"");
    CHECK(complaint({"-Z"}) == "unknown, ambiguous or misused option \"-Z\"");
    CHECK(complaint({"--debug-assertions", "-nZ"}) ==
          "unknown, ambiguous or misused option \"-Z\"");
    CHECK(complaint({"-c"}) == "unknown, ambiguous or misused option \"-c\"");
    CHECK(complaint({"--nope"}) == "unknown, ambiguous or misused option \"--nope\"");
    CHECK(complaint({"--d"}) == "unknown, ambiguous or misused option \"--d\"");
    CHECK(complaint({"--debug=1"}) == "unknown, ambiguous or misused option \"--debug=1\"");
    CHECK(complaint({"-f"}) == "option \"-f\" needs a value");
    CHECK(complaint({"-nf"}) == "option \"-f\" needs a value");
    CHECK(complaint({"--config-file"}) == "option \"--config-file\" needs a value");
}

TEST_CASE("One call does not depend on the one before")
{
    CHECK(complaint({"-n", "-Z", "-D"}) != "");
    const auto asked = parse({"-D", "reload"});
    CHECK(asked.what == verb::reload);
    CHECK(asked.discards_status);
    CHECK_FALSE(asked.stays_in_foreground);
}

TEST_CASE("The version begins as Pgpool-II's does, and the usage names every option")
{
    CHECK(version_text().starts_with("pgpool-II version 4.7.2 (pgtorii "));
    CHECK(version_text().ends_with(")\n"));
    const auto usage = usage_text("/usr/sbin/pgpool");
    for (const auto* option :
         {"--hba-file", "--config-file", "--pcp-file", "--key-file", "--dont-detach",
          "--discard-status", "--clear-oidmaps", "--debug", "--debug-assertions", "--mode",
          "--help", "--version", "--check-config", "--print-sample-config"}) {
        INFO(option);
        CHECK(usage.find(option) != std::string::npos);
    }
    CHECK(usage.find("\n  pgpool [-f FILE]") != std::string::npos);
    CHECK(usage.find("/usr/sbin") == std::string::npos);
}

TEST_CASE("route is a verb only as the first word, and what follows is its own")
{
    const auto asked = parse({"route", "--config", "a.conf", "-v", "-", "stop"});
    CHECK(asked.what == verb::route);
    CHECK(asked.verb_arguments ==
          std::vector<std::string>{"--config", "a.conf", "-v", "-", "stop"});
    CHECK(parse({"passwd", "-m", "x"}).what == verb::passwd);
    CHECK(parse({"passwd", "-m", "x"}).verb_arguments == std::vector<std::string>{"-m", "x"});
    CHECK(parse({"route"}).verb_arguments.empty());
    CHECK(complaint({"-f", "x", "route"}) == "\"route\" must be the first word");
    CHECK(complaint({"stop", "route"}) != "");
}
