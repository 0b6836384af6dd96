#include "routing/fact_cache.hpp"

#include "routing/lexer.hpp"
#include "routing/literal_key.hpp"

#include <algorithm>
#include <utility>

namespace pgtorii::routing {

namespace {

bool is_plain_ascii(std::string_view sql)
{
    return std::none_of(sql.begin(), sql.end(), [](char c) { return is_high(c) || c == '\\'; });
}

}  // namespace

fact_cache::fact_cache(const cache_limits& limits, const analyze_limits& bounds, std::uint64_t seed)
    : limits_(limits),
      seed_(seed),
      analyzer_(bounds),
      exact_(limits.bytes_max / 2),
      by_key_(limits.bytes_max / 2)
{
}

void fact_cache::set_query_patterns(std::shared_ptr<const config::pattern_list> patterns)
{
    if (patterns && patterns->empty()) patterns.reset();
    if (patterns == patterns_) return;
    patterns_ = std::move(patterns);
    exact_.clear();
    by_key_.clear();
}

bool fact_cache::matches_pattern(std::string_view sql)
{
    unquoted_.assign(sql);
    unquoted_.erase(std::remove(unquoted_.begin(), unquoted_.end(), '"'), unquoted_.end());
    return patterns_->matches(unquoted_);
}

query_facts_ptr fact_cache::analyze(std::string_view sql)
{
    auto facts = analyzer_.analyze(sql);
    if (patterns_) {
        facts.matches_query_pattern = matches_pattern(sql);
        facts.depends_on_literals = true;
        auto& first = facts.statements.front();
        if (first.kind == statement_kind::explain_route) {
            auto explained = *first.inner;
            explained.matches_query_pattern = matches_pattern(first.value);
            first.inner = std::make_shared<const query_facts>(std::move(explained));
        }
    }
    return std::make_shared<const query_facts>(std::move(facts));
}

bool fact_cache::was_seen_lately(std::uint64_t hash)
{
    return std::exchange(seen_[hash % seen_.size()], hash) == hash;
}

query_facts_ptr fact_cache::find_or_analyze(std::string_view sql, const text_rules& rules)
{
    if (!(rules.standard_conforming_strings && rules.ascii_safe_encoding) && !is_plain_ascii(sql)) {
        return std::make_shared<const query_facts>(unreadable(sql));
    }
    if (sql.size() > limits_.text_bytes_max) {
        ++counts_.misses;
        return analyze(sql);
    }
    const auto hash = hash_of(sql, seed_);
    if (const auto* found = exact_.find(sql, hash)) {
        ++counts_.exact_hits;
        return *found;
    }
    const bool has_key =
        !patterns_ && sql.size() <= limits_.key_text_bytes_max && make_literal_key(sql, key_);
    const auto key_hash = has_key ? hash_of(key_, seed_) : 0;
    if (has_key) {
        if (const auto* found = by_key_.find(key_, key_hash)) {
            ++counts_.key_hits;
            if (was_seen_lately(hash)) exact_.insert(sql, hash, *found);
            return *found;
        }
    }
    ++counts_.misses;
    auto facts = analyze(sql);
    if (has_key && !facts->depends_on_literals) {
        by_key_.insert(key_, key_hash, facts);
    } else {
        exact_.insert(sql, hash, facts);
    }
    return facts;
}

}  // namespace pgtorii::routing
