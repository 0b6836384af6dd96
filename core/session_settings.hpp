#pragma once

#include "routing/relation_cache.hpp"
#include "routing/statement_facts.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgtorii::core {

/// What a session has set up with SET and its like, as a record that any server can be brought to
/// (DESIGN: session state is data). Fed with the statements that a server has accepted, never with
/// what was only sent. Pure.
///
/// A setting made inside a transaction counts when that transaction commits; until then only the
/// primary has it. Where the record can't be sure (too many settings or savepoints, texts too long
/// to keep), `is_certain` turns false until the next DISCARD ALL, and the session's statements stay
/// on the server that knows.
class session_settings {
public:
    /// A server has completed this statement. `text`: the statement as sent. `in_transaction`:
    /// inside an explicit one.
    void completed(const routing::statement_facts& facts, std::string_view text,
                   bool in_transaction);
    void committed();
    void rolled_back();

    /// Grows with every change; a link that was brought to this version has all of it. Zero: as at
    /// start-up.
    std::uint64_t version() const { return version_; }
    bool has_uncommitted() const;
    /// Changes of the present transaction, SET LOCAL too, as long as it has no savepoint: what a
    /// reader that joins it must be brought to, in order.
    std::size_t transaction_change_count() const;
    std::vector<std::string> transaction_statements(std::size_t from) const;
    bool is_certain() const { return is_certain_; }
    /// What a link that stands at `version` lacks, in order; to be run as simple queries.
    std::vector<std::string> statements_after(std::uint64_t version) const;

    /// What a link has that was brought to a record, apart from the session: setting and statement,
    /// in the order in which they were set. Null: as after its start-up. The record must be certain
    /// and without uncommitted changes.
    struct setting {
        std::string name;
        std::string sql;
        bool operator==(const setting&) const = default;
    };
    using link_settings_ptr = std::shared_ptr<const std::vector<setting>>;
    const link_settings_ptr& link_settings();
    static bool are_equal(const link_settings_ptr& one, const link_settings_ptr& other)
    {
        return one == other || (one && other && *one == *other);
    }
    /// What brings a link from one of them to another, in order; empty when they are equal.
    static std::vector<std::string> statements_between(const link_settings_ptr& from,
                                                       const link_settings_ptr& to);

    /// The part of the record by which names in SQL resolve (search_path, role, session user, the
    /// encoding of the names), in order: a fresh link that runs these finds what the session finds.
    std::vector<std::string> namespace_statements() const;
    /// False: something inside the present transaction, or a record that isn't certain, keeps the
    /// namespace from being known.
    bool has_certain_namespace() const;
    /// The worker's object for this namespace, kept here so that a query needn't look for it; null
    /// after a change of it.
    const routing::catalog_namespace_ptr& known_namespace() const { return namespace_; }
    void remember_namespace(routing::catalog_namespace_ptr known) { namespace_ = std::move(known); }

    /// The settings by which a server reads a statement's text when it parses it
    /// (DateStyle in '1/2/2020'::date, ...), name and statement; null: all as at start-up. Equal
    /// settings may be different objects.
    using text_settings = std::map<std::string, std::string>;
    using text_settings_ptr = std::shared_ptr<const text_settings>;
    const text_settings_ptr& text_settings_now();
    /// The statement that has set the search_path; empty: as at start-up.
    std::string search_path_now() const;
    /// What brings a link from one state of them to another.
    static std::vector<std::string> statements_between(const text_settings_ptr& from,
                                                       const text_settings_ptr& to);

private:
    struct entry {
        std::uint64_t version;
        std::string sql;
        bool is_reset;  // to what a fresh link has
    };
    struct change {
        routing::setting_change kind;
        std::string name;
        std::string sql;
    };
    struct record {
        std::map<std::string, entry> entries;  // by setting
        std::vector<change> uncommitted;  // in order; a change of kind `none` marks a savepoint
    };
    const record& kept() const;
    record& changeable();
    void note_uncommitted(change&& made);
    void apply(const change& what);
    void end_transaction();
    void leave_savepoint(const std::string& name, bool keeps_changes);

    static constexpr std::size_t entry_count_max = 500;
    static constexpr std::size_t text_bytes_max = 8192;

    std::unique_ptr<record> record_;  // null: nothing was ever set
    std::uint64_t version_ = 0;
    std::uint64_t discarded_at_ =
        0;  // the version of the last DISCARD ALL: links before it need one too
    std::uint64_t link_settings_version_ = 0;
    routing::catalog_namespace_ptr namespace_;
    link_settings_ptr link_settings_;
    text_settings_ptr text_settings_;
    bool is_certain_ = true;
    bool namespace_is_local_ = false;  // SET LOCAL in this transaction
    bool text_settings_are_known_ = true;
};

}  // namespace pgtorii::core
