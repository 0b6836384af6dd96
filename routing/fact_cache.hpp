#pragma once

#include "config/pattern_list.hpp"
#include "routing/analyze.hpp"
#include "routing/fact_table.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace pgtorii::routing {

struct cache_limits {
    std::size_t bytes_max = 16 * 1024 * 1024;   ///< Of the whole cache.
    std::size_t text_bytes_max = 64 * 1024;     ///< Longer texts are analysed each time.
    std::size_t key_text_bytes_max = 8 * 1024;  ///< Longer texts get no key without literals.
};

/// What a session knows of how the server will read its texts.
struct text_rules {
    bool standard_conforming_strings = true;
    bool ascii_safe_encoding =
        true;  ///< No byte of a multibyte character is ASCII: all but SJIS, BIG5, GBK, ...
};

/// Facts of texts, remembered: by the exact text, and by the text without its literals where these
/// don't matter. One for each worker, used by its thread only. The answers are those of
/// analyzer::analyze, whatever was asked before.
class fact_cache {
public:
    /// `seed` should be random for each process: clients choose the texts that are hashed.
    fact_cache(const cache_limits& limits, const analyze_limits& bounds, std::uint64_t seed);

    /// Never null. Under other rules than the defaults a text with a backslash or beyond ASCII is
    /// unparsed.
    query_facts_ptr find_or_analyze(std::string_view sql, const text_rules& rules);

    /// primary_routing_query_pattern_list after a start or reload; null or empty: none. Patterns
    /// look at literals too, so with a list nothing is found but the exact text. Forgets what was
    /// cached under other patterns.
    void set_query_patterns(std::shared_ptr<const config::pattern_list> patterns);

    struct counters {
        std::uint64_t exact_hits = 0;
        std::uint64_t key_hits = 0;
        std::uint64_t misses = 0;
    };
    const counters& counts() const { return counts_; }
    std::size_t bytes() const { return exact_.bytes() + by_key_.bytes(); }

private:
    query_facts_ptr analyze(std::string_view sql);
    bool matches_pattern(std::string_view sql);
    bool was_seen_lately(std::uint64_t hash);

    cache_limits limits_;
    std::uint64_t seed_;
    analyzer analyzer_;
    fact_table exact_;
    fact_table by_key_;
    std::shared_ptr<const config::pattern_list> patterns_;
    // Hashes of texts that were found by key. One that comes again is worth an entry of its own,
    // which is found sooner; texts that come once, each with another literal, must not push the
    // others out.
    std::array<std::uint64_t, 256> seen_{};
    std::string key_;       // borrowed by each call
    std::string unquoted_;  // likewise
    counters counts_;
};

}  // namespace pgtorii::routing
