#include "text/jinja/lexer.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "text/jinja/escapes.h"
#include "text/jinja/fault.h"
#include "text/jinja/unicode.h"

namespace trireme::jinja {
namespace {

bool is_digit_of(char c, int base) {
  if (base == 16 && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) return true;
  return c >= '0' && c < '0' + std::min(base, 10);
}

/// Line ends become \n, and the last one goes (Jinja2's keep_trailing_newline=False).
std::string normalize_newlines(std::string_view source) {
  std::string out;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const bool carriage_return = source[i] == '\r';
    if (carriage_return && i + 1 < source.size() && source[i + 1] == '\n') ++i;
    out.push_back(carriage_return ? '\n' : source[i]);
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_newlines(source)) {}

  std::vector<Token> run() {
    while (position_ < source_.size()) read_text();
    add(TokenKind::end, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void refuse(std::string message) const { throw SyntaxFault{line_, message}; }

  char at(std::size_t i) const { return i < source_.size() ? source_[i] : '\0'; }
  bool starts(std::size_t i, std::string_view what) const {
    return std::string_view(source_).substr(std::min(i, source_.size())).starts_with(what);
  }

  void add(TokenKind kind, std::string text, Value number = Value()) {
    tokens_.push_back({kind, line_, std::move(text), std::move(number)});
  }

  /// Moves to `end`, counting lines; what was passed decides whether a line starts here.
  void advance(std::size_t end) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(position_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    line_starting_ = end > position_ && source_[end - 1] == '\n';
    position_ = end;
  }

  std::size_t skip_space(std::size_t i) const {
    while (i < source_.size()) {
      std::size_t next = i;
      if (!is_space(next_code_point(source_, next))) break;
      i = next;
    }
    return i;
  }

  /// Where a tag ends that closes with `close` at `i`, white space control included; 0 if none.
  std::size_t tag_end(std::size_t i, std::string_view close, bool trims_newline) const {
    if (at(i) == '-' && starts(i + 1, close)) return skip_space(i + 1 + close.size());
    if (trims_newline && at(i) == '+' && starts(i + 1, close)) return i + 1 + close.size();
    if (!starts(i, close)) return 0;
    i += close.size();
    return trims_newline && at(i) == '\n' ? i + 1 : i;
  }

  /// The first place from `start` on where a tag closes with `close`, as (begin, end).
  std::optional<std::pair<std::size_t, std::size_t>> find_tag_end(std::size_t start,
                                                                  std::string_view close) const {
    for (std::size_t i = start; i < source_.size(); ++i) {
      if (const std::size_t end = tag_end(i, close, true)) return {{i, end}};
    }
    return std::nullopt;
  }

  /// Where `{% raw %}` at `i` ends; 0 if there is none.
  std::size_t raw_begin_end(std::size_t i) const {
    if (!starts(i, "{%")) return 0;
    i += 2;
    if (at(i) == '-' || at(i) == '+') ++i;
    i = skip_space(i);
    return starts(i, "raw") ? tag_end(skip_space(i + 3), "%}", false) : 0;
  }

  /// The text before a tag whose opening braces are followed by `sign`.
  void add_text(std::string_view text, char sign, bool may_strip_line) {
    if (sign == '-') {
      text = strip(text, Side::right);
    } else if (sign != '+' && may_strip_line) {
      const std::size_t line_begin = text.rfind('\n') + 1;  // npos + 1 is 0
      const bool whole_line = line_begin > 0 || line_starting_;
      if (whole_line && strip(text.substr(line_begin)).empty()) text = text.substr(0, line_begin);
    }
    if (!text.empty()) add(TokenKind::text, std::string(text));
  }

  void read_text() {
    std::size_t begin = position_;
    while (begin < source_.size() &&
           !(source_[begin] == '{' &&
             (at(begin + 1) == '%' || at(begin + 1) == '#' || at(begin + 1) == '{'))) {
      ++begin;
    }
    const std::string_view text(source_.data() + position_, begin - position_);
    if (begin == source_.size()) {
      add(TokenKind::text, std::string(text));
      return advance(begin);
    }
    const char kind = source_[begin + 1];
    const char sign = at(begin + 2);
    add_text(text, sign, kind != '{');
    if (const std::size_t raw = raw_begin_end(begin)) return read_raw(raw);
    advance(begin + (sign == '-' || sign == '+' ? 3 : 2));
    if (kind == '#') return read_comment();
    add(kind == '%' ? TokenKind::block_begin : TokenKind::variable_begin, "");
    read_tag(kind == '%');
  }

  void read_comment() {
    const auto end = find_tag_end(position_, "#}");
    if (!end) refuse("Missing end of comment tag");
    advance(end->second);
  }

  void read_raw(std::size_t begin) {
    advance(begin);
    for (std::size_t i = begin; i < source_.size(); ++i) {
      if (!starts(i, "{%")) continue;
      const char sign = at(i + 2);
      std::size_t word = skip_space(i + (sign == '-' || sign == '+' ? 3 : 2));
      if (!starts(word, "endraw")) continue;
      const std::size_t end = tag_end(skip_space(word + 6), "%}", true);
      if (end == 0) continue;
      add_text(std::string_view(source_).substr(begin, i - begin), sign, true);
      return advance(end);
    }
    refuse("Missing end of raw directive");
  }

  void read_tag(bool block) {
    brackets_.clear();
    while (true) {
      if (position_ >= source_.size()) return;
      const std::size_t end =
          brackets_.empty() ? tag_end(position_, block ? "%}" : "}}", block) : 0;
      if (end != 0) {
        add(block ? TokenKind::block_end : TokenKind::variable_end, "");
        return advance(end);
      }
      read_token();
    }
  }

  void read_token() {
    const std::size_t after_space = skip_space(position_);
    if (after_space > position_) return advance(after_space);
    const char c = source_[position_];
    std::size_t next = position_;
    if (c >= '0' && c <= '9') return read_number();
    if (is_word(next_code_point(source_, next))) return read_name();
    if (c == '\'' || c == '"') return read_string();
    read_symbol();
  }

  /// The end of digits of `base` from `i` on, single underscores among them; `i` if there are none.
  std::size_t skip_digits(std::size_t i, int base = 10) const {
    if (!is_digit_of(at(i), base)) return i;
    while (is_digit_of(at(i), base) || (at(i) == '_' && is_digit_of(at(i + 1), base))) ++i;
    return i;
  }

  std::size_t exponent_end(std::size_t i) const {
    if (at(i) != 'e' && at(i) != 'E') return i;
    const std::size_t digits = at(i + 1) == '+' || at(i + 1) == '-' ? i + 2 : i + 1;
    const std::size_t end = skip_digits(digits);
    return end == digits ? i : end;
  }

  /// The end of a float at `position_`; 0 if no float starts here.
  std::size_t float_end() const {
    if (position_ > 0 && source_[position_ - 1] == '.') return 0;
    const std::size_t whole = skip_digits(position_);
    std::size_t end = whole;
    if (at(end) == '.' && skip_digits(end + 1) > end + 1) end = skip_digits(end + 1);
    end = exponent_end(end);
    return end == whole ? 0 : end;
  }

  std::string digits_between(std::size_t begin, std::size_t end) const {
    std::string digits = source_.substr(begin, end - begin);
    std::erase(digits, '_');
    return digits;
  }

  void read_number() {
    if (const std::size_t end = float_end()) {
      const std::string digits = digits_between(position_, end);
      double real = 0;
      const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), real);
      if (result.ec != std::errc()) real = std::strtod(digits.c_str(), nullptr);  // inf or 0
      add(TokenKind::number, digits, Value(real));
      return advance(end);
    }
    read_integer();
  }

  void read_integer() {
    const char mark = static_cast<char>(at(position_ + 1) | 0x20);
    const bool prefixed = source_[position_] == '0' && (mark == 'x' || mark == 'o' || mark == 'b');
    int base = !prefixed ? 10 : mark == 'x' ? 16 : mark == 'o' ? 8 : 2;
    std::size_t begin = prefixed ? position_ + 2 : position_;
    if (prefixed && at(begin) == '_') ++begin;
    std::size_t end = skip_digits(begin, base);
    if (prefixed && end == begin) {
      begin = position_;
      end = begin + 1;
      base = 10;
    } else if (!prefixed && source_[position_] == '0') {
      end = position_ + 1;  // Python has no leading zeros: 007 is 00 and 7
      while (at(end) == '0' || (at(end) == '_' && at(end + 1) == '0')) ++end;
    }
    const std::string digits = digits_between(begin, end);
    std::int64_t value = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (result.ec != std::errc()) refuse("the integer " + digits + " does not fit in 64 bits");
    add(TokenKind::number, digits, Value(value));
    advance(end);
  }

  void read_name() {
    std::size_t end = position_;
    for (std::size_t next = end; next < source_.size() && is_word(next_code_point(source_, next));
         end = next) {
    }
    add(TokenKind::name, source_.substr(position_, end - position_));
    advance(end);
  }

  void read_string() {
    const char quote = source_[position_];
    std::size_t end = position_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) refuse("a string has no end");
    const std::string inner = source_.substr(position_ + 1, end - position_ - 1);
    try {
      add(TokenKind::string, unescape(inner));
    } catch (const Fault& reason) {
      refuse(reason.what());
    }
    advance(end + 1);
  }

  void read_symbol() {
    for (const std::string_view two : {"//", "**", "==", "!=", ">=", "<="}) {
      if (!starts(position_, two)) continue;
      add(TokenKind::symbol, std::string(two));
      return advance(position_ + 2);
    }
    const char c = source_[position_];
    if (std::string_view("+-/*%~[](){}><=.:|,;").find(c) == std::string_view::npos) {
      refuse(fmt::format("unexpected character '{}'",
                         c >= 0x20 && c < 0x7F ? std::string(1, c) : fmt::format("\\x{:02x}", c)));
    }
    balance(c);
    add(TokenKind::symbol, std::string(1, c));
    advance(position_ + 1);
  }

  /// Within brackets, }} and %} are two symbols each.
  void balance(char c) {
    if (c == '(') brackets_.push_back(')');
    if (c == '[') brackets_.push_back(']');
    if (c == '{') brackets_.push_back('}');
    if (c != ')' && c != ']' && c != '}') return;
    if (brackets_.empty()) refuse(fmt::format("unexpected '{}'", c));
    if (brackets_.back() != c) {
      refuse(fmt::format("unexpected '{}', expected '{}'", c, brackets_.back()));
    }
    brackets_.pop_back();
  }

  std::string source_;
  std::size_t position_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::string brackets_;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace trireme::jinja
