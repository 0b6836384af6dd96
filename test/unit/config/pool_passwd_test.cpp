#include "config/pool_passwd.hpp"

#include "config/password_cipher.hpp"
#include "config/secret_file.hpp"
#include "test/unit/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <random>
#include <sys/stat.h>
#include <unistd.h>

using namespace pgtorii::config;
using namespace pgtorii::test;
using namespace std::string_literals;

namespace {

constexpr auto verifier = "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy";
constexpr auto md5_hash = "md5093a08fd92d2fc9665c0ceb60841135c";

pool_passwd_outcome read(std::string_view text)
{
    return load_pool_passwd_text("pool_passwd", text);
}

void check_entry(const pool_passwd& in, std::string_view user, password_kind kind,
                 std::string_view value)
{
    INFO(user);
    const auto* found = in.find(user);
    REQUIRE(found != nullptr);
    CHECK(found->kind == kind);
    CHECK(found->value.view() == value);
}

std::vector<password_change> one_change(std::string user, std::string_view field)
{
    std::vector<password_change> made;
    made.push_back({std::move(user), secret{field}});
    return made;
}

unsigned mode_of(const std::filesystem::path& path)
{
    struct stat status{};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return status.st_mode & 07777;
}

/// What a shell says of a command's end; its output is in `file`.
int run(const std::string& command, const std::filesystem::path& file)
{
    return std::system((command + " >" + file.string() + " 2>&1 </dev/null").c_str());
}

std::string in_shell_quotes(const std::string& text)
{
    std::string made = "'";
    for (const char c : text) made += c == '\'' ? "'\\''"s : std::string(1, c);
    return made + "'";
}

}  // namespace

TEST_CASE("Entries have their kind by a prefix")
{
    const auto in =
        read("a:"s + md5_hash + "\nb:AESabcd==\nc:TEXTsecret\nd:plain\ne:md5short\nf:"s + verifier +
             "\ng:TEXT\nh:AES\ni:md\n");
    CHECK(in.diagnostics.empty());
    check_entry(in.entries, "a", password_kind::md5, md5_hash);
    check_entry(in.entries, "b", password_kind::aes, "abcd==");
    check_entry(in.entries, "c", password_kind::text, "secret");
    check_entry(in.entries, "d", password_kind::text, "plain");
    check_entry(in.entries, "e", password_kind::text, "md5short");
    check_entry(in.entries, "f", password_kind::scram, verifier);
    check_entry(in.entries, "g", password_kind::text, "");
    check_entry(in.entries, "h", password_kind::aes, "");
    CHECK(in.entries.find("x") == nullptr);
    CHECK(in.entries.find("A") == nullptr);
}

TEST_CASE("A backslash protects what would end a field")
{
    const auto in = read("a\\:b:p\\:q\\\\r\nc:x\\y\nd:z\\\n"
                         "e:SCRAM-SHA-256$4096\\:c2FsdA==$c3RvcmVk\\:c2VydmVy\n");
    check_entry(in.entries, "a:b", password_kind::text, "p:q\\r");
    check_entry(in.entries, "c", password_kind::text, "xy");
    check_entry(in.entries, "d", password_kind::text, "z\\");
    check_entry(in.entries, "e", password_kind::scram, verifier);
}

TEST_CASE("The long form has a user and a password for servers")
{
    const auto in = read("a:TEXTx:b:TEXTy\nc:"s + verifier + ":d:TEXTz\n");
    check_entry(in.entries, "a", password_kind::text, "x");
    CHECK(in.entries.find("a")->server_user == "b");
    CHECK(in.entries.find("a")->server_password.view() == "TEXTy");
    check_entry(in.entries, "c", password_kind::scram, verifier);
    CHECK(in.entries.find("c")->server_user == "d");
}

TEST_CASE("The first line of a user counts, and what can't be read is told without its text")
{
    const auto in = read("a:one\nsecretword\n:nobody\na:two\n\nb:x:y\nc:1\r\n" +
                         std::string(5'000, 'x') + ":y\nd:z\0z\n"s + "e:last");
    check_entry(in.entries, "a", password_kind::text, "one");
    check_entry(in.entries, "c", password_kind::text, "1");
    check_entry(in.entries, "e", password_kind::text, "last");
    CHECK(in.entries.size() == 3);
    REQUIRE(in.diagnostics.size() == 6);
    const std::size_t lines[] = {2, 3, 4, 6, 8, 9};
    for (std::size_t index = 0; index != 6; ++index) {
        CHECK(in.diagnostics[index].level == severity::warning);
        CHECK(in.diagnostics[index].line == lines[index]);
        for (const auto* text : {"secretword", "two", "xxx"})
            CHECK(to_text(in.diagnostics[index]).find(text) == std::string::npos);
    }
    CHECK(read(std::string(10'000, '\n') + "x\n").diagnostics[0].line == 10'001);
    std::string many;
    for (int line = 0; line < 1'000; ++line) many += "x\n";
    CHECK(read(many).diagnostics.size() == 100);
}

TEST_CASE("A file of passwords that others can read is told of")
{
    const temporary_directory directory;
    const auto path = (directory / "pool_passwd").string();
    CHECK(load_pool_passwd(path).diagnostics.at(0).level == severity::warning);
    write_file(path, "a:b\n");
    ::chmod(path.c_str(), 0640);
    CHECK(load_pool_passwd(path).diagnostics.empty());
    ::chmod(path.c_str(), 0644);
    CHECK(load_pool_passwd(path).diagnostics.size() == 1);
    CHECK(load_pool_passwd(path).entries.size() == 1);
    CHECK(load_pool_passwd(directory.path().string()).has_errors());
}

TEST_CASE("An update puts an entry in the place of the user's line")
{
    const auto update = [](std::string_view content, std::string user, std::string_view field) {
        return updated_pool_passwd(content, one_change(std::move(user), field));
    };
    CHECK(update("", "a", "x") == "a:x\n");
    CHECK(update("a:1\nb:2\nc:3\n", "b", "x") == "a:1\nb:x\nc:3\n");
    CHECK(update("a:1\nb:2", "c", "x") == "a:1\nb:2\nc:x\n");
    CHECK(update("a:1\n\nodd\nA:2\r\n", "b", "x") == "a:1\n\nodd\nA:2\r\nb:x\n");
    CHECK(update("a:1\na:2\n", "a", "x") == "a:x\na:2\n");
    CHECK(update("a\\:b:1:u:p\n", "a:b", "c:\\") == "a\\:b:c\\:\\\\\n");
    std::vector<password_change> several;
    for (const auto* user : {"b", "a", "b"}) several.push_back({user, secret{user + "!"s}});
    several.back().field = secret{"last"};
    CHECK(updated_pool_passwd("a:1\n", several) == "a:a!\nb:last\n");
}

TEST_CASE("What is written is found again, whatever is in it")
{
    std::mt19937 random(5);
    constexpr std::string_view likely = ":\\abm$=d5 TEXTAESSCRAM-SHA-256$\xc3\xbc#@\"'\r";
    std::string content;
    const auto word = [&] {
        std::string made;
        for (auto size = random() % 12 + 1; size != 0; --size)
            made += likely[random() % likely.size()];
        return made;
    };
    for (int round = 0; round < 3'000; ++round) {
        const auto user = word();
        const auto field = "TEXT" + word() + ".";
        content = updated_pool_passwd(content, one_change(user, field));
        const auto in = read(content);
        REQUIRE(in.diagnostics.empty());
        check_entry(in.entries, user, password_kind::text, field.substr(4));
        if (round % 50 == 0) content.clear();
    }
}

TEST_CASE("A file is replaced in one step, and keeps its mode")
{
    const temporary_directory directory;
    const auto path = (directory / "pool_passwd").string();
    CHECK_FALSE(update_pool_passwd(path, one_change("a", "x")));
    CHECK(read_file(path) == "a:x\n");
    CHECK(mode_of(path) == 0600);
    ::chmod(path.c_str(), 0640);
    const auto link = (directory / "link").string();
    std::filesystem::create_symlink("pool_passwd", link);
    CHECK_FALSE(update_pool_passwd(link, one_change("b", "y")));
    CHECK(read_file(path) == "a:x\nb:y\n");
    CHECK(mode_of(path) == 0640);
    CHECK(std::filesystem::is_symlink(link));
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator{directory.path()})
        ++count;
    CHECK(count == 2);
    CHECK(update_pool_passwd((directory / "no/such").string(), one_change("a", "x")));
    CHECK(update_pool_passwd(directory.path().string(), one_change("a", "x")));
}

TEST_CASE("AES entries are what pg_enc makes")
{
    CHECK(encrypt_password("secret", "key") == "c6l7kf+GIqkgqMNiHP6HaA==");
    CHECK(decrypt_password("c6l7kf+GIqkgqMNiHP6HaA==", "key")->view() == "secret");
    for (const auto* wrong : {"", "c6l7kf+GIqkgqMNiHP6HaA=", "c6l7kf+GIqkgqMNiHP6HaQ==", "====",
                              "c6l7", "!!!!", "c6l7kf+GIqkgqMNiHP6HaAAAAAAAAAAAAAAAAAAAAAAA"}) {
        INFO(wrong);
        CHECK_FALSE(decrypt_password(wrong, "key"));
    }
    CHECK_FALSE(decrypt_password("c6l7kf+GIqkgqMNiHP6HaA==", "other"));
    std::mt19937 random(1);
    for (int round = 0; round < 2'000; ++round) {
        std::string password(random() % 100, '\0');
        for (char& c : password) c = static_cast<char>(random());
        const auto key = std::to_string(random());
        const auto sealed = encrypt_password(password, key);
        REQUIRE(sealed);
        REQUIRE(decrypt_password(*sealed, key)->view() == password);
    }
}

TEST_CASE("The key is the first line of its file")
{
    const temporary_directory directory;
    const auto path = (directory / ".pgpoolkey").string();
    CHECK_FALSE(read_pool_key(path).key);
    CHECK(read_pool_key(path).diagnostics.empty());
    write_file(path, "my key \nmore\n");
    ::chmod(path.c_str(), 0600);
    CHECK(read_pool_key(path).key->view() == "my key ");
    CHECK(read_pool_key(path).diagnostics.empty());
    write_file(path, std::string(300, 'k'));
    CHECK(read_pool_key(path).key->view() == std::string(255, 'k'));
    ::chmod(path.c_str(), 0604);
    CHECK(read_pool_key(path).key);
    CHECK(read_pool_key(path).diagnostics.size() == 1);
    write_file(path, "\n");
    CHECK_FALSE(read_pool_key(path).key);
    CHECK_FALSE(read_pool_key(directory.path().string()).key);
}

TEST_CASE("A secret is gone when it is moved or wiped")
{
    secret first{"short"};
    secret second{std::move(first)};
    CHECK(first.empty());  // NOLINT: that is the point
    CHECK(second.view() == "short");
    const auto third = second.copy();
    second.wipe();
    CHECK(second.empty());
    CHECK(third.view() == "short");
}

TEST_CASE("Debian's pg_enc and pg_md5 write what is read here")
{
    if (!std::filesystem::exists("/usr/sbin/pg_enc")) {
        WARN("pg_enc is not installed");
        return;
    }
    const temporary_directory directory;
    write_file(directory / "pgpool.conf", "pool_passwd = 'pool_passwd'\n");
    const auto conf = (directory / "pgpool.conf").string();
    const auto told = directory / "told";
    const auto passwords = {"x"s,
                            "secret"s,
                            "fifteen bytes.."s,
                            "sixteen bytes..."s,
                            "with $ and : \\"s,
                            std::string(79, 'l'),
                            "s\xc3\xbc\xc3\x9f"s};
    int number = 0;
    for (const auto& password : passwords) {
        const auto user = "user" + std::to_string(number++);
        const auto tail = " -m -f " + conf + " -u ";
        const auto enc =
            "/usr/sbin/pg_enc -K 'a key'" + tail + user + " " + in_shell_quotes(password);
        const auto md5 = "/usr/sbin/pg_md5" + tail + user + "m " + in_shell_quotes(password);
        REQUIRE(run(enc, told) == 0);
        REQUIRE(run(md5, told) == 0);
    }
    const auto in = load_pool_passwd((directory / "pool_passwd").string());
    number = 0;
    for (const auto& password : passwords) {
        const auto user = "user" + std::to_string(number++);
        const auto* sealed = in.entries.find(user);
        REQUIRE(sealed != nullptr);
        CHECK(sealed->kind == password_kind::aes);
        CHECK(decrypt_password(sealed->value.view(), "a key")->view() == password);
        CHECK(encrypt_password(password, "a key") == std::string(sealed->value.view()));
        REQUIRE(in.entries.find(user + "m") != nullptr);
        CHECK(in.entries.find(user + "m")->kind == password_kind::md5);
    }
}
