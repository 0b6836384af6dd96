#pragma once

#include "routing/statement_facts.hpp"

#include <string>

namespace pgtorii::routing {

/// All that a statement's facts hold, as one text.
inline std::string dump(const query_facts& facts);

inline std::string dump(const statement_facts& facts)
{
    std::string all;
    const auto add = [&all](auto value) { all += std::to_string(static_cast<long>(value)) + " "; };
    add(facts.kind);
    add(facts.stats_class);
    add(facts.destination);
    add(facts.is_read);
    add(facts.counts_as_write);
    add(facts.change);
    add(facts.has_value);
    add(facts.creates_temp);
    add(facts.calls_set_config);
    add(facts.takes_advisory_lock);
    add(facts.holds_cursor);
    add(facts.effects_unknown);
    add(facts.uses_sequence_state);
    add(facts.has_row_lock);
    add(facts.has_into);
    add(facts.has_modifying_with);
    add(facts.calls_writing_function);
    add(facts.calls_unknown_function);
    add(facts.reads_system_catalog);
    add(facts.reads_temp_schema);
    add(facts.asks_functions);
    add(facts.changes_schema);
    add(facts.writes_unknown);
    add(facts.changes_default_isolation);
    add(facts.begin_isolation);
    add(facts.begin_read_only);
    add(facts.begin_read_write);
    add(facts.begin_deferrable);
    add(facts.chain);
    add(facts.text_offset);
    add(facts.text_length);
    all += facts.name + "|" + facts.value;
    for (const auto& name : facts.relations) all += "|r " + name;
    for (const auto& name : facts.functions) all += "|f " + name;
    for (const auto& name : facts.operators) all += "|o " + name;
    for (const auto& name : facts.cast_types) all += "|c " + name;
    for (const auto& name : facts.targets) all += "|t " + name;
    for (const auto& name : facts.executed) all += "|e " + name;
    if (facts.inner) all += "|inner " + dump(*facts.inner);
    return all;
}

inline std::string dump(const query_facts& facts)
{
    std::string all;
    for (const auto& statement : facts.statements) all += dump(statement) + "\n";
    return all + (facts.is_parsed ? "parsed " : "") +
           (facts.depends_on_literals ? "literal " : "") +
           (facts.starts_with_blank ? "blank " : "") + (facts.starts_like_read ? "read" : "");
}

}  // namespace pgtorii::routing
