#include "routing/literal_key.hpp"

#include "routing/lexer.hpp"

#include <array>
#include <cstdint>

namespace pgtorii::routing {

namespace {

// No text with bytes below a blank gets a key, tabs and line ends aside, so marks can't be confused
// with text.
constexpr char mark_string = '\x01';
constexpr char mark_integer = '\x02';
constexpr char mark_number = '\x03';

enum class byte_class : std::uint8_t {
    refused,
    copied,
    word,
    digit,
    quote,
    name_quote,
    dollar,
    dash,
    slash,
    dot
};

constexpr std::array<byte_class, 256> make_classes()
{
    std::array<byte_class, 256> classes{};
    for (unsigned byte = ' '; byte < 0x7F; ++byte) {
        const char c = static_cast<char>(byte);
        classes[byte] = is_word_start(c) ? byte_class::word
                        : is_digit(c)    ? byte_class::digit
                                         : byte_class::copied;
    }
    classes['\t'] = classes['\n'] = classes['\r'] = byte_class::copied;
    classes['\''] = byte_class::quote;
    classes['"'] = byte_class::name_quote;
    classes['$'] = byte_class::dollar;
    classes['-'] = byte_class::dash;
    classes['/'] = byte_class::slash;
    classes['.'] = byte_class::dot;
    classes['\\'] = byte_class::refused;
    return classes;
}

constexpr auto classes = make_classes();

/// Bytes that go on a word and are ASCII.
constexpr std::array<bool, 256> make_word_parts()
{
    std::array<bool, 256> parts{};
    for (unsigned byte = 0; byte < 0x80; ++byte) parts[byte] = is_word_part(static_cast<char>(byte));
    return parts;
}

constexpr auto word_parts = make_word_parts();

constexpr byte_class class_of(char c)
{
    return classes[static_cast<unsigned char>(c)];
}

bool is_float(std::string_view word)
{
    // Lower case by one bit: the letters are known to be ASCII letters or fail to compare.
    return word.size() == 5 && (word[0] | 0x20) == 'f' && (word[1] | 0x20) == 'l' &&
           (word[2] | 0x20) == 'o' && (word[3] | 0x20) == 'a' && (word[4] | 0x20) == 't';
}

/// Steps over the text; every take_ function returns false for "refuse the whole text".
class key_writer {
public:
    key_writer(std::string_view sql, char* out) : at_(sql.data()), end_(at_ + sql.size()), out_(out)
    {
    }

    bool write()
    {
        while (at_ != end_) {
            if (!take()) return false;
        }
        return true;
    }
    char* out() const { return out_; }

private:
    char peek(std::ptrdiff_t ahead) const { return end_ - at_ > ahead ? at_[ahead] : '\0'; }
    void copy_to(const char* stop)
    {
        while (at_ != stop) *out_++ = *at_++;
    }

    bool take()
    {
        switch (class_of(*at_)) {
        case byte_class::copied: *out_++ = *at_++; return true;
        case byte_class::word: return take_word();
        case byte_class::digit: return take_number();
        case byte_class::quote: return take_string();
        case byte_class::name_quote: return take_name();
        case byte_class::dollar: return take_parameter();
        case byte_class::dash:
            if (peek(1) == '-') return false;
            *out_++ = *at_++;
            return true;
        case byte_class::slash:
            if (peek(1) == '*') return false;
            *out_++ = *at_++;
            return true;
        case byte_class::dot:
            if (is_digit(peek(1))) return false;
            *out_++ = *at_++;
            return true;
        case byte_class::refused: return false;
        }
        return false;
    }

    bool take_word()
    {
        // The way of most bytes: copied as they are read.
        const char* const start = at_;
        const char* const end = end_;
        const char* stop = start;
        char* out = out_;
        do *out++ = *stop++;
        while (stop != end && word_parts[static_cast<unsigned char>(*stop)]);
        at_ = stop;
        out_ = out;
        if (stop != end && is_high(*stop)) return false;
        if (is_float({start, static_cast<std::size_t>(stop - start)})) return false;
        // E'..', B'..', U&'..', U&"..": a quote after a word or after "&" may be no plain one.
        return peek(0) != '\'' && peek(0) != '"' &&
               !(peek(0) == '&' && (peek(1) == '\'' || peek(1) == '"'));
    }

    bool take_number()
    {
        const char* stop = at_;
        while (stop != end_ && is_digit(*stop)) ++stop;
        const std::string_view digits(at_, static_cast<std::size_t>(stop - at_));
        bool is_integer = true;
        if (stop != end_ && *stop == '.') {
            is_integer = false;
            ++stop;
            while (stop != end_ && is_digit(*stop)) ++stop;
        }
        if (stop != end_ && (*stop == 'e' || *stop == 'E')) {
            is_integer = false;
            ++stop;
            if (stop != end_ && (*stop == '+' || *stop == '-')) ++stop;
            if (stop == end_ || !is_digit(*stop)) return false;
            while (stop != end_ && is_digit(*stop)) ++stop;
        }
        if (stop != end_ && (is_word_part(*stop) || *stop == '.')) return false;
        at_ = stop;
        if (is_integer && digits.size() >= 10) {
            // The lexer makes an integer of what fits 32 bits, whatever zeros stand in front.
            if (digits[0] == '0') return false;
            is_integer = digits.size() == 10 && digits <= "2147483647";
        }
        *out_++ = is_integer ? mark_integer : mark_number;
        return true;
    }

    /// Bytes beyond ASCII are fine here: the lexer skips them one by one.
    bool take_string()
    {
        for (const char* stop = at_ + 1; stop != end_; ++stop) {
            if (*stop == '\'') {
                if (stop + 1 != end_ && stop[1] == '\'') {
                    ++stop;
                    continue;
                }
                at_ = stop + 1;
                *out_++ = mark_string;
                return true;
            }
            if (*stop == '\\' || *stop == '\0') return false;
        }
        return false;
    }

    bool take_name()
    {
        for (const char* stop = at_ + 1; stop != end_; ++stop) {
            if (*stop == '"') {
                copy_to(stop + 1);
                return true;
            }
            if (*stop < ' ' || *stop == '\x7F' || *stop == '\\' || is_high(*stop)) return false;
        }
        return false;
    }

    bool take_parameter()
    {
        const char* stop = at_ + 1;
        while (stop != end_ && is_digit(*stop)) ++stop;
        if (stop == at_ + 1 || (stop != end_ && is_word_part(*stop))) return false;
        copy_to(stop);
        return true;
    }

    const char* at_;
    const char* end_;
    char* out_;
};

}  // namespace

bool make_literal_key(std::string_view sql, std::string& key)
{
    key.resize(sql.size());  // no key is longer than its text
    key_writer writer(sql, key.data());
    if (!writer.write()) return false;
    key.resize(static_cast<std::size_t>(writer.out() - key.data()));
    return true;
}

}  // namespace pgtorii::routing
