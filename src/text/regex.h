// Regular expressions as tokenizer files write them (Oniguruma's dialect), run by PCRE2's JIT.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::text {

/// A part of a text, in bytes, and whether the pattern matched it.
struct Match {
  std::size_t begin, end;
  bool is_match;
};

/// Something to look for in a text.
class Pattern {
 public:
  virtual ~Pattern() = default;
  /// Appends to `out` all matches in `text` (valid UTF-8) and the gaps between them, in order.
  virtual void find(std::string_view text, std::vector<Match>& out) const = 0;
};

/// The translation of an Oniguruma pattern to PCRE2's syntax, with the same meaning. `where` starts
/// the message of the Error (input) that names a construct which has no equivalent here.
std::string translate_regex(std::string_view pattern, std::string_view where);

/// A compiled regular expression. Any number of threads may use one at a time; matching is bounded.
class Regex final : public Pattern {
 public:
  /// Error (input), starting with `where`, when the pattern is malformed.
  Regex(std::string_view pattern, std::string where);
  ~Regex() override;

  /// Matches as Oniguruma does over the whole text. Error (input) when a limit is exceeded.
  void find(std::string_view text, std::vector<Match>& out) const override;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

/// A fixed string, found from left to right without overlaps.
class Literal final : public Pattern {
 public:
  /// Error (input), starting with `where`, when `content` is empty.
  Literal(std::string_view content, const std::string& where);
  void find(std::string_view text, std::vector<Match>& out) const override;

 private:
  std::string content_;
};

/// Every single character for which a predicate holds.
class CharacterPattern final : public Pattern {
 public:
  using Predicate = bool (*)(char32_t);
  explicit CharacterPattern(Predicate predicate) : predicate_(predicate) {}
  void find(std::string_view text, std::vector<Match>& out) const override;

 private:
  Predicate predicate_;
};

/// Words and runs of what is neither word nor white space: `\w+|[^\w\s]+` as Rust's regex has it.
class WordPattern final : public Pattern {
 public:
  void find(std::string_view text, std::vector<Match>& out) const override;
};

}  // namespace trireme::text
