#include "config/pattern_list.hpp"

#include "config/text.hpp"

#include <fmt/format.h>
#include <re2/re2.h>

#include <cctype>
#include <optional>
#include <vector>

namespace pgtorii::config {
namespace {

using boost::system::result;

/// Rewrites a POSIX extended regular expression, with the escapes that the GNU library adds, into
/// RE2's syntax. The two differ in backslashes (POSIX: an ordinary character inside brackets; RE2
/// knows more escapes outside of them), in collating elements and in `{,n}`.
class translator {
public:
    explicit translator(std::string_view posix) : posix_(posix) {}

    /// Gives what can't be translated, or nothing; then `re2` is the expression.
    std::optional<problem> translate(std::string& re2)
    {
        while (at_ < posix_.size()) {
            const char c = posix_[at_++];
            if (c == '\\')
                escape();
            else if (c == '[')
                bracket();
            else if (c == '{' && at_ < posix_.size() && posix_[at_] == ',')
                out_ += "{0";
            else
                out_ += c;
            if (!failure_.message.empty()) return failure_;
        }
        re2 = std::move(out_);
        return std::nullopt;
    }

private:
    void escape()
    {
        if (at_ == posix_.size()) {
            failure_ = {"it ends with a backslash", R"(Write \\ for a backslash.)"};
            return;
        }
        const char c = posix_[at_++];
        switch (c) {
        case 'w': out_ += "[[:alnum:]_]"; return;
        case 'W': out_ += "[^[:alnum:]_]"; return;
        case 's': out_ += "[[:space:]]"; return;
        case 'S': out_ += "[^[:space:]]"; return;
        case '<':  // a word's begin and end: RE2 has only the common form
        case '>':
        case 'b': out_ += "\\b"; return;
        case 'B': out_ += "\\B"; return;
        default: break;
        }
        if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
            failure_ = {fmt::format("\\{} means nothing in a POSIX regular expression", c),
                        "Write classes in brackets: [0-9] for a digit, [[:space:]] for a blank."};
            return;
        }
        (out_ += '\\') += c;
    }

    /// A bracket expression: at_ stands behind the "[".
    void bracket()
    {
        out_ += '[';
        if (at_ < posix_.size() && posix_[at_] == '^') out_ += posix_[at_++];
        for (bool is_first = true; at_ < posix_.size(); is_first = false) {
            const char c = posix_[at_++];
            if (c == ']') {
                out_ += is_first ? "\\]" : "]";
                if (!is_first) return;
            } else if (c == '[' && at_ < posix_.size() && posix_[at_] == ':') {
                const auto end = posix_.find(":]", at_ + 1);
                if (end == std::string_view::npos) break;
                (out_ += '[') += posix_.substr(at_, end + 2 - at_);
                at_ = end + 2;
            } else if (c == '[' && at_ < posix_.size() &&
                       (posix_[at_] == '.' || posix_[at_] == '=')) {
                failure_ = {"collating elements like [.x.] and [=x=] are not supported", {}};
                return;
            } else if (c == '\\' || c == '[') {
                (out_ += '\\') += c;
            } else {
                out_ += c;
            }
        }
        failure_ = {"a bracket is not closed", R"(Write \[ for the character itself.)"};
    }

    std::string_view posix_;
    std::size_t at_ = 0;
    std::string out_;
    problem failure_;
};

RE2::Options pattern_options()
{
    RE2::Options options;
    options.set_encoding(RE2::Options::EncodingLatin1);  // any bytes: queries come in any encoding
    options.set_posix_syntax(true);
    options.set_word_boundary(true);
    options.set_one_line(true);
    options.set_dot_nl(true);
    options.set_case_sensitive(false);
    options.set_never_capture(true);
    options.set_log_errors(false);
    return options;
}

result<std::unique_ptr<RE2>, problem> compile(const std::string& item)
{
    const auto refuse = [&](const std::string& why, std::string hint) {
        return problem{fmt::format("{} is no regular expression: {}", in_quotes(item), why),
                       std::move(hint)};
    };
    std::string translated;
    if (const auto failure = translator(item).translate(translated))
        return refuse(failure->message, failure->hint);
    if (!item.starts_with('^')) translated.insert(0, 1, '^');
    if (!item.ends_with('$')) translated += '$';
    auto compiled = std::make_unique<RE2>(translated, pattern_options());
    if (!compiled->ok())
        return refuse(printable(compiled->error()), "Write a POSIX extended regular expression.");
    return compiled;
}

/// A backslash keeps the next character from ending the item, and both stay; only \' becomes a
/// plain quote.
std::vector<std::string> split_queries(std::string_view text)
{
    std::vector<std::string> items;
    std::string item;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) {
            if (text[i + 1] != '\'') item += '\\';
            item += text[++i];
        } else if (text[i] == ';') {
            if (!item.empty()) items.push_back(std::move(item));
            item.clear();
        } else {
            item += text[i];
        }
    }
    if (!item.empty()) items.push_back(std::move(item));
    return items;
}

}  // namespace

struct pattern_list::compiled {
    std::string text;
    std::vector<std::unique_ptr<RE2>> patterns;
};

pattern_list::pattern_list() : compiled_(std::make_unique<compiled>()) {}
pattern_list::~pattern_list() = default;
pattern_list::pattern_list(pattern_list&&) noexcept = default;
pattern_list& pattern_list::operator=(pattern_list&&) noexcept = default;

result<pattern_list, problem> pattern_list::parse(std::string_view text, pattern_syntax syntax)
{
    pattern_list list;
    list.compiled_->text = text;
    std::vector<std::string> items;
    if (syntax == pattern_syntax::queries)
        items = split_queries(text);
    else
        for (const auto name : split_list(text, ',')) items.emplace_back(name);
    for (const auto& item : items) {
        auto pattern = compile(item);
        if (!pattern) return pattern.error();
        list.compiled_->patterns.push_back(std::move(*pattern));
    }
    return list;
}

bool pattern_list::matches(std::string_view subject) const
{
    for (const auto& pattern : compiled_->patterns) {
        if (RE2::PartialMatch(re2::StringPiece(subject.data(), subject.size()), *pattern))
            return true;
    }
    return false;
}

bool pattern_list::empty() const
{
    return compiled_->patterns.empty();
}

std::size_t pattern_list::size() const
{
    return compiled_->patterns.size();
}

const std::string& pattern_list::text() const
{
    return compiled_->text;
}

}  // namespace pgtorii::config
