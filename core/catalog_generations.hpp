#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace pgtorii::core {

/// How often the schema of each database has changed, as far as this process has seen: what workers
/// remember of a catalog holds while its number is the same. Any thread.
class catalog_generations {
public:
    using number = std::atomic<std::uint64_t>;

    /// The number of a database, for as long as anybody wants to look at it.
    std::shared_ptr<const number> of(std::string_view database)
    {
        const std::lock_guard guard{mutex_};
        auto& found = numbers_[std::string{database}];
        if (!found) found = std::make_shared<number>(0);
        return found;
    }

    /// The schema of this database has changed. Of one that nobody looks at nothing is kept.
    void changed(std::string_view database)
    {
        const std::lock_guard guard{mutex_};
        const auto found = numbers_.find(std::string{database});
        if (found != numbers_.end()) found->second->fetch_add(1, std::memory_order_acq_rel);
    }

private:
    std::mutex mutex_;
    std::unordered_map<std::string, std::shared_ptr<number>> numbers_;
};

}  // namespace pgtorii::core
