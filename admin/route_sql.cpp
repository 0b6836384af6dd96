#include "admin/route_input.hpp"
#include "routing/lexer.hpp"
#include "routing/text_outline.hpp"

#include <algorithm>
#include <array>

namespace pgtorii::admin::route {

namespace {

using routing::equals_ignoring_case;
using routing::token;
using routing::token_kind;

/// How far behind a token its end may depend on what follows: "1e+5", "U&'..'".
constexpr std::size_t lookahead = 4;

bool is_any_of(std::string_view word, std::initializer_list<std::string_view> words)
{
    return std::ranges::any_of(words, [&](auto each) { return equals_ignoring_case(word, each); });
}

/// What the tokens of one statement tell of where it ends. As psql does it (psqlscan.l).
class statement_shape {
public:
    void add(const token& now)
    {
        is_empty_ = false;
        if (now.kind == token_kind::punctuation) {
            if (now.text == "(") ++brackets_;
            if (now.text == ")" && brackets_ > 0) --brackets_;
        }
        if (now.kind == token_kind::word) add_word(now.text);
        previous_is_from_ = now.kind == token_kind::word && equals_ignoring_case(now.text, "from");
    }

    bool is_empty() const { return is_empty_; }
    bool ends_at_semicolon() const { return brackets_ == 0 && blocks_ == 0; }
    /// A COPY ... FROM STDIN: its rows follow.
    bool wants_rows() const { return wants_rows_; }

private:
    void add_word(std::string_view word)
    {
        if (word_count_ == 0) is_copy_ = equals_ignoring_case(word, "copy");
        if (is_copy_ && previous_is_from_ && brackets_ == 0 && equals_ignoring_case(word, "stdin"))
            wants_rows_ = true;
        if (brackets_ == 0) add_block_word(word);
        // CREATE [OR REPLACE] FUNCTION or PROCEDURE: its body may be a block of statements.
        switch (word_count_++) {
        case 0: is_create_ = equals_ignoring_case(word, "create"); break;
        case 1:
        case 3: is_routine_ = is_routine_ || is_any_of(word, {"function", "procedure"}); break;
        default: break;
        }
        if (!is_create_) is_routine_ = false;
    }

    void add_block_word(std::string_view word)
    {
        if (!is_routine_) return;
        if (equals_ignoring_case(word, "begin")) ++blocks_;
        if (equals_ignoring_case(word, "case") && blocks_ > 0) ++blocks_;
        if (equals_ignoring_case(word, "end") && blocks_ > 0) --blocks_;
    }

    bool is_empty_ = true;
    bool is_create_ = false;
    bool is_routine_ = false;
    bool is_copy_ = false;
    bool previous_is_from_ = false;
    bool wants_rows_ = false;
    std::size_t word_count_ = 0;
    std::size_t brackets_ = 0;
    std::size_t blocks_ = 0;
};

/// Blanks and "--" comments at the head of a text.
std::size_t size_of_blanks(std::string_view text)
{
    std::size_t position = 0;
    for (;;) {
        while (position < text.size() && routing::is_blank(text[position])) ++position;
        if (!text.substr(position).starts_with("--")) return position;
        position = std::min(text.find_first_of("\r\n", position), text.size());
    }
}

/// Without the prefix that a string may have (E, U&).
std::size_t offset_in(std::string_view held, const token& now)
{
    return static_cast<std::size_t>(now.text.data() - held.data());
}

class sql_reader {
public:
    sql_reader(window& input, const limits& bounds, const sink& take, input_counts& counts)
        : input_(input),
          bounds_(bounds),
          take_(take),
          counts_(counts)
    {
    }

    void run()
    {
        while (scan()) {
        }
    }

private:
    /// Looks at the tokens of what is held, up to the end of a statement or of what is certain.
    /// False: the input is used up.
    bool scan()
    {
        const auto held = input_.bytes();
        routing::lexer tokens{held};
        std::size_t done = 0;
        for (;;) {
            const auto now = tokens.next();
            const bool is_rest = now.kind == token_kind::end || now.kind == token_kind::open_quote;
            const auto start = is_rest ? held.size() : offset_in(held, now);
            const auto stop = start + (is_rest ? 0 : now.text.size());
            const bool is_certain =
                input_.is_at_end() || (!is_rest && stop + lookahead <= held.size());
            if (!is_certain) return go_on(held, done, now.kind);
            if (is_rest) return take_rest(held, done, now.kind);
            if (now.kind == token_kind::punctuation && now.text == "\\") {
                const auto end = held.find('\n', start);
                if (end == std::string_view::npos && !input_.is_at_end() && !input_.is_full())
                    return go_on(held, done, now.kind);
                append(held, done, start);
                done = stop;
                if (held.substr(stop).starts_with(";")) {
                    is_joined_ = true;
                    continue;
                }
                take_command(held.substr(stop, std::min(end, held.size()) - stop));
                input_.consume(std::min(end, held.size()));
                return true;
            }
            if (now.text == ";" && !is_joined_ && shape_.ends_at_semicolon()) {
                append(held, done, start);
                input_.consume(stop);
                const bool has_rows = shape_.wants_rows();
                finish();
                if (has_rows) skip_rows();
                return true;
            }
            is_joined_ = false;
            append(held, done, stop);
            shape_.add(now);
            done = stop;
        }
    }

    /// More is needed to tell how the token at `done` ends.
    bool go_on(std::string_view held, std::size_t done, token_kind kind)
    {
        if (input_.read_more() || input_.is_at_end() || done > 0) {
            input_.consume(done);
            return true;
        }
        // Full of one token: of blanks and comments all lines but the last can go.
        const auto last_line = held.rfind('\n');
        if (kind == token_kind::end && last_line != std::string_view::npos) {
            input_.consume(last_line + 1);
            return true;
        }
        count_unreadable(counts_, input_.line());
        counts_.is_given_up = true;
        return false;
    }

    /// The input ends here, perhaps inside a quote.
    bool take_rest(std::string_view held, std::size_t done, token_kind kind)
    {
        if (kind == token_kind::open_quote) {
            append(held, done, held.size());
            shape_.add({kind, held});
        }
        input_.consume(held.size());
        finish();
        return false;
    }

    void append(std::string_view held, std::size_t from, std::size_t to)
    {
        auto piece = held.substr(from, to - from);
        if (text_.empty()) {
            const auto blanks = size_of_blanks(piece);
            const auto before = held.substr(0, from + blanks);
            line_ = input_.line() + static_cast<std::size_t>(std::ranges::count(before, '\n'));
            piece.remove_prefix(blanks);
        }
        const auto room = bounds_.text_bytes_max - text_.size();
        is_cut_ = is_cut_ || piece.size() > room;
        text_ += piece.substr(0, room);
    }

    void finish()
    {
        if (!shape_.is_empty()) {
            event found;
            found.sql = text_;
            found.is_cut = is_cut_;
            found.line = line_;
            take_(found);
        }
        text_.clear();
        is_cut_ = false;
        shape_ = {};
    }

    /// A backslash command of psql's; some of them send what stands before them.
    void take_command(std::string_view command)
    {
        ++counts_.backslash_lines;
        const auto word = command.substr(0, command.find_first_of(" \t\r("));
        if (is_any_of(word, {"g", "gx", "gset", "gexec", "gdesc", "crosstabview", "watch"}))
            finish();
    }

    /// The rows behind a COPY ... FROM STDIN, up to the line "\.".
    void skip_rows()
    {
        input_.skip_line();
        for (;;) {
            while (input_.bytes().size() < lookahead && input_.read_more()) {
            }
            const auto held = input_.bytes();
            if (held.empty()) return;
            const bool is_end = held.starts_with("\\.\n") || held.starts_with("\\.\r") ||
                                (held == "\\." && input_.is_at_end());
            input_.skip_line();
            if (is_end) return;
            ++counts_.copy_lines;
        }
    }

    window& input_;
    const limits& bounds_;
    const sink& take_;
    input_counts& counts_;

    // The statement being read.
    std::string text_;
    statement_shape shape_;
    bool is_cut_ = false;
    bool is_joined_ = false;  // a "\;" stands before
    std::size_t line_ = 1;
};

}  // namespace

void read_sql(window& input, const limits& bounds, const sink& take, input_counts& counts)
{
    sql_reader(input, bounds, take, counts).run();
}

}  // namespace pgtorii::admin::route
