#include "config/load.hpp"
#include "config/parameter.hpp"
#include "config/sample.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace pgtorii::config;

namespace {

/// A file that exercises every kind of token, to be damaged.
constexpr std::string_view seed_text =
    "listen_addresses = '*'\nport = 9999 max_pool 4\n# comment\nbackend_hostname0 = 'host1'\n"
    "backend_port0 = 5432\nbackend_weight0 = 0.5\nhealth_check_period0 = 2min\n"
    "write_function_list = 'a.*,(b|c){2},[[:alpha:]]+'\n"
    "primary_routing_query_pattern_list = '.*x\\;.*;\\'y\\''\n"
    "database_redirect_preference_list = 'a:primary(0.5),b:1'\nssl = off\n"
    "reset_query_list = 'ABORT; DISCARD ALL'\nlog_line_prefix = 'it''s \\'%m'\nwd_port0 = 0x2328\n"
    "dml_adaptive_object_relationship_list = 'f():t'\ndelay_threshold = '1e6'\nnosuch = 1\n";

std::string damaged(std::string text, std::mt19937& random)
{
    const auto below = [&](std::size_t n) {
        return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
    };
    constexpr std::string_view likely = "'\\\"#=\n\r\t *|()[]{}^$.:;,0123456789eExX+-_aZ\0\xff";
    const auto changes = 1 + below(12);
    for (std::size_t i = 0; i < changes && !text.empty(); ++i) {
        const auto at = below(text.size());
        switch (below(5)) {
        case 0: text[at] = likely[below(likely.size())]; break;
        case 1: text.insert(at, 1, likely[below(likely.size())]); break;
        case 2: text.erase(at, 1 + below(8)); break;
        case 3: text.insert(at, text.substr(below(text.size()), below(40))); break;
        default: text[at] = static_cast<char>(below(256)); break;
        }
    }
    return text;
}

}  // namespace

TEST_CASE("Damaged files never crash the loader, and what it accepts is in range")
{
    constexpr unsigned seed = 20240229;
    INFO("seed " << seed);
    std::mt19937 random(seed);
    int accepted = 0;
    for (int round = 0; round < 4'000; ++round) {
        const auto text = damaged(std::string(seed_text), random);
        const auto outcome = load_text("f", text);
        CHECK(outcome.diagnostics.size() < 250);
        for (const auto& remark : outcome.diagnostics) {
            if (remark.message.empty()) FAIL(text);
            for (const char c : to_text(remark)) {
                if (static_cast<unsigned char>(c) < 0x20) FAIL(to_text(remark));
            }
        }
        if (outcome.has_errors()) continue;
        ++accepted;
        for_each_parameter([&](const section&, const parameter& row) {
            for (std::size_t i = 0; i < slot_count(outcome.values, row); ++i) {
                const auto held = row.get(outcome.values, i);
                const auto* number = std::get_if<std::int64_t>(&held);
                const bool is_unset = number != nullptr && *number == 0;
                if (row.kind == kind::integer && !is_unset &&
                    (*number < row.minimum || *number > row.maximum))
                    FAIL(row.name);
            }
        });
    }
    CHECK(accepted > 100);
}

TEST_CASE("Random bytes never crash the loader")
{
    std::mt19937 random(4711);
    for (int round = 0; round < 2'000; ++round) {
        std::string text(std::uniform_int_distribution<std::size_t>(0, 300)(random), '\0');
        for (char& c : text) c = static_cast<char>(random());
        const auto outcome = load_text("f", text);
        CHECK(outcome.values.backends.size() <= 128);
    }
}

TEST_CASE("A file cut at every byte never crashes the loader")
{
    for (std::size_t length = 0; length < seed_text.size(); ++length)
        CHECK(load_text("f", seed_text.substr(0, length)).diagnostics.size() < 20);
}
