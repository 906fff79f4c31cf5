#include "batch/json_fields.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

namespace trireme {

namespace {

constexpr std::string_view spaces = " \t\r\n";

/// Reads valid JSON from its front.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  char next() {
    skip_space();
    return rest_.empty() ? '\0' : rest_[0];
  }
  void skip(std::size_t count) { rest_.remove_prefix(std::min(count, rest_.size())); }

  /// A value of any kind, or a key.
  std::string_view value() {
    skip_space();
    const std::string_view start = rest_;
    std::size_t depth = 0;
    do {
      const char c = next();
      if (c == '"') {
        skip_string();
      } else if (c == '{' || c == '[') {
        ++depth;
        skip(1);
      } else if (c == '}' || c == ']') {
        --depth;
        skip(1);
      } else if (c == ',' || c == ':') {
        skip(1);
      } else {
        skip(std::min(rest_.find_first_of(",:]} \t\r\n"), rest_.size()));
      }
    } while (depth > 0 && !rest_.empty());
    return start.substr(0, start.size() - rest_.size());
  }

 private:
  void skip_space() { skip(std::min(rest_.find_first_not_of(spaces), rest_.size())); }
  void skip_string() {
    skip(1);
    while (!rest_.empty() && rest_[0] != '"') skip(rest_[0] == '\\' ? 2 : 1);
    skip(1);
  }

  std::string_view rest_;
};

}  // namespace

std::vector<std::string_view> raw_values(std::string_view object) {
  std::vector<std::string_view> values;
  Scanner scanner(object);
  scanner.next();
  scanner.skip(1);  // {
  while (scanner.next() == '"') {
    scanner.value();  // the key
    scanner.next();
    scanner.skip(1);  // :
    values.push_back(scanner.value());
    scanner.next();
    scanner.skip(1);  // , or }
  }
  return values;
}

void append_raw_json(std::string& out, std::string_view value) {
  // Within strings these stand for themselves; a line end outside of strings is space.
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> changes{
      {{"\r", " "},
       {"\n", " "},
       {"\x7f", "\\u007f"},
       {"\xc2\x85", "\\u0085"},
       {"\xe2\x80\xa8", "\\u2028"},
       {"\xe2\x80\xa9", "\\u2029"}}};
  while (!value.empty()) {
    const std::size_t plain = std::min(value.find_first_of("\r\n\x7f\xc2\xe2"), value.size());
    out.append(value, 0, plain);
    value.remove_prefix(plain);
    if (value.empty()) return;
    std::string_view from = value.substr(0, 1), to = from;
    for (const auto& change : changes) {
      if (value.starts_with(change.first)) std::tie(from, to) = change;
    }
    out += to;
    value.remove_prefix(from.size());
  }
}

}  // namespace trireme
