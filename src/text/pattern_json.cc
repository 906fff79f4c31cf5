// The "pattern" member that Split and Replace share.
#include "text/pattern_json.h"

#include "core/error.h"
#include "text/json_view.h"

namespace trireme::text {

std::unique_ptr<Pattern> read_pattern(const JsonView& json) {
  if (const auto content = json.find("String")) {
    return std::make_unique<Literal>(content->as_string(), content->where());
  }
  if (const auto expression = json.find("Regex")) {
    return std::make_unique<Regex>(expression->as_string(), expression->where());
  }
  fail(ErrorKind::input, "{}: expected a member \"String\" or \"Regex\"", json.where());
}

void append_replaced(std::string& out, std::string_view text, const Pattern& pattern,
                     std::string_view content) {
  std::vector<Match> matches;
  pattern.find(text, matches);
  for (const Match& match : matches) {
    out += match.is_match ? content : text.substr(match.begin, match.end - match.begin);
  }
}

}  // namespace trireme::text
