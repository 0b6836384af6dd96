#pragma once

#include <string>

namespace pgtorii::config {

/// What is wrong with a value, and what would be right: a sentence, or empty.
struct problem {
    std::string message;
    std::string hint;
};

}  // namespace pgtorii::config
