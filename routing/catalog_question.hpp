#pragma once

#include "routing/catalog_facts.hpp"
#include "routing/statement_facts.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace pgtorii::routing {

enum class name_kind : std::uint8_t { relation, function, operator_, cast_type };

/// A name that a text uses: "name", or "schema.name" where it was written so, without quotes.
struct catalog_name {
    name_kind kind = name_kind::relation;
    std::string name;
    friend auto operator<=>(const catalog_name&, const catalog_name&) = default;
};

/// All names of a text that the catalog can tell something about, sorted, each once.
std::vector<catalog_name> names_of(const query_facts& facts);

/// Whether a text names nothing at all: then the catalog has nothing to say.
bool is_nameless(const query_facts& facts);

/// Adds what `more` says.
void merge(catalog_facts& into, const catalog_facts& more);

/// What a server is asked about some names: one SELECT, and the reading of its rows. Pure.
///
/// Names resolve in the server, under the search_path and the role of the link that runs the
/// question; everything else in it is qualified, operators too, so no search_path can put something
/// of its own in their place. Names are quoted so that standard_conforming_strings doesn't matter.
/// Their bytes are sent as the client wrote them: the link must have the client's client_encoding.
///
/// A dot in a name may stand between schema and name or inside a quoted name; both readings are
/// asked, and what either has counts.
class catalog_question {
public:
    static constexpr std::size_t name_count_max = 500;
    static constexpr std::size_t name_bytes_max = 64 * 1024;
    /// So many names of tables are kept of one answer.
    static constexpr std::size_t table_count_max = 1000;

    /// Whether so many and such names can be asked at all.
    static bool is_answerable(std::span<const catalog_name> names);

    /// `names` must be answerable.
    explicit catalog_question(std::vector<catalog_name> names);

    const std::vector<catalog_name>& names() const { return names_; }
    const std::string& sql() const { return sql_; }

    /// Takes one DataRow. False: this is no answer to the question.
    [[nodiscard]] bool add_row(std::span<const std::byte> body);
    /// What the rows said of names()[index].
    const catalog_facts& answer(std::size_t index) const { return answers_[index]; }

private:
    std::vector<catalog_name> names_;
    std::string sql_;
    std::vector<catalog_facts> answers_;
    std::size_t table_count_ = 0;
};

}  // namespace pgtorii::routing
