#pragma once

#include "config/auth_lines.hpp"
#include "config/auth_name.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// pool_ident.conf: which users somebody with a certificate may log in as, in the form of
/// PostgreSQL's pg_ident.conf. Pgpool-II has no such file.
/// Source: PostgreSQL, auth-username-maps.
namespace pgtorii::config {

class ident_maps {
public:
    /// "map  name  user": the name in the certificate, or an expression for it; and the user, where
    /// \1 is what the expression's first parentheses have caught.
    struct entry {
        std::string map;
        std::string name;  ///< When there is no expression.
        std::optional<name_expression> expression{};
        auth_name user;
        bool takes_group = false;  ///< `user` has a \1.
    };

    ident_maps() = default;
    explicit ident_maps(std::vector<entry> entries) : entries_(std::move(entries)) {}

    /// Whether who has proven to be `name` may log in as `user`. Without a map (an empty one) the
    /// two must be equal, byte for byte.
    bool allows(std::string_view map, std::string_view name, std::string_view user,
                const membership& is_in_role = {}) const;
    bool has(std::string_view map) const;
    const std::vector<entry>& entries() const { return entries_; }

private:
    std::vector<entry> entries_;
};

struct ident_maps_outcome {
    ident_maps maps;  ///< Empty when there are errors.
    std::vector<diagnostic> diagnostics;

    bool has_errors() const;
};

/// Reads the file and those that it names; bounds as for pool_hba.conf.
ident_maps_outcome load_ident_maps(const std::string& path,
                                   file_source source = file_source::of_disk());
/// The same for a text; `name` stands for the file.
ident_maps_outcome load_ident_maps_text(const std::string& name, std::string_view text,
                                        file_source source = file_source::of_disk());

}  // namespace pgtorii::config
