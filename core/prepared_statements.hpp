#pragma once

#include "core/session_settings.hpp"
#include "routing/statement_facts.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace pgtorii::core {

/// A prepared statement, of the protocol or of SQL (a server has one space of names for both): all
/// that is needed to prepare it again on another link.
struct prepared_statement {
    std::uint64_t id =
        0;             ///< Never used twice in a session: tells two statements of one name apart.
    std::string name;  ///< The client's; empty: the unnamed statement.
    std::string text;  ///< Of SQL: the PREPARE statement itself.
    bool is_sql = false;  ///< Made by PREPARE.
    bool is_cut = false;  ///< Too long to be kept: it is only where it was made.
    std::vector<std::uint32_t> parameter_types;
    routing::query_facts_ptr facts;
    /// By which its text was read: its constants keep what they meant then.
    session_settings::text_settings_ptr text_settings;
};

using prepared_ptr = std::shared_ptr<const prepared_statement>;

/// The statements that servers have accepted from this session, by the client's name.
class prepared_statements {
public:
    prepared_ptr find(const std::string& name) const
    {
        const auto found = by_name_.find(name);
        return found == by_name_.end() ? nullptr : found->second;
    }
    void add(prepared_ptr statement) { by_name_[statement->name] = std::move(statement); }
    void remove(const std::string& name) { by_name_.erase(name); }
    /// Removes that statement, unless its name has gone to another one since.
    void remove(const prepared_statement& statement)
    {
        const auto found = by_name_.find(statement.name);
        if (found != by_name_.end() && found->second->id == statement.id) by_name_.erase(found);
    }
    void clear() { by_name_.clear(); }
    std::uint64_t next_id() { return ++last_id_; }

private:
    std::unordered_map<std::string, prepared_ptr> by_name_;
    std::uint64_t last_id_ = 0;
};

}  // namespace pgtorii::core
