#pragma once

#include "config/load.hpp"

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

/// The grammar that pool_hba.conf and pool_ident.conf share: lines of fields, fields of names.
/// Source: PostgreSQL, auth-pg-hba-conf and auth-username-maps.
namespace pgtorii::config {

/// Where files come from: the disk, or a test.
struct file_source {
    /// Appends at most `bytes_max` + 1 bytes of a file. Gives 0 or an errno value.
    std::function<int(const std::string& path, std::size_t bytes_max, std::string& bytes)> read;
    /// The names in a directory, in any order. Gives 0 or an errno value.
    std::function<int(const std::string& path, std::vector<std::string>& names)> list;

    static file_source of_disk();
};

/// One name of a field. In quotes, no character and no keyword has a meaning of its own.
struct auth_token {
    std::string text;
    bool is_quoted = false;

    bool is_keyword(std::string_view word) const { return !is_quoted && text == word; }
};

/// The names between two blanks: one, or a list with commas, or what the files of @names hold.
using auth_field = std::vector<auth_token>;

struct auth_line {
    std::vector<auth_field> fields;
    std::string file;
    std::size_t line = 0;  ///< The first of those that a backslash joins.
};

/// Reads a file of such lines, with @lists, include, include_if_exists and include_dir, a
/// backslash that continues a line, and comments. What Pgpool-II or PostgreSQL would misread in
/// silence is an error. Any bytes are legal; bounds in total: 4 MiB, 20,000 lines, 200,000 names,
/// 1,000 files, ten of them one within the other, 100 remarks.
class auth_lines {
public:
    explicit auth_lines(file_source source) : source_(std::move(source)) {}

    void read_main(const std::string& path);
    /// `name` stands for the file; relative names start at its directory.
    void read_text(const std::string& name, std::string_view text);

    const std::vector<auth_line>& lines() const { return lines_; }
    std::vector<diagnostic>& diagnostics() { return diagnostics_; }
    /// A remark on a line. False: there are too many by now.
    bool report(severity level, const std::string& file, std::size_t line, std::string message,
                std::string hint = {});
    bool is_stopped() const { return is_stopped_; }

private:
    class cutter;
    struct place {
        const std::string& file;
        std::size_t line;
        int depth;
    };

    using line_taker = std::function<void(auth_line&&, const place&)>;

    void read_lines(const std::string& file, std::string_view text, int depth,
                    const line_taker& take);
    bool cut_line(const place& where, std::string_view text, std::size_t last_join,
                  auth_line& made);
    void take_line(auth_line&& line, const place& where);
    void include_directory(const std::string& path, const place& where);
    void include_file(const std::string& path, const place& where, bool must_exist,
                      const line_taker& take);
    void expand(const std::string& name, const place& where, auth_field& into);
    int load(const std::string& path, std::string& bytes);
    void stop(const place& where, std::string message);

    file_source source_;
    std::vector<auth_line> lines_;
    std::vector<diagnostic> diagnostics_;
    std::size_t bytes_read_ = 0;
    std::size_t token_count_ = 0;
    int file_count_ = 0;
    bool is_stopped_ = false;  // a bound was hit
};

}  // namespace pgtorii::config
