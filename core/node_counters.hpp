#pragma once

#include "config/settings.hpp"
#include "routing/statement_facts.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace pgtorii::core {

/// Severities of a server's ErrorResponse, as SHOW POOL_BACKEND_STATS counts them.
enum class error_severity : std::uint8_t { error, fatal, panic };

/// The severity that an ErrorResponse's field S or V names.
inline std::optional<error_severity> error_severity_of(std::string_view word)
{
    if (word == "ERROR") return error_severity::error;
    if (word == "FATAL") return error_severity::fatal;
    if (word == "PANIC") return error_severity::panic;
    return std::nullopt;
}

/// What was sent to one node since start: a row of SHOW POOL_BACKEND_STATS.
struct node_counts {
    std::array<std::uint64_t, 6> statements{};  ///< By routing::statement_class.
    std::array<std::uint64_t, 3> errors{};      ///< By error_severity.

    std::uint64_t of(routing::statement_class which) const
    {
        return statements[static_cast<std::size_t>(which)];
    }
    std::uint64_t of(error_severity which) const { return errors[static_cast<std::size_t>(which)]; }
};

/// The counters of all nodes, one object for the process. Any thread; relaxed, so the numbers of a
/// snapshot need not be of one moment. A node id that can't exist is not counted.
class node_counters {
public:
    static constexpr std::size_t node_count_max = config::backend_index_max + 1;

    void count(int node, routing::statement_class which)
    {
        if (has(node)) add(nodes_[index(node)].statements[static_cast<std::size_t>(which)]);
    }
    void count_error(int node, error_severity which)
    {
        if (has(node)) add(nodes_[index(node)].errors[static_cast<std::size_t>(which)]);
    }
    /// The same by the word of the field S or V; other words are not counted.
    void count_error(int node, std::string_view severity)
    {
        if (const auto which = error_severity_of(severity)) count_error(node, *which);
    }

    /// The counts of all nodes that can exist; the index is the node id.
    std::vector<node_counts> snapshot() const
    {
        std::vector<node_counts> counts(node_count_max);
        for (std::size_t node = 0; node < node_count_max; ++node) {
            copy(nodes_[node].statements, counts[node].statements);
            copy(nodes_[node].errors, counts[node].errors);
        }
        return counts;
    }

private:
    using counter = std::atomic<std::uint64_t>;

    // Nodes do not share cache lines; workers that use one node do.
    struct alignas(64) node {
        std::array<counter, 6> statements{};
        std::array<counter, 3> errors{};
    };

    static bool has(int id) { return id >= 0 && index(id) < node_count_max; }
    static std::size_t index(int id) { return static_cast<std::size_t>(id); }
    static void add(counter& which) { which.fetch_add(1, std::memory_order_relaxed); }
    template <std::size_t Count>
    static void copy(const std::array<counter, Count>& from, std::array<std::uint64_t, Count>& to)
    {
        for (std::size_t i = 0; i < Count; ++i) to[i] = from[i].load(std::memory_order_relaxed);
    }

    std::array<node, node_count_max> nodes_;
};

}  // namespace pgtorii::core
