#pragma once

#include "routing/statement_facts.hpp"
#include "routing/text_outline.hpp"

#include <memory>
#include <string_view>

namespace pgtorii::routing {

/// Reads the facts out of SQL texts. libpg_query is the only judge of SQL; a text that it refuses,
/// or that is over the limits, is one statement of kind `unparsed`: for the primary, a write, and
/// with unknown session effects unless its tokens show one statement that starts with SELECT,
/// INSERT, UPDATE, DELETE, MERGE, WITH or VALUES. Owns buffers that are used again: one for each
/// thread. The answers depend on the text and the limits only.
class analyzer {
public:
    explicit analyzer(const analyze_limits& limits);
    ~analyzer();
    analyzer(const analyzer&) = delete;
    analyzer& operator=(const analyzer&) = delete;

    /// Facts of a text read under standard_conforming_strings = on, in an encoding whose multibyte
    /// characters have no ASCII bytes (every server encoding has not; SJIS, BIG5, GBK, GB18030,
    /// UHC, JOHAB as client encodings have).
    query_facts analyze(std::string_view sql);

private:
    query_facts analyze_text(std::string_view sql);
    query_facts analyze_statements(std::string_view sql);

    struct buffers;
    analyze_limits limits_;
    std::unique_ptr<buffers> buffers_;
};

/// One text, without buffers that are kept.
query_facts_ptr analyze(std::string_view sql, const analyze_limits& limits);

/// Facts of a text whose tokens can't be told (a backslash under standard_conforming_strings = off,
/// an encoding that is not ASCII-safe): unparsed, with unknown session effects.
query_facts unreadable(std::string_view sql);

}  // namespace pgtorii::routing
