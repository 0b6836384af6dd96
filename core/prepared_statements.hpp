#pragma once

#include "core/session_settings.hpp"
#include "routing/statement_facts.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pgtorii::core {

/// A prepared statement, of the protocol or of SQL (a server has one space of names for both): all
/// that is needed to prepare it again on another link.
struct prepared_statement {
    /// Never used twice in a worker: tells two statements of one name apart.
    std::uint64_t id = 0;
    /// Equal for statements of equal text, types and text settings, whose sessions share links;
    /// zero: shared with nobody.
    std::uint64_t content = 0;
    std::string name;  ///< The client's, its significant part; empty: the unnamed statement.
    /// Its name on links where they are shared, so that equal names of several sessions don't meet,
    /// and equal contents do; empty: the client's.
    std::string shared_name;
    const std::string& link_name() const { return shared_name.empty() ? name : shared_name; }
    std::string text;     ///< Of SQL: the PREPARE statement itself.
    bool is_sql = false;  ///< Made by PREPARE.
    bool is_cut = false;  ///< Too long to be kept: it is only where it was made.
    std::vector<std::uint32_t> parameter_types;
    routing::query_facts_ptr facts;
    /// By which its text was read: its constants keep what they meant then.
    session_settings::text_settings_ptr text_settings;
    std::string search_path;  ///< Of then: the statement that had set it.
    /// What its client has been told of its result (shape_of_row; no_result_shape); zero: nothing.
    /// The one thing that is learned later.
    mutable std::uint64_t shape = 0;
};

/// What a server goes by of the name of a statement or portal: SQL cuts longer ones, and its tables
/// compare no more of those of the protocol (NAMEDATALEN).
inline std::string_view significant_part(std::string_view name)
{
    constexpr std::size_t significant_bytes = 63;
    return name.substr(0, significant_bytes);
}

/// What the names of shared statements on links begin with.
inline constexpr std::string_view shared_name_prefix = "pgtorii_";

inline std::string shared_name_of(std::uint64_t content)
{
    constexpr std::string_view digits = "0123456789abcdef";
    std::string name{shared_name_prefix};
    for (int shift = 60; shift >= 0; shift -= 4) name.push_back(digits[content >> shift & 15U]);
    return name;
}

/// The shape of a statement without a result.
inline constexpr std::uint64_t no_result_shape = 1;

/// What a link has under a name.
struct placed_statement {
    std::uint64_t id = 0;
    std::uint64_t content = 0;
    std::uint64_t shape = 0;  ///< As far as somebody has asked for it here.
    /// It is this one, or another one (of whatever session) that does the same.
    bool serves_as(const prepared_statement& wanted) const
    {
        return id == wanted.id || (content != 0 && content == wanted.content);
    }
};

/// The ids of a worker's statements and their contents; no other worker gives the same ones. A link
/// that has come from another worker just has nothing that is known here.
class statement_ids {
public:
    explicit statement_ids(int worker) : last_((static_cast<std::uint64_t>(worker) + 1) << 48) {}

    std::uint64_t next() { return ++last_; }
    /// The id of what `key` describes. Forgets all when there are too many: the same content then
    /// gets a new id, and is prepared once more.
    std::uint64_t content_of(std::string&& key);

private:
    static constexpr std::size_t key_bytes_max = 4 * 1024 * 1024;
    std::uint64_t last_;
    std::unordered_map<std::string, std::uint64_t> contents_;
    std::size_t key_bytes_ = 0;
};

inline std::uint64_t statement_ids::content_of(std::string&& key)
{
    if (const auto known = contents_.find(key); known != contents_.end()) return known->second;
    constexpr std::size_t entry_bytes = 100;
    if (key_bytes_ + key.size() + entry_bytes > key_bytes_max) {
        contents_.clear();
        key_bytes_ = 0;
    }
    key_bytes_ += key.size() + entry_bytes;
    return contents_.emplace(std::move(key), next()).first->second;
}

using prepared_ptr = std::shared_ptr<const prepared_statement>;

/// The statements that servers have accepted from this session, by the client's name.
class prepared_statements {
public:
    prepared_ptr find(const std::string& name) const
    {
        if (!by_name_) return nullptr;
        const auto found = by_name_->find(name);
        return found == by_name_->end() ? nullptr : found->second;
    }
    void add(prepared_ptr statement)
    {
        if (!by_name_) by_name_ = std::make_unique<table>();
        (*by_name_)[statement->name] = std::move(statement);
    }
    void remove(const std::string& name)
    {
        if (by_name_) by_name_->erase(name);
    }
    /// Removes that statement, unless its name has gone to another one since.
    void remove(const prepared_statement& statement)
    {
        if (!by_name_) return;
        const auto found = by_name_->find(statement.name);
        if (found != by_name_->end() && found->second->id == statement.id) by_name_->erase(found);
    }
    void clear() { by_name_ = nullptr; }

private:
    using table = std::unordered_map<std::string, prepared_ptr>;
    std::unique_ptr<table> by_name_;  // null: most sessions never prepare anything
};

}  // namespace pgtorii::core
