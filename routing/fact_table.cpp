#include "routing/fact_table.hpp"

#include "core/base/always_assert.hpp"

#include <cstring>
#include <utility>

namespace pgtorii::routing {

namespace {

__extension__ typedef unsigned __int128 wide;

/// Multiplies to 128 bits and folds: each bit of both sides reaches the whole result.
std::uint64_t fold(std::uint64_t left, std::uint64_t right)
{
    const wide product = static_cast<wide>(left) * right;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t load(const char* from, std::size_t count)
{
    std::uint64_t word = 0;
    std::memcpy(&word, from, count);
    return word;
}

constexpr std::uint64_t odd_first = 0x9E3779B97F4A7C15;   // 2^64 / golden ratio
constexpr std::uint64_t odd_second = 0xD1B54A32D192ED03;  // a multiplier from L'Ecuyer's tables

/// What an entry costs besides its text and facts: list and map nodes, allocator headers.
constexpr std::size_t entry_overhead = 256;

std::size_t bytes_of(const query_facts& facts)
{
    std::size_t total = sizeof(query_facts) + facts.statements.capacity() * sizeof(statement_facts);
    const auto add = [&total](const std::string& text) { total += text.capacity(); };
    for (const auto& statement : facts.statements) {
        add(statement.name);
        add(statement.value);
        for (const auto* const names :
             {&statement.relations, &statement.functions, &statement.operators,
              &statement.cast_types, &statement.targets, &statement.executed}) {
            total += names->capacity() * sizeof(std::string);
            for (const auto& name : *names) add(name);
        }
        if (statement.inner) total += bytes_of(*statement.inner);
    }
    return total;
}

}  // namespace

std::uint64_t hash_of(std::string_view text, std::uint64_t seed)
{
    const char* at = text.data();
    std::size_t left = text.size();
    std::uint64_t state = seed ^ fold(left ^ odd_first, odd_second);
    for (; left >= 16; left -= 16, at += 16) {
        state = fold(load(at, 8) ^ odd_first ^ state, load(at + 8, 8) ^ odd_second ^ seed);
    }
    const std::uint64_t first = load(at, left < 8 ? left : 8);
    const std::uint64_t second = left > 8 ? load(at + 8, left - 8) : 0;
    state = fold(first ^ odd_first ^ state, second ^ odd_second ^ seed);
    return fold(state ^ odd_first, odd_second ^ seed);
}

const query_facts_ptr* fact_table::find(std::string_view text, std::uint64_t hash)
{
    const auto found = by_text_.find(probe{text, hash});
    if (found == by_text_.end()) return nullptr;
    by_use_.splice(by_use_.begin(), by_use_, found->second);
    return &found->second->facts;
}

void fact_table::insert(std::string_view text, std::uint64_t hash, query_facts_ptr facts)
{
    const std::size_t bytes = text.size() + bytes_of(*facts) + entry_overhead;
    if (bytes > bytes_max_) return;
    while (bytes_ + bytes > bytes_max_) drop_oldest();
    by_use_.push_front(entry{std::string(text), hash, std::move(facts), bytes});
    const auto& kept = by_use_.front();
    const bool is_new = by_text_.emplace(probe{kept.text, hash}, by_use_.begin()).second;
    always_assert(is_new);
    bytes_ += bytes;
}

void fact_table::drop_oldest()
{
    always_assert(!by_use_.empty());
    const auto& oldest = by_use_.back();
    by_text_.erase(probe{oldest.text, oldest.hash});
    bytes_ -= oldest.bytes;
    by_use_.pop_back();
}

void fact_table::clear()
{
    by_text_.clear();
    by_use_.clear();
    bytes_ = 0;
}

}  // namespace pgtorii::routing
