#pragma once

#include "config/secret.hpp"

#include <functional>
#include <optional>
#include <string_view>

namespace pgtorii::admin {

/// Asks for a secret. Nothing: there is nobody to ask.
using secret_prompt = std::function<std::optional<config::secret>(std::string_view question)>;

/// Asks on the terminal of this process, which does not show what is typed. Without a terminal, a
/// line of standard input is the answer.
std::optional<config::secret> ask_on_terminal(std::string_view question);

}  // namespace pgtorii::admin
