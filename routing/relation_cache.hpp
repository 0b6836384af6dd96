#pragma once

#include "core/base/clock.hpp"
#include "routing/catalog_facts.hpp"
#include "routing/catalog_question.hpp"
#include "routing/statement_facts.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pgtorii::routing {

/// Where names resolve: a database, with the user, role and search_path of a session. Made by
/// relation_cache::space_of only, so equal namespaces are one object.
struct catalog_namespace {
    std::string key;
    std::string database;
    /// What brings a fresh link of the session's pool into this namespace, in order.
    std::vector<std::string> statements;
    /// Grows with every change of the schema of the database that anybody here has seen.
    std::shared_ptr<const std::atomic<std::uint64_t>> generation;
    /// No look-up before: the last one found no server.
    clock::time_point refused_until{};
};
using catalog_namespace_ptr = std::shared_ptr<catalog_namespace>;

struct relation_cache_limits {
    std::size_t entry_count_max = 256;     ///< Names kept for each database (relcache_size).
    std::chrono::seconds life_time{0};     ///< Zero: no limit (relcache_expire).
    std::size_t verdict_count_max = 2048;  ///< Texts whose facts are kept, of all databases.
    std::size_t look_up_count_max = 64;    ///< Under way at one time.
};

/// Why a look-up gave no answer.
enum class look_up_failure : std::uint8_t {
    busy,          ///< No place for a link at once: asked again by the next who wants to know.
    refused_text,  ///< The server didn't answer this question.
    no_server,     ///< No link, or it was lost, or the time was over.
    not_admitted,  ///< The server asks for a secret, or lets this user in no more.
};

/// What the catalog has said of names, and of whole texts. One for each worker, used by its thread
/// only; the clock is passed in.
///
/// A name is asked once at a time, whoever wants it; what was asked stays until it is older than
/// life_time, the schema of its database changes, or newer names of that database push it out. The
/// facts of a whole text are put together from its names, and remembered by the text's query_facts,
/// so that a text that comes again costs one look into a hash table.
class relation_cache {
public:
    /// How long nothing is asked again after a failure.
    static constexpr std::chrono::seconds refusal_time{1};
    /// The same where trying again can't help soon.
    static constexpr std::chrono::seconds long_refusal_time{30};

    explicit relation_cache(const relation_cache_limits& limits) : limits_(limits) {}

    void set_limits(const relation_cache_limits& limits) { limits_ = limits; }

    /// The namespace of this key: the same object as long as somebody holds it.
    catalog_namespace_ptr space_of(std::string_view key, std::string_view database,
                                   std::vector<std::string> statements,
                                   std::shared_ptr<const std::atomic<std::uint64_t>> generation);

    /// The facts of a text; null: not known. Valid until the next call that isn't const.
    const catalog_facts* find(const catalog_namespace_ptr& space, const query_facts_ptr& text,
                              clock::time_point now);

    enum class asked : std::uint8_t {
        refused,  ///< Not to be asked (now).
        waiting,  ///< `waiter` is among those that the look-up under way will wake.
        start,    ///< The same, and `look_up` has to be sent.
    };
    struct look_up {
        std::uint64_t id = 0;
        std::vector<catalog_name> names;
    };
    /// To be asked after find() has given null. May say `refused` where find() now knows.
    asked ask(const catalog_namespace_ptr& space, const query_facts_ptr& text, std::uint64_t waiter,
              clock::time_point now, look_up& started);

    /// The end of a look-up. Both give those who waited for it.
    std::vector<std::uint64_t> answered(std::uint64_t id, const catalog_question& answer,
                                        clock::time_point now);
    std::vector<std::uint64_t> failed(std::uint64_t id, look_up_failure why, clock::time_point now);

    struct counters {
        std::uint64_t hits = 0;      ///< Texts whose facts were known.
        std::uint64_t look_ups = 0;  ///< Begun.
        std::uint64_t failures = 0;  ///< Of them.
    };
    const counters& counts() const { return counts_; }
    /// For tests and SHOW.
    std::size_t entry_count() const { return entries_.size(); }
    std::size_t verdict_count() const { return verdicts_.size(); }
    std::size_t look_up_count() const { return look_ups_.size(); }

private:
    struct name_key {
        const catalog_namespace* space;
        name_kind kind;
        std::string_view name;  // looks into the entry or the look-up
        bool operator==(const name_key&) const = default;
    };
    struct text_key {
        const catalog_namespace* space;
        const query_facts* text;
        bool operator==(const text_key&) const = default;
    };
    struct key_hash {
        std::size_t operator()(const name_key& key) const;
        std::size_t operator()(const text_key& key) const;
    };
    /// While it is older than neither the schema nor its time.
    struct validity {
        std::uint64_t generation;
        clock::time_point ends_at;
        bool holds(const catalog_namespace& space, clock::time_point now) const;
    };
    struct entry {
        catalog_namespace_ptr space;
        catalog_name name;
        catalog_facts facts;
        validity valid;
    };
    struct verdict {
        catalog_namespace_ptr space;
        query_facts_ptr text;
        catalog_facts facts;
        validity valid;
        bool is_refusal = false;  // until valid.ends_at
        bool was_used = false;    // since it was last looked at for dropping
    };
    struct under_way {
        catalog_namespace_ptr space;
        query_facts_ptr text;
        std::vector<catalog_name> names;
        std::uint64_t generation;
        std::vector<std::uint64_t> waiters;
    };
    using entry_list = std::list<entry>;  // newest first

    const entry* find_name(const catalog_namespace& space, const catalog_name& name,
                           clock::time_point now);
    const catalog_facts* compose(const catalog_namespace_ptr& space, const query_facts_ptr& text,
                                 validity valid, const catalog_question* fresh,
                                 clock::time_point now);
    verdict& remember(const catalog_namespace_ptr& space, const query_facts_ptr& text);
    void remember(const catalog_namespace_ptr& space, const catalog_name& name,
                  const catalog_facts& facts, validity valid);
    void refuse(const catalog_namespace_ptr& space, const query_facts_ptr& text,
                clock::time_point until);
    under_way take(std::uint64_t id);
    void forget_unused_spaces();

    relation_cache_limits limits_;
    std::unordered_map<std::string, std::weak_ptr<catalog_namespace>> spaces_;
    std::size_t spaces_looked_at_ = 64;                   // at this size unused ones are dropped
    std::unordered_map<std::string, entry_list> by_use_;  // by database
    std::unordered_map<name_key, entry_list::iterator, key_hash> entries_;
    std::unordered_map<text_key, verdict, key_hash> verdicts_;
    std::deque<text_key> verdicts_by_age_;  // a used one gets a second turn before it is dropped
    std::unordered_map<std::uint64_t, under_way> look_ups_;
    std::unordered_map<name_key, std::uint64_t, key_hash> asked_names_;  // look-up by name
    std::uint64_t next_id_ = 1;
    const catalog_facts nothing_;
    counters counts_;
};

}  // namespace pgtorii::routing
