#pragma once

#include "admin/route_catalog.hpp"
#include "admin/route_input.hpp"
#include "routing/decision.hpp"

#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace pgtorii::admin::route {

/// A call that makes no sense, or a file that can't be used: what() tells the user.
class unusable : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// What a call of `pgtorii route` asks for.
struct options {
    std::string config;
    std::string against;
    std::string schema;
    std::string user;
    std::string database;
    std::string application;
    std::optional<input_format> format;
    assumption assumed = assumption::nothing;
    std::vector<routing::reason> fails_on;
    std::vector<std::string> inputs;
    bool is_json = false;
    bool is_verbose = false;
    bool wants_help = false;
};

/// Reads what stands behind the word "route". Throws unusable. Not for several threads at once.
options parse_options(std::span<const std::string> arguments);

/// The text of --help.
extern const char* const options_help;

}  // namespace pgtorii::admin::route
