#pragma once

#include "config/settings.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgtorii::config {

enum class severity : std::uint8_t {
    notice,   // read as meant, but without effect here
    warning,  // read, though perhaps not as meant
    error,    // the file must not be used
};

/// One remark on a configuration file.
struct diagnostic {
    severity level = severity::error;
    std::string file;
    std::size_t line = 0;  ///< From 1; 0: the file as a whole.
    std::string message;
    std::string hint;  ///< What would be right: sentences, or empty.
};

/// "pgpool.conf:3: error: what is wrong; hint: what would be right". One line.
std::string to_text(const diagnostic& remark);

struct load_outcome {
    settings values;  ///< Not to be used when there are errors.
    std::vector<diagnostic> diagnostics;

    bool has_errors() const;
};

/// Reads pgpool.conf and what it includes. A main file that does not exist is a warning, as in
/// Pgpool-II, and gives the defaults. Goes on behind an error, to find all of them, within bounds:
/// files of 16 MiB in total, 1,000 includes, 100,000 lines with settings, 100 remarks.
load_outcome load_file(const std::string& path);

/// The same for a text; `name` stands for the file in diagnostics, and its directory for relative
/// includes.
load_outcome load_text(const std::string& name, std::string_view text);

/// What `pgtorii --check-config` prints, and its exit status: 0, or 1 with errors.
struct check_report {
    std::string text;
    int exit_status = 0;
};
check_report report_of(const load_outcome& outcome, const std::string& path);

}  // namespace pgtorii::config
