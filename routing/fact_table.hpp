#pragma once

#include "routing/statement_facts.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

namespace pgtorii::routing {

/// A 64-bit hash of `text` that nobody who does not know `seed` can make collide on purpose.
std::uint64_t hash_of(std::string_view text, std::uint64_t seed);

/// Facts by text, bounded in bytes; what was used least recently goes first. A find compares the
/// whole text.
class fact_table {
public:
    explicit fact_table(std::size_t bytes_max) : bytes_max_(bytes_max) {}

    /// Null when the text is not there. `hash` is hash_of the text, always with one seed. The
    /// pointer is valid until the next call.
    const query_facts_ptr* find(std::string_view text, std::uint64_t hash);

    /// `text` must not be there. One that alone would fill the table is not kept.
    void insert(std::string_view text, std::uint64_t hash, query_facts_ptr facts);
    void clear();
    std::size_t bytes() const { return bytes_; }
    std::size_t size() const { return by_text_.size(); }

private:
    struct entry {
        std::string text;
        std::uint64_t hash = 0;
        query_facts_ptr facts;
        std::size_t bytes = 0;
    };
    struct probe {
        std::string_view text;
        std::uint64_t hash = 0;
        bool operator==(const probe& other) const
        {
            return hash == other.hash && text == other.text;
        }
    };
    struct probe_hash {
        std::size_t operator()(const probe& key) const { return key.hash; }
    };

    void drop_oldest();

    std::size_t bytes_max_;
    std::size_t bytes_ = 0;
    std::list<entry> by_use_;  // newest first; the keys of by_text_ look into its texts
    std::unordered_map<probe, std::list<entry>::iterator, probe_hash> by_text_;
};

}  // namespace pgtorii::routing
