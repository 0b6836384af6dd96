#include "config/pool_passwd.hpp"

#include "config/secret_file.hpp"
#include "config/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace pgtorii::config {
namespace {

constexpr std::size_t file_bytes_max = 16 << 20;
constexpr std::size_t line_bytes_max = 4 << 10;
constexpr std::size_t diagnostics_max = 100;
constexpr std::string_view scram_prefix = "SCRAM-SHA-256$";

/// The fields of a line: a colon ends one unless a backslash stands before it, which protects any
/// character.
std::vector<secret> fields_of(std::string_view line)
{
    std::vector<secret> fields;
    std::string field;
    field.reserve(line.size());  // no copies left behind by growth
    const auto end_field = [&] {
        fields.emplace_back(field);
        wipe(field);
    };
    for (std::size_t at = 0; at < line.size(); ++at) {
        if (line[at] == ':') {
            end_field();
            continue;
        }
        if (line[at] == '\\' && at + 1 < line.size()) ++at;
        field += line[at];
    }
    end_field();
    return fields;
}

/// Whoever copies a verifier from pg_authid forgets to protect the two colons in it.
void join_verifier(std::vector<secret>& fields)
{
    constexpr std::size_t parts = 3;
    if (fields.size() < 1 + parts) return;
    const auto first = fields[1].view();
    if (!first.starts_with(scram_prefix) || first.find(':') != first.npos ||
        first.find('$', scram_prefix.size()) != first.npos ||
        fields[2].view().find('$') == std::string_view::npos)
        return;
    std::string joined;
    joined.reserve(first.size() + fields[2].view().size() + fields[3].view().size() + 2);
    joined.append(first).append(":").append(fields[2].view());
    joined.append(":").append(fields[3].view());
    fields[1] = secret{joined};
    wipe(joined);
    fields.erase(fields.begin() + 2, fields.begin() + 4);
}

/// A line without its end, taken off the head of `text`.
std::string_view take_line(std::string_view& text)
{
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    return line;
}

std::string_view without_return(std::string_view line)
{
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

class reader {
public:
    explicit reader(const std::string& file) : file_(file) {}

    pool_passwd_outcome read(std::string_view text)
    {
        for (std::size_t number = 1; !text.empty(); ++number)
            read_line(number, without_return(take_line(text)));
        return std::move(made_);
    }

private:
    void read_line(std::size_t number, std::string_view line)
    {
        if (line.empty()) return;
        if (line.size() > line_bytes_max)
            return warn(number, "the line is too long: it is left out");
        if (line.find('\0') != line.npos)
            return warn(number, "the line has a zero byte: it is left out");
        auto fields = fields_of(line);
        join_verifier(fields);
        if (fields.size() < 2 || fields[0].empty())
            return warn(number, "the line is not user:password: it is left out");
        if (fields.size() != 2 && fields.size() != 4)
            return warn(number, "the line has a wrong number of fields: it is left out",
                        "A colon within a name or a password has a backslash before it.");
        auto entry = password_entry_of(fields[1].view());
        if (fields.size() == 4) {
            entry.server_user = fields[2].view();
            entry.server_password = std::move(fields[3]);
        }
        if (!made_.entries.add(std::string(fields[0].view()), std::move(entry)))
            warn(number, fmt::format("user {} has an entry further up, which counts",
                                     in_quotes(fields[0].view())));
    }

    void warn(std::size_t number, std::string message, std::string hint = {})
    {
        if (made_.diagnostics.size() < diagnostics_max)
            made_.diagnostics.push_back(
                {severity::warning, file_, number, std::move(message), std::move(hint)});
    }

    const std::string& file_;
    pool_passwd_outcome made_;
};

std::string escaped(std::string_view text)
{
    std::string made;
    made.reserve(text.size() * 2);
    for (const char c : text) {
        if (c == ':' || c == '\\') made += '\\';
        made += c;
    }
    return made;
}

}  // namespace

const password_entry* pool_passwd::find(std::string_view user) const
{
    const auto found = entries_.find(user);
    return found == entries_.end() ? nullptr : &found->second;
}

bool pool_passwd::add(std::string user, password_entry entry)
{
    return entries_.try_emplace(std::move(user), std::move(entry)).second;
}

bool pool_passwd_outcome::has_errors() const
{
    return std::ranges::any_of(
        diagnostics, [](const diagnostic& each) { return each.level == severity::error; });
}

password_entry password_entry_of(std::string_view field)
{
    constexpr std::size_t md5_bytes = 35;
    constexpr std::string_view aes_prefix = "AES";
    constexpr std::string_view text_prefix = "TEXT";
    password_entry made;
    if (field.starts_with("md5") && field.size() == md5_bytes) {
        made.kind = password_kind::md5;
    } else if (field.starts_with(aes_prefix)) {
        made.kind = password_kind::aes;
        field.remove_prefix(aes_prefix.size());
    } else if (field.starts_with(scram_prefix)) {
        made.kind = password_kind::scram;
    } else if (field.starts_with(text_prefix)) {
        field.remove_prefix(text_prefix.size());
    }
    made.value = secret{field};
    return made;
}

pool_passwd_outcome load_pool_passwd(const std::string& path)
{
    const auto file = read_secret_file(path, file_bytes_max);
    const auto failed = [&](severity level, std::string_view why) {
        pool_passwd_outcome made;
        made.diagnostics.push_back(
            {level, path, 0, fmt::format("could not read {}: {}", in_quotes(path), why), {}});
        return made;
    };
    if (file.failure != 0)
        return failed(file.failure == ENOENT ? severity::warning : severity::error,
                      std::strerror(file.failure));
    if (file.is_cut) return failed(severity::error, "it is too long");
    auto made = load_pool_passwd_text(path, file.bytes.view());
    if (file.is_open_to_others)
        made.diagnostics.push_back({severity::warning, path, 0,
                                    "the file of passwords is open to everybody",
                                    "Let only its owner and group read it: chmod 0640."});
    return made;
}

pool_passwd_outcome load_pool_passwd_text(const std::string& name, std::string_view text)
{
    return reader{name}.read(text);
}

std::string updated_pool_passwd(std::string_view content, std::span<const password_change> changes)
{
    std::vector<bool> is_written(changes.size());
    std::string made;
    std::size_t more = 0;
    for (const auto& each : changes) more += 2 * (each.user.size() + each.field.view().size() + 1);
    made.reserve(content.size() + more + 1);
    const auto put = [&](std::size_t index) {
        auto field = escaped(changes[index].field.view());
        made.append(escaped(changes[index].user)).append(":").append(field).append("\n");
        wipe(field);
        is_written[index] = true;
    };
    // Of several changes for one user, the last one counts.
    const auto change_of = [&](std::string_view user) {
        auto index = changes.size();
        while (index > 0 && changes[index - 1].user != user) --index;
        return index;  // one more than the place, or zero
    };
    for (auto rest = content; !rest.empty();) {
        const auto line = take_line(rest);
        const auto fields = fields_of(without_return(line));
        const auto index = fields.size() < 2 ? 0 : change_of(fields[0].view());
        if (index > 0 && !is_written[index - 1])
            put(index - 1);
        else
            made.append(line).append("\n");
    }
    for (std::size_t index = 0; index != changes.size(); ++index) {
        if (!is_written[index] && change_of(changes[index].user) == index + 1) put(index);
    }
    return made;
}

std::optional<problem> update_pool_passwd(const std::string& path,
                                          std::span<const password_change> changes)
{
    const auto file = read_secret_file(path, file_bytes_max);
    if (file.is_cut || (file.failure != 0 && file.failure != ENOENT))
        return problem{fmt::format("could not read {}: {}", in_quotes(path),
                                   std::strerror(file.is_cut ? EFBIG : file.failure)),
                       {}};
    auto content = updated_pool_passwd(file.bytes.view(), changes);
    auto failure = replace_file(path, content);
    wipe(content);
    return failure;
}

}  // namespace pgtorii::config
