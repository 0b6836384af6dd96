#pragma once

#include "config/problem.hpp"
#include "config/secret.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pgtorii::config {

/// A file of passwords or keys, read into memory that is overwritten later.
struct secret_file {
    int failure = 0;  ///< An errno value, or 0.
    secret bytes;
    /// Who else may read or write it. A file of root that its group can read is as it should be.
    bool is_open_to_group = false;
    bool is_open_to_others = false;
    bool is_cut = false;  ///< It has more than the bytes wanted.
};

/// Reads the first `bytes_max` bytes.
secret_file read_secret_file(const std::string& path, std::size_t bytes_max);

/// Puts `content` in the place of the file in one step: whoever reads it sees the old one or the
/// new one, whole. Owner and mode stay; a new file is its owner's alone. A symbolic link stays and
/// its target is replaced. Gives what went wrong; then nothing has changed.
std::optional<problem> replace_file(const std::string& path, std::string_view content);

}  // namespace pgtorii::config
