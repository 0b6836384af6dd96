#pragma once

// Part of tree_facts: the facts of one statement. For tree_*.cpp only.

#include "routing/statement_facts.hpp"
#include "routing/tree_node.hpp"

#include <string_view>
#include <unordered_map>

namespace pgtorii::routing {

/// One statement: visits every node of its tree and collects what stands anywhere in it.
class statement_reader {
public:
    explicit statement_reader(statement_facts& facts) : facts_(facts) {}

    /// `type` and `node`: the field in the statement's wrapper, e.g. "SelectStmt".
    void read(std::string_view type, const tree_object& node);
    /// A literal is the name of an object: 'name'::regclass.
    bool names_literal_object() const { return names_literal_object_; }

private:
    // tree_walk.cpp
    void walk(const tree_element& value);
    void walk_statement(std::string_view type, const tree_object& node);
    void walk_with(const tree_object& with, bool is_recursive);
    void visit_field(std::string_view key, const tree_element& value, const tree_object& parent);
    void note_name_of_with(const tree_element& with_query, int change);
    void add_relation(const tree_object& range_var, bool is_target);
    void add_function(const tree_object& call);
    void add_operator(const tree_object& node, std::string_view key);
    void note_cast(const tree_object& cast);

    // tree_classify.cpp
    void classify(std::string_view type, const tree_object& node);
    void classify_transaction(const tree_object& node);
    void classify_options(const tree_object& node, std::string_view key);
    void classify_set(const tree_object& node);
    void classify_isolation(const tree_object& node, std::string_view how);
    void classify_copy(const tree_object& node);
    void classify_explain(const tree_object& node);
    void classify_prepare(const tree_object& node);
    void classify_ddl(std::string_view type, const tree_object& node);
    void finish();
    void finish_targets();

    statement_facts& facts_;
    // Names of WITH queries that are in sight, and how often: inner ones hide outer ones.
    std::unordered_map<std::string_view, int> with_names_;
    bool names_temp_ = false;
    bool names_literal_object_ = false;
    bool is_analyzed_ = false;     // EXPLAIN ANALYZE
    bool explains_select_ = true;  // EXPLAIN of a SELECT
};

}  // namespace pgtorii::routing
