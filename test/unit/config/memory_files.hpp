#pragma once

#include "config/auth_lines.hpp"

#include <cerrno>
#include <map>
#include <string>

namespace pgtorii::test {

/// Files that exist in a test only, by their path; a directory is there when a file is in it.
inline config::file_source memory_files(std::map<std::string, std::string> files)
{
    config::file_source made;
    made.read = [files](const std::string& path, std::size_t, std::string& bytes) {
        const auto found = files.find(path);
        if (found == files.end()) return ENOENT;
        bytes += found->second;
        return 0;
    };
    made.list = [files](const std::string& path, std::vector<std::string>& names) {
        for (const auto& [name, content] : files) {
            if (name.starts_with(path + "/")) names.push_back(name.substr(path.size() + 1));
        }
        return names.empty() ? ENOENT : 0;
    };
    return made;
}

}  // namespace pgtorii::test
