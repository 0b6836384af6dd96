#include "config/pool_hba.hpp"

#include "test/unit/config/memory_files.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>

using namespace pgtorii::config;
using pgtorii::test::memory_files;
using namespace std::string_literals;

namespace {

pool_hba_outcome read(std::string_view text, std::map<std::string, std::string> files = {})
{
    return load_pool_hba_text("/etc/pool_hba.conf", text, true, memory_files(std::move(files)));
}

std::string errors_of(const pool_hba_outcome& outcome)
{
    std::string text;
    for (const auto& each : outcome.diagnostics) {
        if (each.level == severity::error) text += to_text(each) + "\n";
    }
    return text;
}

pool_hba rules(std::string_view text, std::map<std::string, std::string> files = {})
{
    auto outcome = read(text, std::move(files));
    INFO(text);
    if (outcome.has_errors()) FAIL(errors_of(outcome));
    return std::move(outcome.rules);
}

hba_question from(const char* address, std::string_view database = "shop",
                  std::string_view user = "alice")
{
    hba_question asked;
    asked.peer = *ip_address::parse(address);
    asked.database = database;
    asked.user = user;
    return asked;
}

/// The line of the record that is found, 0: none, -1: the peer's name is needed.
long line_of(const pool_hba& in, const hba_question& asked)
{
    const auto answer = in.match(asked);
    switch (answer.what) {
    case hba_answer::kind::none: return 0;
    case hba_answer::kind::needs_name: return -1;
    case hba_answer::kind::found: break;
    }
    return static_cast<long>(answer.record->line);
}

}  // namespace

TEST_CASE("The first record that fits decides")
{
    const auto in = rules("# a comment\n"
                          "local all all trust\n"
                          "host shop alice 10.0.0.0/8 md5\n"
                          "hostssl shop bob 10.0.0.0 255.0.0.0 scram-sha-256\n"
                          "hostnossl shop bob 10.0.0.0/8 reject\n"
                          "host sameuser all ::1/128 password # and why\n"
                          "hostgssenc all all all trust\n"
                          "hostnogssenc all carol all trust\n");
    CHECK(line_of(in, from("10.1.1.1")) == 3);
    CHECK(line_of(in, from("::ffff:10.1.1.1")) == 3);
    CHECK(line_of(in, from("11.1.1.1")) == 0);
    CHECK(line_of(in, from("10.1.1.1", "other")) == 0);
    CHECK(line_of(in, from("10.1.1.1", "shop", "Alice")) == 0);
    auto bob = from("10.1.1.1", "shop", "bob");
    CHECK(line_of(in, bob) == 5);
    bob.is_encrypted = true;
    CHECK(line_of(in, bob) == 4);
    CHECK(line_of(in, from("::1", "dave", "dave")) == 6);
    CHECK(line_of(in, from("::1", "dave", "eve")) == 0);
    CHECK(line_of(in, from("9.9.9.9", "x", "carol")) == 8);
    auto local = from("0.0.0.0", "x", "nobody");
    local.is_local = true;
    CHECK(line_of(in, local) == 2);
    CHECK(in.records()[2].method == hba_method::scram_sha_256);
}

TEST_CASE("Quotes take the meaning from keywords, blanks and commas")
{
    const auto in = rules("host \"all\" all all trust\n"
                          "host \"a b\",\"c,d\",\"e\"\"f\" \"all\" all trust\n"
                          "host x \"+y\" all trust#comment\n");
    CHECK(line_of(in, from("1.1.1.1", "all")) == 1);
    CHECK(line_of(in, from("1.1.1.1", "shop")) == 0);
    CHECK(line_of(in, from("1.1.1.1", "a b", "all")) == 2);
    CHECK(line_of(in, from("1.1.1.1", "c,d", "all")) == 2);
    CHECK(line_of(in, from("1.1.1.1", "e\"f", "all")) == 2);
    CHECK(line_of(in, from("1.1.1.1", "a b", "bob")) == 0);
    CHECK(line_of(in, from("1.1.1.1", "x", "+y")) == 3);
    SECTION("a quoted word can be an address, and is a host's name then")
    {
        CHECK(line_of(rules("host all all \"all\" trust\n"), from("1.1.1.1")) == -1);
    }
}

TEST_CASE("Lists, also with blanks behind commas, and lists from files")
{
    const auto in = rules("host a, b,c all all trust\nhost @dbs alice,@\"my users\" all md5\n",
                          {{"/etc/dbs", "one, two # three\nfour five\n@more"},
                           {"/etc/more", "six"},
                           {"/etc/my users", "bob\n"}});
    for (const auto* name : {"a", "b", "c"}) CHECK(line_of(in, from("1.1.1.1", name)) == 1);
    for (const auto* name : {"one", "two", "four", "five", "six"}) {
        CHECK(line_of(in, from("1.1.1.1", name)) == 2);
        CHECK(line_of(in, from("1.1.1.1", name, "bob")) == 2);
        CHECK(line_of(in, from("1.1.1.1", name, "eve")) == 0);
    }
    CHECK(line_of(in, from("1.1.1.1", "three")) == 0);
    SECTION("an empty list matches nobody, and is told")
    {
        const auto outcome = read("host all @none all trust\n", {{"/etc/none", "# nobody\n"}});
        CHECK_FALSE(outcome.has_errors());
        CHECK(outcome.diagnostics.size() == 1);
        CHECK(line_of(outcome.rules, from("1.1.1.1")) == 0);
    }
    SECTION("a file that names itself ends at a bound")
    {
        CHECK(errors_of(read("host all @a all trust\n", {{"/etc/a", "@a"}})).find("nested") !=
              std::string::npos);
        CHECK(read("host all @a all trust\n", {{"/etc/a", "@a @a @a @a"}}).has_errors());
    }
    SECTION("a missing file is an error")
    {
        CHECK(errors_of(read("host all @gone all trust\n")).find("/etc/gone") != std::string::npos);
    }
}

TEST_CASE("Other files take the place of include lines")
{
    const auto in = rules("include first\ninclude_if_exists gone\ninclude_dir d\n"
                          "host all all all reject\n",
                          {{"/etc/first", "host a all all trust\n"},
                           {"/etc/d/2.conf", "host c all all trust\n"},
                           {"/etc/d/1.conf", "host b all all md5\nhost c all all md5\n"},
                           {"/etc/d/3.txt", "nonsense\n"},
                           {"/etc/d/.4.conf", "nonsense\n"}});
    CHECK(in.records().size() == 5);
    CHECK(in.records()[0].file == "/etc/first");
    CHECK(in.records()[1].file == "/etc/d/1.conf");
    CHECK(line_of(in, from("1.1.1.1", "c")) == 2);
    CHECK(in.match(from("1.1.1.1", "c")).record->method == hba_method::md5);
    CHECK(errors_of(read("include gone\n")).find("pool_hba.conf:1: error: could not open") !=
          std::string::npos);
    CHECK(read("include_dir gone\n").has_errors());
    CHECK(read("include a\n", {{"/etc/a", "include a\n"}}).has_errors());
    CHECK(read("include a, b\n", {{"/etc/a", ""}, {"/etc/b", ""}}).has_errors());
}

TEST_CASE("A backslash continues a line")
{
    const auto in = rules("host all \\\n alice all\\\n md5\nhost all bob all trust\n");
    CHECK(line_of(in, from("1.1.1.1")) == 1);
    CHECK(line_of(in, from("1.1.1.1", "x", "bob")) == 4);
    SECTION("but not a comment, where PostgreSQL and Pgpool-II differ")
    {
        CHECK(read("# x \\\nhost all all all reject\n").has_errors());
        CHECK(read("host all all all trust # x \\\nhost all all all reject\n").has_errors());
    }
}

TEST_CASE("Expressions are found anywhere in a name")
{
    const auto in = rules("host /^db[0-9]+$ \"/^(a|b){1,2}$\" all trust\nhost /x all all md5\n"
                          "host \"/^\\d{2,4}$\" /(?i)^ROOT all trust\n");
    CHECK(line_of(in, from("1.1.1.1", "db12", "ab")) == 1);
    CHECK(line_of(in, from("1.1.1.1", "db12", "abc")) == 0);
    CHECK(line_of(in, from("1.1.1.1", "axb", "abc")) == 2);
    CHECK(line_of(in, from("1.1.1.1", "123", "rootless")) == 3);
    for (const auto* wrong : {"/(", "/\\1", "/(a)\\1", "/\\bx", "/a(?=b)", "/(?m)x", "/a\\",
                              "/[[:nothing:]]", "/\\yx", "/x{1000}{1000}"}) {
        INFO(wrong);
        CHECK(read("host all "s + wrong + " all trust\n").has_errors());
    }
    CHECK(read("host all /" + std::string(1'001, 'x') + " all trust\n").has_errors());
}

TEST_CASE("Physical replication has a keyword of its own")
{
    const auto in = rules("host all all all trust\nhost \"replication\",x all all md5\n"
                          "host replication all all scram-sha-256\n");
    auto asked = from("1.1.1.1");
    asked.replication = hba_replication::physical;
    CHECK(line_of(in, asked) == 3);
    asked.replication = hba_replication::database;
    CHECK(line_of(in, asked) == 1);
    CHECK(line_of(rules("host replication all all trust\n"), from("1.1.1.1", "replication")) == 0);
    CHECK(line_of(rules("host \"replication\" all all trust\n"), from("1.1.1.1", "replication")) ==
          1);
}

TEST_CASE("Who is in a role is asked, and nobody is when there is no answer")
{
    const auto outcome = read("host all +staff,eve all reject\nhost samerole all all md5\n"
                              "host samegroup all all md5\nhost all all all trust\n");
    REQUIRE_FALSE(outcome.has_errors());
    CHECK(outcome.diagnostics.size() == 3);
    auto asked = from("1.1.1.1");
    CHECK(line_of(outcome.rules, asked) == 4);
    asked.user = "eve";
    CHECK(line_of(outcome.rules, asked) == 1);
    asked.user = "alice";
    asked.is_in_role = [](std::string_view role) -> std::optional<bool> {
        if (role == "unknown") return std::nullopt;
        return role == "staff";
    };
    CHECK(line_of(outcome.rules, asked) == 1);
    asked.is_in_role = [](std::string_view role) -> std::optional<bool> { return role == "shop"; };
    CHECK(line_of(outcome.rules, asked) == 2);
    asked.is_in_role = [](std::string_view) -> std::optional<bool> { return std::nullopt; };
    CHECK(line_of(outcome.rules, asked) == 4);
}

TEST_CASE("A host's name is asked for only when it decides")
{
    const auto in = rules("host db1 all App.Example.COM trust\nhost db2 all .example.com md5\n"
                          "host all carol 10.0.0.0/8 reject\n");
    auto asked = from("10.0.0.1", "db1");
    CHECK(line_of(in, asked) == -1);
    CHECK(line_of(in, from("10.0.0.1", "db3")) == 0);
    CHECK(line_of(in, from("10.0.0.1", "db3", "carol")) == 3);
    asked.name = hba_question::name_state::unknown;
    CHECK(line_of(in, asked) == 0);
    asked.name = hba_question::name_state::known;
    asked.peer_name = "APP.example.com";
    CHECK(line_of(in, asked) == 1);
    asked.peer_name = "xapp.example.com";
    CHECK(line_of(in, asked) == 0);
    asked.database = "db2";
    CHECK(line_of(in, asked) == 2);
    asked.peer_name = "example.com";
    CHECK(line_of(in, asked) == 0);
    asked.peer_name = "x.badexample.com";
    CHECK(line_of(in, asked) == 0);
    asked.name = hba_question::name_state::unknown;
    asked.peer_name = "app.example.com";
    CHECK(line_of(in, asked) == 0);
}

TEST_CASE("samehost and samenet are about this machine's interfaces")
{
    const auto in = rules("host all all samehost trust\nhost all all samenet md5\n");
    const auto own = *ip_address::parse("192.168.7.1");
    const hba_question::interface interfaces[] = {{own, *ip_network::of_prefix(own, 24)}};
    for (const auto& [address, line] :
         {std::pair{"192.168.7.1", 1L}, {"192.168.7.9", 2L}, {"192.168.8.1", 0L}, {"::1", 0L}}) {
        auto asked = from(address);
        CHECK(line_of(in, asked) == 0);
        asked.interfaces = interfaces;
        CHECK(line_of(in, asked) == line);
    }
}

TEST_CASE("Addresses come in many forms")
{
    CHECK(line_of(rules("host all all 10.0.0.0 255.255.0.0 md5\n"), from("10.0.3.3")) == 1);
    CHECK(line_of(rules("host all all 10.0.0.0 255.0.0.255 md5\n"), from("10.9.9.0")) == 1);
    CHECK(line_of(rules("host all all fe80:: ffff:: md5\n"), from("fe80::9")) == 1);
    CHECK(line_of(rules("host all all ::ffff:10.0.0.0/104 md5\n"), from("10.9.9.9")) == 1);
    CHECK(line_of(rules("host all all ::ffff:10.0.0.0 ffff:ffff:ffff:ffff:ffff:ffff:ff00:0 md5\n"),
                  from("10.9.9.9")) == 1);
    CHECK(line_of(rules("host all all fe80::1%eth0/64 md5\n"), from("fe80::9")) == 1);
    CHECK(line_of(rules("host all all 0.0.0.0/0 md5\n"), from("::1")) == 0);
    CHECK(line_of(rules("host all all all md5\n"), from("::1")) == 1);
    for (const auto* wrong :
         {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/-1", "10.0.0.0/8x", "::1/129",
          "10.0.0/24", "10.1", "10.0.0.0", "10.0.0.0 ::", "10.0.0.0 255.0.0", "name/24", "\"\"",
          ".", "a:b", "::ffff:10.0.0.0/8", "10.0.0.1,10.0.0.2"}) {
        INFO(wrong);
        CHECK(read("host all all "s + wrong + " trust\n").has_errors());
    }
}

TEST_CASE("Options belong to their methods")
{
    const auto one = [](std::string_view text) {
        static pool_hba held;
        held = rules(text);
        return &held.records()[0];
    };
    const auto* cert = one("hostssl all all all cert map=people clientname=DN\n");
    CHECK(cert->map == "people");
    CHECK(cert->certificate == client_certificate::verify_full);
    CHECK(cert->name_in_certificate == certificate_name::distinguished_name);
    CHECK(one("hostssl all all all md5 clientcert=verify-ca\n")->certificate ==
          client_certificate::verify_ca);
    CHECK(one("hostssl all all all md5 clientcert=verify-full\n")->certificate ==
          client_certificate::verify_full);
    CHECK(one("host all all all pam pamservice=login pam_use_hostname=1\n")->pam_service ==
          "login");
    CHECK(one("host all all all pam\n")->pam_service == "pgpool");
    const auto* ldap = one("host all all all ldap ldapserver=\"h1 h2\" ldapport=390 ldaptls=1 "
                           "ldapprefix=\"cn=\" ldapsuffix=\", dc=x\" backend_use_passwd=1\n");
    CHECK(ldap->ldap->server == "h1 h2");
    CHECK(ldap->ldap->port == 390);
    CHECK(ldap->ldap->starts_tls);
    CHECK(ldap->ldap->suffix == ", dc=x");
    CHECK(ldap->passes_password_on);
    CHECK_FALSE(ldap->ldap->searches());
    const auto* url = one("host all all all ldap ldapurl=\"ldaps://[::1]:99/dc=a%20b,dc=c?uid?one?"
                          "(o=x)\" ldapsearchattribute= ldapbinddn=cn=me ldapbindpasswd=p\n");
    CHECK(url->ldap->server == "[::1]");
    CHECK(url->ldap->port == 99);
    CHECK(url->ldap->is_ldaps);
    CHECK(url->ldap->base_name == "dc=a b,dc=c");
    CHECK(url->ldap->scope == ldap_scope::one);
    CHECK(url->ldap->search_filter == "(o=x)");
    CHECK(url->ldap->bind_password.view() == "p");
    for (const auto* wrong :
         {"md5 nothing=1",
          "md5 word",
          "md5 map=x",
          "md5 ldapserver=x",
          "cert map",
          "cert clientcert=verify-ca",
          "cert clientcert=1",
          "cert clientname=cn",
          "pam pamservice=",
          "pam pam_use_hostname=yes",
          "ldap",
          "ldap ldapserver=h",
          "ldap ldapprefix=x",
          "ldap ldapserver=h ldapprefix=x ldapbasedn=y",
          "ldap ldapserver=h ldapbasedn=y ldapsearchattribute=a ldapsearchfilter=b",
          "ldap ldapserver=h ldapprefix=x ldapport=0",
          "ldap ldapserver=h ldapprefix=x ldapport=9x",
          "ldap ldapserver=h ldapprefix=x ldapscheme=x",
          "ldap ldapurl=http://x/y",
          "ldap ldapurl=ldap://h/b?a?near",
          "ldap ldapurl=ldap://h:0/b",
          "ldap ldapurl=ldap://h/%2",
          "ldap ldapurl=ldap://h/b????x",
          "peer",
          "ident",
          "gss",
          "oauth",
          "radius",
          "MD5",
          "scram",
          "md5,trust"}) {
        INFO(wrong);
        CHECK(read("hostssl all all all "s + wrong + "\n").has_errors());
    }
    CHECK(read("host all all all md5 clientcert=verify-ca\n").has_errors());
    SECTION("what Pgpool-II only logs, and what can't work, are warnings")
    {
        for (const auto* odd :
             {"host all all all md5 pamservice=x", "host all all all cert", "local all all cert",
              "hostgssenc all all all trust", "host all all all trust backend_use_passwd=1"}) {
            const auto outcome = read(odd + "\n"s);
            INFO(odd);
            CHECK_FALSE(outcome.has_errors());
            CHECK(outcome.diagnostics.size() == 1);
        }
        const auto outcome = load_pool_hba_text("f", "hostssl all all all md5\n", false);
        CHECK_FALSE(outcome.has_errors());
        CHECK(outcome.diagnostics.size() == 1);
    }
}

TEST_CASE("One bad line refuses the whole file, with its place")
{
    const auto outcome = read("host all all all trust\n\nhos all all all trust\nhost all\n");
    CHECK(outcome.rules.records().empty());
    CHECK(errors_of(outcome).find("/etc/pool_hba.conf:3: error: invalid connection type \"hos\"") ==
          0);
    CHECK(errors_of(outcome).find("pool_hba.conf:4:") != std::string::npos);
    for (const auto& wrong :
         {""s, "# nothing\n"s, "host\n"s, "host all all\n"s, "host all all all\n"s, "local all\n"s,
          "local all all 10.0.0.0/8 md5\n"s, "host, local all all all trust\n"s,
          "host all all all trust\0\n"s, "\xef\xbb\xbfhost all all all trust\n"s,
          "host all \"bob all trust\n"s, "host all ,bob all trust\n"s,
          "host all bob, all trust,\n"s, "host all a,,b all trust\n"s, "host all + all trust\n"s}) {
        INFO(wrong);
        CHECK(read(wrong).has_errors());
    }
    CHECK_FALSE(load_pool_hba("/nonexistent/pool_hba.conf", true).diagnostics.empty());
    CHECK(load_pool_hba("/nonexistent/pool_hba.conf", true).has_errors());
    CHECK(load_pool_hba("/tmp", true).has_errors());
}

TEST_CASE("Files are bounded")
{
    std::string many;
    for (int line = 0; line < 20'001; ++line) many += "host a b all trust\n";
    CHECK(read(many).has_errors());
    CHECK(read("host " + std::string(5 << 20, 'x')).has_errors());
    CHECK(read(std::string(1 << 20, '"')).diagnostics.size() < 200);
    std::string names = "host a";
    for (int name = 0; name < 200'000; ++name) names += ",a";
    CHECK(read(names + " all all trust\n").has_errors());
    std::string joined;
    for (int line = 0; line < 1'000'000; ++line) joined += " \\\n";
    CHECK(read(joined).has_errors());  // no record
}

namespace {

/// A record chosen from few values, so that questions meet many of them, with the answer of a
/// reader that never saw the text.
struct chosen_record {
    std::string text;
    std::function<bool(const hba_question&)> fits;
};

template <class Value>
const Value& pick(const std::vector<Value>& from, std::mt19937& random)
{
    return from[random() % from.size()];
}

chosen_record choose_record(std::mt19937& random)
{
    using test = std::function<bool(const hba_question&)>;
    using choice = std::pair<std::string, test>;
    static const std::vector<choice> kinds{
        {"local", [](const auto& q) { return q.is_local; }},
        {"host", [](const auto& q) { return !q.is_local; }},
        {"hostssl", [](const auto& q) { return !q.is_local && q.is_encrypted; }},
        {"hostnossl", [](const auto& q) { return !q.is_local && !q.is_encrypted; }},
    };
    static const std::vector<choice> databases{
        {"all", [](const auto& q) { return q.replication != hba_replication::physical; }},
        {"sameuser",
         [](const auto& q) {
             return q.database == q.user && q.replication != hba_replication::physical;
         }},
        {"replication", [](const auto& q) { return q.replication == hba_replication::physical; }},
        {"\"all\"",
         [](const auto& q) {
             return q.database == "all" && q.replication != hba_replication::physical;
         }},
        {"a",
         [](const auto& q) {
             return q.database == "a" && q.replication != hba_replication::physical;
         }},
        {"/^a",
         [](const auto& q) {
             return q.database.starts_with('a') && q.replication != hba_replication::physical;
         }},
    };
    static const std::vector<choice> users{
        {"all", [](const auto&) { return true; }},
        {"a", [](const auto& q) { return q.user == "a"; }},
        {"\"all\"", [](const auto& q) { return q.user == "all"; }},
        {"+g", [](const auto& q) { return q.is_in_role && *q.is_in_role("g"); }},
    };
    static const std::vector<choice> addresses{
        {"all", [](const auto&) { return true; }},
        {"10.0.0.0/8", [](const auto& q) { return q.peer.to_text().starts_with("10."); }},
        {"::/0", [](const auto& q) { return !q.peer.is_ipv4(); }},
        {"0.0.0.0 0.0.0.0", [](const auto& q) { return q.peer.is_ipv4(); }},
        {"h.x", [](const auto& q) { return q.peer_name == "h.x"; }},
        {".x", [](const auto& q) { return q.peer_name.ends_with(".x"); }},
    };
    const auto& kind = pick(kinds, random);
    const auto& address = pick(addresses, random);
    const auto list = [&](const std::vector<choice>& of, std::string& text) {
        std::vector<test> tests;
        for (auto count = random() % 3 + 1; count != 0; --count) {
            const auto& chosen = pick(of, random);
            if (!tests.empty()) text += random() % 2 == 0 ? "," : ", ";
            text += chosen.first;
            tests.push_back(chosen.second);
        }
        text += random() % 2 == 0 ? " " : "\t ";
        return [tests](const hba_question& q) {
            return std::ranges::any_of(tests, [&](const auto& each) { return each(q); });
        };
    };
    std::string text = kind.first + " ";
    const auto database = list(databases, text);
    const auto user = list(users, text);
    const bool is_local = kind.first == "local";
    if (!is_local) text += address.first + " ";
    text += random() % 5 == 0 ? "\\\n md5\n" : "md5\n";
    return {text, [=](const hba_question& q) {
                return kind.second(q) && database(q) && user(q) && (is_local || address.second(q));
            }};
}

}  // namespace

TEST_CASE("Generated files and questions agree with a stupid twin")
{
    std::mt19937 random(20240229);
    const std::vector<std::string> names{"a", "ab", "all", "b", "replication"};
    const std::vector<std::string> peers{"10.1.1.1", "11.1.1.1", "::1", "::ffff:10.2.2.2"};
    const std::vector<std::string> peer_names{"", "h.x", "i.x", "x"};
    int found = 0;
    for (int round = 0; round < 1'000; ++round) {
        std::vector<chosen_record> records;
        std::string text;
        for (auto count = random() % 6 + 1; count != 0; --count) {
            records.push_back(choose_record(random));
            text += records.back().text;
        }
        const auto in = rules(text);
        REQUIRE(in.records().size() == records.size());
        for (int question = 0; question < 20; ++question) {
            auto asked =
                from(pick(peers, random).c_str(), pick(names, random), pick(names, random));
            asked.is_local = random() % 4 == 0;
            asked.is_encrypted = random() % 2 == 0;
            asked.replication = static_cast<hba_replication>(random() % 3);
            asked.peer_name = pick(peer_names, random);
            asked.name = asked.peer_name.empty() ? hba_question::name_state::unknown
                                                 : hba_question::name_state::known;
            if (random() % 2 == 0)
                asked.is_in_role = [](std::string_view) -> std::optional<bool> { return true; };
            const auto expected = std::ranges::find_if(
                records, [&](const chosen_record& each) { return each.fits(asked); });
            const auto answer = in.match(asked);
            const auto* record = answer.record;
            INFO(text);
            if (expected == records.end()) {
                if (answer.what != hba_answer::kind::none) FAIL("found one");
            } else {
                if (record != &in.records()[static_cast<std::size_t>(expected - records.begin())])
                    FAIL("found another");
                ++found;
            }
        }
    }
    CHECK(found > 1'000);
}

TEST_CASE("Damaged files never crash the reader, and remarks are printable")
{
    constexpr std::string_view seed_text =
        "local all all trust\nhost a,\"b c\",@l /^x$ 10.0.0.0/8 md5 # why\n"
        "hostssl sameuser +g .example.com cert map=m clientcert=verify-full\ninclude i\n"
        "host all all ::1 ffff:: ldap ldapurl=\"ldap://h/dc=x??sub?(a=b)\" \\\n ldaptls=1\n";
    const std::map<std::string, std::string> files{
        {"/etc/l", "one\n@l2\n"}, {"/etc/l2", "two"}, {"/etc/i", "host all all samenet pam\n"}};
    constexpr std::string_view likely = "'\\\"#=\n\r\t *|()[]{}^$.:;,/@+0123456789-_aZ\0\xff";
    std::mt19937 random(4711);
    int accepted = 0;
    for (int round = 0; round < 5'000; ++round) {
        std::string text(seed_text);
        for (auto changes = random() % 4 + 1; changes != 0; --changes) {
            const auto at = random() % text.size();
            switch (random() % 4) {
            case 0: text[at] = likely[random() % likely.size()]; break;
            case 1: text.insert(at, 1, likely[random() % likely.size()]); break;
            case 2: text.erase(at, 1 + random() % 8); break;
            default: text[at] = static_cast<char>(random()); break;
            }
            if (text.empty()) text = "x";
        }
        const auto outcome = read(text, files);
        accepted += outcome.has_errors() ? 0 : 1;
        for (const auto& remark : outcome.diagnostics) {
            for (const char c : to_text(remark)) {
                if (static_cast<unsigned char>(c) < 0x20) FAIL(to_text(remark));
            }
        }
        (void)outcome.rules.match(from("10.1.1.1", "a", "x"));
    }
    CHECK(accepted > 100);
    for (std::size_t size = 0; size < seed_text.size(); ++size)
        CHECK(read(seed_text.substr(0, size), files).diagnostics.size() < 20);
}
