#include "batch/prompt_template.h"

#include "core/error.h"

namespace trireme {

namespace {

[[noreturn]] void fail_at(std::string_view flag, std::string_view text, std::size_t at,
                          const char* what) {
  fail(ErrorKind::usage,
       "{}: {} at character {} of \"{}\"; a column is written {{name}}, a brace {{{{ or }}}}", flag,
       what, at + 1, text);
}

}  // namespace

PromptTemplate::PromptTemplate(std::string_view text, std::string_view flag) : flag_(flag) {
  std::string literal;
  std::size_t at = 0;
  while (at < text.size()) {
    const char c = text[at];
    const bool doubled = at + 1 < text.size() && text[at + 1] == c;
    if ((c == '{' || c == '}') && doubled) {
      literal += c;
      at += 2;
    } else if (c == '}') {
      fail_at(flag, text, at, "a lone }");
    } else if (c == '{') {
      const std::size_t end = text.find_first_of("{}", at + 1);
      if (end == std::string_view::npos || text[end] == '{')
        fail_at(flag, text, at, "a { that does not close");
      if (end == at + 1) fail_at(flag, text, at, "{} without a name");
      if (!literal.empty()) pieces_.push_back({std::exchange(literal, {}), false});
      pieces_.push_back({std::string(text.substr(at + 1, end - at - 1)), true});
      at = end + 1;
    } else {
      literal += c;
      ++at;
    }
  }
  if (!literal.empty()) pieces_.push_back({std::move(literal), false});
}

}  // namespace trireme
