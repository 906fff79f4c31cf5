// Regular expressions as tokenizer files write them (Oniguruma's dialect), run by PCRE2's JIT.
#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <new>

#include "core/error.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace trireme::text {
namespace {

// Far beyond what any family's pattern needs on any text, well below a second.
constexpr std::uint32_t kMatchLimit = 10'000'000;
constexpr std::uint32_t kHeapLimitKiB = 65'536;
constexpr std::size_t kJitStackBytes = 1 << 20;

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

using Code = std::unique_ptr<pcre2_code, Freer<pcre2_code_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Freer<pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freer<pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Freer<pcre2_match_data_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Freer<pcre2_jit_stack_free>>;

template <typename Owner>
Owner checked(Owner owner) {
  if (!owner) throw std::bad_alloc();
  return owner;
}

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

// What one thread needs to match: never shared.
class Matcher {
 public:
  Matcher(const pcre2_code* code, std::string_view text)
      : code_(code),
        text_(text),
        context_(checked(MatchContext(pcre2_match_context_create(nullptr)))),
        data_(checked(MatchData(pcre2_match_data_create(1, nullptr)))) {
    pcre2_set_match_limit(context_.get(), kMatchLimit);
    pcre2_set_heap_limit(context_.get(), kHeapLimitKiB);
  }

  /// Finds the next match at or after `from`. PCRE2's code: positive, no match or an error.
  int find(std::size_t from) {
    int code = run(from);
    if (code == PCRE2_ERROR_JIT_STACKLIMIT && !stack_) {
      stack_ = checked(JitStack(pcre2_jit_stack_create(32 << 10, kJitStackBytes, nullptr)));
      pcre2_jit_stack_assign(context_.get(), nullptr, stack_.get());
      code = run(from);
    }
    return code;
  }
  std::size_t begin() const { return pcre2_get_ovector_pointer(data_.get())[0]; }
  std::size_t end() const { return pcre2_get_ovector_pointer(data_.get())[1]; }

 private:
  int run(std::size_t from) {
    return pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text_.data()), text_.size(), from,
                       PCRE2_NO_UTF_CHECK, data_.get(), context_.get());
  }

  const pcre2_code* code_;
  std::string_view text_;
  MatchContext context_;
  MatchData data_;
  JitStack stack_;
};

void append_gap(std::vector<Match>& out, std::size_t from, std::size_t to) {
  if (from != to) out.push_back({from, to, false});
}

}  // namespace

struct Regex::Compiled {
  std::string where;
  Code code;
};

Regex::Regex(std::string_view pattern, std::string where)
    : compiled_(std::make_unique<Compiled>()) {
  const std::string translated = translate_regex(pattern, where);
  const auto context = checked(CompileContext(pcre2_compile_context_create(nullptr)));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  compiled_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()),
                                      translated.size(), PCRE2_UTF | PCRE2_MULTILINE, &error,
                                      &offset, context.get()));
  if (!compiled_->code) {
    fail(ErrorKind::input, "{}: the regular expression {} is malformed: {}", where, pattern,
         pcre2_message(error));
  }
  // Without a JIT (some hardened kernels) PCRE2 interprets the pattern: slower, the same result.
  pcre2_jit_compile(compiled_->code.get(), PCRE2_JIT_COMPLETE);
  compiled_->where = std::move(where);
}

Regex::~Regex() = default;

void Regex::find(std::string_view original, std::vector<Match>& out) const {
  std::string replaced;
  const bool newer = append_with_older_characters(replaced, original);
  const std::string_view text = newer ? std::string_view(replaced) : original;
  Matcher matcher(compiled_->code.get(), text);
  std::size_t from = 0;
  std::size_t previous_end = 0;
  bool matched_before = false;
  while (from <= text.size()) {
    const int code = matcher.find(from);
    if (code == PCRE2_ERROR_NOMATCH) break;
    if (code < 0) {
      fail(ErrorKind::input, "{}: the regular expression gave up at byte {} of the text: {}",
           compiled_->where, from, pcre2_message(code));
    }
    const std::size_t begin = matcher.begin();
    const std::size_t end = matcher.end();
    if (begin == end && matched_before && end == previous_end) {
      from += from < text.size() ? utf8_length(text[from]) : 1;
      continue;
    }
    append_gap(out, previous_end, begin);
    out.push_back({begin, end, true});
    from = previous_end = end;
    matched_before = true;
  }
  append_gap(out, previous_end, text.size());
}

Literal::Literal(std::string_view content, const std::string& where) : content_(content) {
  if (content.empty()) fail(ErrorKind::input, "{}: the pattern is empty", where);
}

void Literal::find(std::string_view text, std::vector<Match>& out) const {
  std::size_t previous_end = 0;
  std::size_t begin = 0;
  while ((begin = text.find(content_, previous_end)) != std::string_view::npos) {
    append_gap(out, previous_end, begin);
    previous_end = begin + content_.size();
    out.push_back({begin, previous_end, true});
  }
  append_gap(out, previous_end, text.size());
}

void CharacterPattern::find(std::string_view text, std::vector<Match>& out) const {
  std::size_t previous_end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    if (!predicate_(next_code_point(text, at))) continue;
    append_gap(out, previous_end, begin);
    out.push_back({begin, at, true});
    previous_end = at;
  }
  append_gap(out, previous_end, text.size());
}

void WordPattern::find(std::string_view text, std::vector<Match>& out) const {
  enum class Kind { space, word, other };
  Kind previous = Kind::space;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const char32_t c = next_code_point(text, at);
    const Kind kind = is_word(c) ? Kind::word : is_white_space(c) ? Kind::space : Kind::other;
    if (begin > 0 && kind == previous) {
      out.back().end = at;
    } else {
      out.push_back({begin, at, kind != Kind::space});
    }
    previous = kind;
  }
}

}  // namespace trireme::text
