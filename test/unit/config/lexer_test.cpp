#include "config/lexer.hpp"

#include <catch2/catch.hpp>

using namespace pgtorii::config;

namespace {

/// "n(port) =  i(1)": each token with a letter for its kind.
std::string tokens(std::string_view text)
{
    lexer input(text);
    std::string found;
    for (token each = input.next(); each.kind != token_kind::end; each = input.next()) {
        if (!found.empty()) found += ' ';
        switch (each.kind) {
        case token_kind::name: found += "n(" + each.text + ")"; break;
        case token_kind::unquoted: found += "u(" + each.text + ")"; break;
        case token_kind::quoted: found += "q(" + each.text + ")"; break;
        case token_kind::integer: found += "i(" + each.text + ")"; break;
        case token_kind::real: found += "r(" + each.text + ")"; break;
        case token_kind::equals: found += "="; break;
        case token_kind::newline: found += ";"; break;
        case token_kind::unterminated: found += "unterminated"; break;
        case token_kind::stray: found += "stray(" + each.text + ")"; break;
        case token_kind::end: break;
        }
    }
    return found;
}

}  // namespace

TEST_CASE("The lexer cuts as Pgpool-II's does")
{
    const struct {
        const char* text;
        const char* expected;
    } cases[] = {
        {"", ""},
        {"port = 9999\n", "n(port) = i(9999) ;"},
        {"port=9999", "n(port) = i(9999)"},
        {"port 9999", "n(port) i(9999)"},
        {"port\t=\r 9999\r\n", "n(port) = i(9999) ;"},
        {"# all comment", ""},
        {"# all comment\n", ";"},
        {"a = b# comment\nc", "n(a) = n(b) ; n(c)"},
        {"_a1 = \xc3\xa4", "n(_a1) = n(\xc3\xa4)"},
        {"a = host.example:5432", "n(a) = u(host.example:5432)"},
        {"a = b/c-d", "n(a) = u(b/c-d)"},
        {"a: 1", "u(a:) i(1)"},
        {"a = /tmp", "n(a) = stray(/) n(tmp)"},
        {"a = *", "n(a) = stray(*)"},
        {"a = \"b\"", "n(a) = stray(\") n(b) stray(\")"},
        {"a = 127.0.0.1", "n(a) = r(127.0) r(.0) r(.1)"},
        {"a = 1e1", "n(a) = i(1e) i(1)"},
        {"a = 1.5e-3x", "n(a) = r(1.5e-3) n(x)"},
        {"a = 1.5min", "n(a) = r(1.5) n(min)"},
        {"a = 2min", "n(a) = i(2min)"},
        {"a = 2 min", "n(a) = i(2) n(min)"},
        {"a = 0x1F", "n(a) = i(0x1F)"},
        {"a = 0xg", "n(a) = i(0xg)"},
        {"a = -1 +2 -.5 1.", "n(a) = i(-1) i(+2) r(-.5) r(1.)"},
        {"a = - 1", "n(a) = stray(-) i(1)"},
        {"9x = 1", "i(9x) = i(1)"},
        {".", "r(.)"},
        // Quotes
        {"a = 'b c'", "n(a) = q(b c)"},
        {"a = ''", "n(a) = q()"},
        {"a = 'b # c'", "n(a) = q(b # c)"},
        {"a = 'it''s'", "n(a) = q(it's)"},
        {"a = ''''", "n(a) = q(')"},
        {"a = '''b'''", "n(a) = q('b')"},
        {"a = 'it\\'s'", "n(a) = q(it\\'s)"},
        {"a = 'C:\\'", "n(a) = q(C:\\)"},
        {"a = 'C:\\' # it's", "n(a) = q(C:\\' # it) n(s)"},
        {"a = '\\n'", "n(a) = q(\\n)"},
        {"a = '\\\\'", "n(a) = q(\\\\)"},
        {"a = 'b", "n(a) = unterminated n(b)"},
        {"a = 'b\nc = 'd'", "n(a) = unterminated n(b) ; n(c) = q(d)"},
        {"a = '", "n(a) = unterminated"},
        {"a = 'b\\'\n", "n(a) = q(b\\) ;"},
        {"a = 'b' 'c'", "n(a) = q(b) q(c)"},
    };
    for (const auto& each : cases) {
        INFO(each.text);
        CHECK(tokens(each.text) == each.expected);
    }
}

TEST_CASE("A zero byte is a stray byte")
{
    CHECK(tokens(std::string_view("a\0b", 3)) == "n(a) stray(" + std::string(1, '\0') + ") n(b)");
}

TEST_CASE("Tokens know their line")
{
    lexer input("a\n\nb 'c' # d\ne");
    CHECK(input.next().line == 1);
    CHECK(input.next().line == 1);  // the newline itself
    CHECK(input.next().line == 2);
    const auto b = input.next();
    CHECK(b.line == 3);
    CHECK(input.rest_of_line(b.begin) == "b 'c' # d");
    input.skip_line();
    CHECK(input.next().line == 4);
    input.skip_line();
    CHECK(input.next().kind == token_kind::end);
    CHECK(input.next().kind == token_kind::end);
}
