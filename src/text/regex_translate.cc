// The translation of Oniguruma's regular expressions to PCRE2's.
//
// The two agree on most of the syntax that tokenizer files use. What differs is spelt out here:
// \s, \d, \w and \b are Unicode's (with Oniguruma's own additions), (?m) means that a dot matches
// a newline, {n,m}+ is not possessive, and classes may nest and intersect. What has no equivalent
// is refused by name. Source: Oniguruma 6.9.10, doc/RE and doc/SYNTAX.md.
#include <algorithm>
#include <array>
#include <optional>

#include "core/error.h"
#include "text/regex.h"
#include "text/utf8.h"

namespace trireme::text {
namespace {

constexpr int kMaxDepth = 64;

// Contents of a class.
constexpr std::string_view kSpace =
    R"(\t-\r\x20\x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view kNotSpace =
    R"(\x00-\x08\x0E-\x1F\x21-\x84\x86-\x9F\xA1-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027})"
    R"(\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{10FFFF})";
constexpr std::string_view kWord =
    R"(\p{L}\p{M}\p{Nl}\p{Nd}\p{Pc}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149})"
    R"(\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";
// Outside of a class, Oniguruma counts the superscript digits and the vulgar fractions of Latin-1
// as word characters too.
constexpr std::string_view kMoreWord = R"(\xB2\xB3\xB9\xBC-\xBE)";
constexpr std::string_view kHex = "0-9A-Fa-f";

std::string set_of(std::string_view items, bool negated) {
  return fmt::format("[{}{}]", negated ? "^" : "", items);
}

// General categories by their short and long names, in lower case without separators.
std::optional<std::string_view> general_category(std::string_view name) {
  static constexpr std::array<std::array<std::string_view, 3>, 37> kNames = {{
      {"L", "l", "letter"},
      {"Lu", "lu", "uppercaseletter"},
      {"Ll", "ll", "lowercaseletter"},
      {"Lt", "lt", "titlecaseletter"},
      {"Lm", "lm", "modifierletter"},
      {"Lo", "lo", "otherletter"},
      {"M", "m", "mark"},
      {"Mn", "mn", "nonspacingmark"},
      {"Mc", "mc", "spacingmark"},
      {"Me", "me", "enclosingmark"},
      {"N", "n", "number"},
      {"Nd", "nd", "decimalnumber"},
      {"Nl", "nl", "letternumber"},
      {"No", "no", "othernumber"},
      {"P", "p", "punctuation"},
      {"Pc", "pc", "connectorpunctuation"},
      {"Pd", "pd", "dashpunctuation"},
      {"Ps", "ps", "openpunctuation"},
      {"Pe", "pe", "closepunctuation"},
      {"Pi", "pi", "initialpunctuation"},
      {"Pf", "pf", "finalpunctuation"},
      {"Po", "po", "otherpunctuation"},
      {"S", "s", "symbol"},
      {"Sm", "sm", "mathsymbol"},
      {"Sc", "sc", "currencysymbol"},
      {"Sk", "sk", "modifiersymbol"},
      {"So", "so", "othersymbol"},
      {"Z", "z", "separator"},
      {"Zs", "zs", "spaceseparator"},
      {"Zl", "zl", "lineseparator"},
      {"Zp", "zp", "paragraphseparator"},
      {"C", "c", "other"},
      {"Cc", "cc", "control"},
      {"Cf", "cf", "format"},
      {"Cs", "cs", "surrogate"},
      {"Co", "co", "privateuse"},
      {"Cn", "cn", "unassigned"},
  }};
  for (const auto& names : kNames) {
    if (name == names[1] || name == names[2]) return names[0];
  }
  return std::nullopt;
}

// The contents of a class for the names that POSIX brackets and \p share.
std::optional<std::string_view> posix_class(std::string_view name) {
  if (name == "space" || name == "whitespace") return kSpace;
  if (name == "word") return kWord;
  if (name == "digit") return R"(\p{Nd})";
  if (name == "alpha" || name == "alphabetic") return R"(\p{Alphabetic})";
  if (name == "alnum") return R"(\p{Alphabetic}\p{Nd})";
  if (name == "upper" || name == "uppercase") return R"(\p{Uppercase})";
  if (name == "lower" || name == "lowercase") return R"(\p{Lowercase})";
  if (name == "punct") return R"(\p{P}\p{S})";
  if (name == "cntrl") return R"(\p{Cc})";
  if (name == "blank") return R"(\t\p{Zs})";
  if (name == "xdigit") return kHex;
  if (name == "ascii") return R"(\x00-\x7F)";
  if (name == "any") return R"(\x00-\x{10FFFF})";
  return std::nullopt;
}

// A class: the characters of `items`, and of any of the complete sets `others`.
struct Set {
  std::string items;
  std::vector<std::string> others;

  std::string str() const {
    if (others.empty()) return set_of(items, false);
    std::string all = items.empty() ? "" : set_of(items, false);
    for (const std::string& other : others) all += (all.empty() ? "" : "|") + other;
    return "(?:" + all + ")";
  }
};

class Translator {
 public:
  Translator(std::string_view pattern, std::string_view where) : text_(pattern), where_(where) {}

  std::string translate() {
    alternatives(0);
    if (!at_end()) refuse("an unmatched closing bracket");
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    fail(ErrorKind::input, "{}: the regular expression {} uses {}, which is not supported", where_,
         text_, what);
  }
  bool at_end() const { return at_ == text_.size(); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  char take() {
    if (at_end()) refuse("an incomplete construct at its end");
    return text_[at_++];
  }
  bool take_if(std::string_view token) {
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  std::string_view take_until(char end) {
    const std::size_t stop = text_.find(end, at_);
    if (stop == std::string_view::npos) refuse("an incomplete construct at its end");
    const auto result = text_.substr(at_, stop - at_);
    at_ = stop + 1;
    return result;
  }
  // One character, as it is written in the pattern.
  std::string_view take_character() {
    const std::size_t length = std::min(utf8_length(peek()), text_.size() - at_);
    at_ += length;
    return text_.substr(at_ - length, length);
  }

  // Everything up to the end of the pattern or the `)` that closes the current group.
  void alternatives(int depth) {
    if (depth > kMaxDepth) refuse("too many nested groups");
    bool at_start = true;
    while (!at_end() && peek() != ')') {
      const std::size_t start = out_.size();
      if (peek() == '|') {
        out_ += take();
        at_start = false;
        continue;
      }
      atom(depth, at_start);
      quantifiers(start);
      at_start = false;
    }
  }

  void atom(int depth, bool at_start) {
    switch (peek()) {
      case '(':
        return group(depth, at_start);
      case '[':
        out_ += bracket_class(depth);
        return;
      case '\\':
        return escape();
      case '{':
        out_ += "\\{";
        ++at_;
        return;
      default:
        out_ += take_character();
    }
  }

  void group(int depth, bool at_start) {
    ++at_;
    if (take_if("?#")) {
      take_until(')');
      return;
    }
    out_ += '(';
    if (take_if("?") && group_head(at_start)) return;
    alternatives(depth + 1);
    if (take() != ')') refuse("an unclosed group");
    out_ += ')';
  }

  // What follows "(?". Returns true when the group is complete, as in (?i).
  bool group_head(bool at_start) {
    out_ += '?';
    for (const std::string_view head : {"<=", "<!", ":", "=", "!", ">"}) {
      if (take_if(head)) return out_ += head, false;
    }
    if (take_if("<")) {
      out_ += fmt::format("<{}>", take_until('>'));
      return false;
    }
    while (peek() == 'i' || peek() == 'm' || peek() == '-') {
      const char option = take();
      out_ += option == 'm' ? 's' : option;
    }
    if (take_if(":")) return out_ += ':', false;
    // Alone, an option lasts to the end of its group; the dialects agree only at the start of one.
    if (!at_start || !take_if(")")) refuse("a group option");
    out_ += ')';
    return true;
  }

  void quantifiers(std::size_t start) {
    while (peek() == '*' || peek() == '+' || peek() == '?' || peek() == '{') {
      if (peek() != '{') {
        out_ += take();
        if (peek() == '+' || peek() == '?') out_ += take();
      } else if (!interval(start)) {
        return;
      }
    }
  }

  // {n}, {n,}, {,m} or {n,m}; any other brace is an ordinary character.
  bool interval(std::size_t start) {
    std::size_t end = at_ + 1;
    const auto digits = [&] {
      const std::size_t from = end;
      while (end < text_.size() && text_[end] >= '0' && text_[end] <= '9') ++end;
      return text_.substr(from, end - from);
    };
    const std::string_view low = digits();
    std::string_view high = low;
    const bool comma = end < text_.size() && text_[end] == ',';
    if (comma) ++end, high = digits();
    if (end == text_.size() || text_[end] != '}' || (low.empty() && high.empty())) return false;
    at_ = end + 1;
    out_ += fmt::format("{{{}{}{}}}", low.empty() ? "0" : low, comma ? "," : "",
                        comma ? high : std::string_view());
    if (peek() == '?') {
      if (!comma) refuse("{n}?");
      out_ += take();
    } else if (peek() == '+' || peek() == '*' || peek() == '{') {
      out_.insert(start, "(?:");
      out_ += ')';
    }
    return true;
  }

  static std::string word_set(bool negated) {
    return set_of(fmt::format("{}{}", kWord, kMoreWord), negated);
  }

  void escape() {
    ++at_;
    const char name = peek();
    if (name == 'w' || name == 'W') {
      ++at_;
      out_ += word_set(name == 'W');
      return;
    }
    if (const auto set = class_escape()) {
      out_ += set->str();
      return;
    }
    if (name == 'b' || name == 'B') {
      ++at_;
      const std::string word = word_set(false);
      out_ += name == 'b' ? fmt::format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", word)
                          : fmt::format("(?:(?<={0})(?={0})|(?<!{0})(?!{0}))", word);
    } else if (name == 'A' || name == 'z' || name == 'Z' || name == 'R') {
      out_ += fmt::format("\\{}", take());
    } else if (name >= '1' && name <= '9') {
      out_ += fmt::format("\\g{{{}}}", take());
      if (peek() >= '0' && peek() <= '9') refuse("a two-digit back reference");
    } else {
      out_ += character_escape();
    }
  }

  // After a backslash: \s, \S, \d, \D, \w, \W, \h, \H, \p{..}, \P{..}.
  std::optional<Set> class_escape() {
    const char name = peek();
    switch (name) {
      case 's':
        return ++at_, Set{std::string(kSpace), {}};
      case 'S':
        return ++at_, Set{std::string(kNotSpace), {}};
      case 'd':
        return ++at_, Set{R"(\p{Nd})", {}};
      case 'D':
        return ++at_, Set{R"(\P{Nd})", {}};
      case 'w':
        return ++at_, Set{std::string(kWord), {}};
      case 'W':
        return ++at_, Set{"", {set_of(kWord, true)}};
      case 'h':
        return ++at_, Set{std::string(kHex), {}};
      case 'H':
        return ++at_, Set{"", {set_of(kHex, true)}};
      case 'p':
      case 'P':
        if (peek(1) == '{') return at_ += 2, property(name == 'P');
        return std::nullopt;
      default:
        return std::nullopt;
    }
  }

  Set property(bool negated) {
    std::string_view written = take_until('}');
    if (written.starts_with('^')) written.remove_prefix(1), negated = !negated;
    std::string name;
    for (const char c : written) {
      const bool upper = c >= 'A' && c <= 'Z';
      if (upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
        name += static_cast<char>(upper ? c - 'A' + 'a' : c);
      } else if (c != ' ' && c != '_' && c != '-') {
        refuse(fmt::format("the property {}", written));
      }
    }
    if (name == "punct") name = "p";  // unlike [:punct:], which has the symbols too
    if (const auto category = general_category(name)) {
      return {fmt::format("\\{}{{{}}}", negated ? 'P' : 'p', *category), {}};
    }
    if (const auto items = posix_class(name)) {
      return negated ? Set{"", {set_of(*items, true)}} : Set{std::string(*items), {}};
    }
    // The rest are taken to be scripts; an unknown one is reported when the pattern is compiled.
    return {fmt::format("\\{}{{sc:{}}}", negated ? 'P' : 'p', name), {}};
  }

  // After a backslash: one character, inside a class or outside.
  std::string character_escape() {
    const char name = peek();
    if (name == 'x' || name == 'u') return ++at_, code_point_escape(name);
    if (name == 'v') return ++at_, "\\x0B";
    if (name == '0') {
      if (peek(1) >= '0' && peek(1) <= '9') refuse("an octal escape");
      return ++at_, "\\x00";
    }
    if (std::string_view("ntrfae").find(name) != std::string_view::npos && name != '\0') {
      return fmt::format("\\{}", take());
    }
    if ((name >= 'a' && name <= 'z') || (name >= 'A' && name <= 'Z') ||
        (name >= '0' && name <= '9')) {
      refuse(fmt::format("\\{}", name));
    }
    if (static_cast<unsigned char>(name) >= 0x80) return std::string(take_character());
    return fmt::format("\\{}", take());
  }

  // \xHH, \x{H...}, \uHHHH
  std::string code_point_escape(char kind) {
    if (kind == 'x' && take_if("{")) return fmt::format("\\x{{{}}}", take_until('}'));
    const std::size_t most = kind == 'u' ? 4 : 2;
    std::string digits;
    while (digits.size() < most && peek() != '\0' &&
           std::string_view("0123456789abcdefABCDEF").find(peek()) != std::string_view::npos) {
      digits += take();
    }
    if (digits.empty() || (kind == 'u' && digits.size() != 4)) refuse("a malformed code point");
    return fmt::format("\\x{{{}}}", digits);
  }

  // [...] with nesting and && between sets.
  std::string bracket_class(int depth) {
    if (depth > kMaxDepth) refuse("too many nested classes");
    ++at_;
    const bool negated = take_if("^");
    if (peek() == ']') refuse("an empty class");
    std::vector<Set> terms(1);
    while (peek() != ']') {
      if (take_if("&&")) {
        terms.emplace_back();
      } else {
        class_item(terms.back(), depth);
      }
    }
    ++at_;
    if (terms.size() == 1 && terms[0].others.empty()) return set_of(terms[0].items, negated);
    std::string all;
    for (std::size_t i = 0; i < terms.size(); ++i) {
      if (terms[i].items.empty() && terms[i].others.empty()) refuse("an empty class");
      all += i + 1 < terms.size() ? fmt::format("(?={})", terms[i].str()) : terms[i].str();
    }
    return negated ? fmt::format("(?:(?!{})(?s:.))", all) : fmt::format("(?:{})", all);
  }

  void class_item(Set& set, int depth) {
    if (take_if("[:")) return posix_bracket(set);
    if (peek() == '[') {
      set.others.push_back(bracket_class(depth + 1));
      return;
    }
    if (peek() == '\\') {
      ++at_;
      if (auto escaped = class_escape()) {
        set.items += escaped->items;
        for (std::string& other : escaped->others) set.others.push_back(std::move(other));
        return;
      }
      set.items += peek() == 'b' ? (++at_, "\\x08") : character_escape();
    } else {
      if (at_end()) refuse("an unclosed class");
      set.items += take_character();
    }
    if (peek() != '-' || peek(1) == ']') return;
    // A range: its end must be one character.
    ++at_;
    set.items += '-';
    if (take_if("\\")) {
      set.items += character_escape();
    } else {
      if (at_end() || peek() == '[') refuse("a malformed range");
      set.items += take_character();
    }
  }

  void posix_bracket(Set& set) {
    const bool negated = take_if("^");
    const auto items = posix_class(take_until(':'));
    if (!items || !take_if("]")) refuse("an unknown POSIX bracket");
    if (negated) {
      set.others.push_back(set_of(*items, true));
    } else {
      set.items += *items;
    }
  }

  std::string_view text_;
  std::string_view where_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string translate_regex(std::string_view pattern, std::string_view where) {
  return Translator(pattern, where).translate();
}

}  // namespace trireme::text
