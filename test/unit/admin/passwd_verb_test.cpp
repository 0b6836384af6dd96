#include "admin/passwd_verb.hpp"

#include "config/password_cipher.hpp"
#include "config/pool_passwd.hpp"
#include "protocol/authentication.hpp"
#include "protocol/scram_keys.hpp"
#include "test/unit/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <sstream>
#include <sys/stat.h>

using namespace pgtorii;
using namespace pgtorii::test;
using namespace std::string_literals;

namespace {

struct told {
    int code = 0;
    std::string out;
    std::string terminal;
    std::vector<std::string> questions;
};

told run(const std::vector<std::string>& arguments, const std::vector<std::string>& answers = {},
         const core::surroundings& around = {})
{
    told made;
    std::ostringstream out;
    std::ostringstream terminal;
    const admin::secret_prompt ask = [&](std::string_view question) {
        made.questions.emplace_back(question);
        return made.questions.size() > answers.size()
                   ? std::optional<config::secret>{}
                   : std::optional{config::secret{answers[made.questions.size() - 1]}};
    };
    made.code = admin::run_passwd(arguments, around, ask, out, terminal);
    made.out = out.str();
    made.terminal = terminal.str();
    return made;
}

}  // namespace

TEST_CASE("passwd prints what pg_enc and pg_md5 make")
{
    CHECK(run({"-K", "key", "secret"}).out == "AESc6l7kf+GIqkgqMNiHP6HaA==\n");
    CHECK(run({"--pcp", "secret"}).out == "5ebe2294ecd0e0f08eab7690d2a6ee69\n");
    CHECK(run({"--md5", "-u", "x", "secret"}).out == "md5ac2b10d9871b8fe9d086b7652279ff79\n");
    auto verifier = run({"--scram", "-u", "x", "secret"}).out;
    verifier.pop_back();
    const auto parsed = protocol::scram_verifier::parse(verifier);
    REQUIRE(parsed.has_value());
    CHECK(parsed->fits("secret"));
    CHECK(parsed->iteration_count == 4'096);
    CHECK(run({"--help"}).out.find("--scram") != std::string::npos);
}

TEST_CASE("passwd asks for what is not given")
{
    const auto asked = run({"-P"}, {"key", "secret"});
    CHECK(asked.out == "AESc6l7kf+GIqkgqMNiHP6HaA==\n");
    CHECK(asked.questions == std::vector<std::string>{"encryption key: ", "password: "});
    CHECK(run({"-P", "secret"}).code == 1);
    CHECK(run({"--pcp"}).code == 1);
    CHECK(run({"--pcp"}, {""}).code == 1);
    CHECK(run({"--pcp", "-p"}, {"secret"}).out == "5ebe2294ecd0e0f08eab7690d2a6ee69\n");
}

TEST_CASE("passwd finds the key where Pgpool-II does")
{
    const temporary_directory directory;
    write_file(directory / ".pgpoolkey", "key\n");
    write_file(directory / "other", "thekey\n");
    const auto home = directory.path().string();
    CHECK(run({"secret"}, {}, {.current_directory = "/", .home = home, .key_file = ""}).out ==
          "AESc6l7kf+GIqkgqMNiHP6HaA==\n");
    CHECK(run({"secret"}, {}, {.current_directory = "/", .home = home, .key_file = home + "/other"})
              .out == "AESjxddJAjYgkQUsTBNWr1WEg==\n");
    CHECK(run({"-k", home + "/other", "secret"}).out == "AESjxddJAjYgkQUsTBNWr1WEg==\n");
    CHECK(run({"-k", home + "/none", "secret"}).code == 1);
    CHECK(run({"secret"}).code == 1);
}

TEST_CASE("passwd puts entries into pool_passwd")
{
    const temporary_directory directory;
    const auto conf = (directory / "pgpool.conf").string();
    const auto file = directory / "passwords";
    write_file(conf, "pool_passwd = 'passwords'\n");
    write_file(file, "bob:old\ncarol:TEXTx\n");
    CHECK(run({"-m", "-f", conf, "-u", "bob", "-K", "key", "secret"}).code == 0);
    CHECK(run({"-m", "-f", conf, "-u", "a:b", "--scram", "secret"}).code == 0);
    CHECK(run({"-m", "-f", conf, "-u", "dave", "--md5", "secret"}).out.empty());
    write_file(directory / "users", "eve:one\n\nnocolon\nbob:two:three\n:x\ny:\n");
    const auto pairs = run({"-m", "-f", conf, "-K", "key", "-i", (directory / "users").string()});
    CHECK(pairs.code == 0);
    for (const auto* line : {"LINE#03", "LINE#05", "LINE#06"})
        CHECK(pairs.terminal.find(line) != std::string::npos);
    const auto in = config::load_pool_passwd(file.string()).entries;
    CHECK(in.size() == 5);
    const auto plain = [&](const char* user) {
        return std::string(config::decrypt_password(in.find(user)->value.view(), "key")->view());
    };
    CHECK(plain("bob") == "two:three");
    CHECK(plain("eve") == "one");
    CHECK(in.find("a:b")->kind == config::password_kind::scram);
    CHECK(protocol::scram_verifier::parse(in.find("a:b")->value.view())->fits("secret"));
    CHECK(protocol::fits_md5_verifier(in.find("dave")->value.view(), "dave", "secret"));
    CHECK(read_file(file).find("bob:") == 0);
    SECTION("or prints them")
    {
        const auto printed = run({"--pcp", "-i", (directory / "users").string()});
        CHECK(printed.out.find("eve:") == 0);
    }
}

TEST_CASE("passwd refuses calls that make no sense, and tells no secret")
{
    const temporary_directory directory;
    const auto conf = (directory / "pgpool.conf").string();
    write_file(conf, "pool_passwd = ''\n");
    for (const auto& wrong :
         std::vector<std::vector<std::string>>{{"--nothing", "secret"},
                                               {"secret", "more"},
                                               {"-u"},
                                               {"-m", "--pcp", "secret"},
                                               {"--md5", "-i", "/nonexistent", "secret"},
                                               {"--md5", "-i", "/nonexistent"},
                                               {"--md5", "-u", "a\nb", "secret"},
                                               {"--md5", "-m", "-f", "/nonexistent", "secret"},
                                               {"--md5", "-m", "-f", conf, "secret"},
                                               {"--md5", ""}}) {
        const auto made = run(wrong);
        CHECK(made.code == 1);
        CHECK(made.out.empty());
        CHECK_FALSE(made.terminal.empty());
        CHECK(made.terminal.find("secret") == std::string::npos);
    }
}
