#pragma once

#include <string>
#include <string_view>

namespace pgtorii::routing {

/// The text with each number and each plain string constant replaced by a mark, in `key` (its old
/// contents are dropped). Two texts with equal keys are the same sequence of tokens but for the
/// values of constants of the same class: string, integer that fits 32 bits, other number. False,
/// and `key` is useless: the text holds something that this scanner does not understand for certain
/// (a comment, a backslash, E'', $$, a prefix before a quote, letters beyond ASCII outside of
/// strings, control bytes, a number followed by letters), or `float`, whose argument the grammar
/// itself judges. It may only choose a cache key: what a text means is never read from it. Assumes
/// standard_conforming_strings = on and an encoding whose multibyte characters have no ASCII bytes.
bool make_literal_key(std::string_view sql, std::string& key);

}  // namespace pgtorii::routing
