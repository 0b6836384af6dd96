#pragma once

#include "config/lexer.hpp"
#include "config/load.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace pgtorii::config {

/// `name = value` of a file, not yet looked at.
struct file_entry {
    std::string name;
    std::string value;
    std::string file;
    std::size_t line = 0;
};

/// Reads a file and its includes into a list of entries, in their order, by the grammar alone: of
/// names, it only asks whether they are known, to tell a second setting on a line from a value that
/// lacks its quotes.
class file_reader {
public:
    using is_known_name = std::function<bool(std::string_view)>;

    explicit file_reader(is_known_name is_known) : is_known_(std::move(is_known)) {}

    void read_main(const std::string& path);
    void read_text(const std::string& name, std::string_view text, int depth = 0);

    const std::vector<file_entry>& entries() const { return entries_; }
    std::vector<diagnostic>& diagnostics() { return diagnostics_; }

private:
    void read_setting(lexer& input, const std::string& file, const token& name, int depth);
    bool is_value(const lexer& input, const std::string& file, const token& name,
                  const token& given);
    bool is_line_clean(const lexer& input, const std::string& file, const token& name,
                       const token& given);
    void include(const std::string& file, const token& given, int depth);
    int load_bytes(const std::string& path, std::string& bytes);
    void report(severity level, const std::string& file, std::size_t line, std::string message,
                std::string hint = {});
    void stop(const std::string& file, std::size_t line, std::string message);

    is_known_name is_known_;
    std::vector<file_entry> entries_;
    std::vector<diagnostic> diagnostics_;
    std::size_t bytes_read_ = 0;
    int include_count_ = 0;
    bool is_stopped_ = false;  // a bound was hit
};

}  // namespace pgtorii::config
