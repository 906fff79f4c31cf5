// str.split, str.splitlines and str.replace.
#include <algorithm>

#include "text/jinja/fault.h"
#include "text/jinja/methods.h"
#include "text/jinja/unicode.h"

namespace trireme::jinja {
namespace {

bool unlimited(std::int64_t most, std::size_t done) {
  return most < 0 || done < static_cast<std::size_t>(most);
}

/// The end of the run of characters from `i` on for which is_space is `space`.
std::size_t run_end(std::string_view text, std::size_t i, bool space) {
  while (i < text.size()) {
    std::size_t next = i;
    if (is_space(next_code_point(text, next)) != space) break;
    i = next;
  }
  return i;
}

std::vector<std::string> split_space_left(std::string_view text, std::int64_t most) {
  std::vector<std::string> parts;
  std::size_t i = run_end(text, 0, true);
  while (i < text.size()) {
    if (!unlimited(most, parts.size())) {
      parts.emplace_back(text.substr(i));
      break;
    }
    const std::size_t end = run_end(text, i, false);
    parts.emplace_back(text.substr(i, end - i));
    i = run_end(text, end, true);
  }
  return parts;
}

std::vector<std::string> split_space_right(std::string_view text, std::int64_t most) {
  std::vector<std::string> parts;
  text = strip(text, Side::right);
  while (!text.empty()) {
    if (!unlimited(most, parts.size())) {
      parts.emplace_back(text);
      break;
    }
    std::size_t begin = text.size();
    while (begin > 0) {
      const std::size_t last = last_character(text.substr(0, begin));
      std::size_t next = last;
      if (is_space(next_code_point(text, next))) break;
      begin = last;
    }
    parts.emplace_back(text.substr(begin));
    text = strip(text.substr(0, begin), Side::right);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string> split_left(std::string_view text, std::string_view by, std::int64_t most) {
  std::vector<std::string> parts;
  while (unlimited(most, parts.size())) {
    const std::size_t end = text.find(by);
    if (end == text.npos) break;
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end + by.size());
  }
  parts.emplace_back(text);
  return parts;
}

std::vector<std::string> split_right(std::string_view text, std::string_view by,
                                     std::int64_t most) {
  std::vector<std::string> parts;
  while (unlimited(most, parts.size())) {
    const std::size_t begin = text.rfind(by);
    if (begin == text.npos) break;
    parts.emplace_back(text.substr(begin + by.size()));
    text = text.substr(0, begin);
  }
  parts.emplace_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

}  // namespace

std::vector<std::string> split_text(Runtime& runtime, const std::string& text,
                                    const Value& separator, std::int64_t most, bool from_right) {
  runtime.charge(1 + text.size() / 4);
  if (separator.is_none()) {
    return from_right && most >= 0 ? split_space_right(text, most) : split_space_left(text, most);
  }
  const std::string& by = want_text(separator, "a separator");
  if (by.empty()) fault("empty separator");
  return from_right ? split_right(text, by, most) : split_left(text, by, most);
}

std::vector<std::string> split_lines(Runtime& runtime, const std::string& text, bool keep_ends) {
  runtime.charge(1 + text.size() / 4);
  std::vector<std::string> lines;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t end = i;
    const char32_t c = next_code_point(text, i);
    if (!is_line_break(c)) continue;
    if (c == '\r' && i < text.size() && text[i] == '\n') ++i;
    lines.push_back(text.substr(begin, (keep_ends ? i : end) - begin));
    begin = i;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::string replaced(Runtime& runtime, const std::string& text, const std::string& old,
                     const std::string& fresh, std::int64_t count) {
  std::string out;
  std::size_t i = 0;
  for (std::size_t done = 0; unlimited(count, done); ++done) {
    std::size_t found = old.empty() ? i : text.find(old, i);
    if (found == text.npos) break;
    if (old.empty() && done > 0) {  // between all characters, before the first, after the last
      if (i >= text.size()) break;
      next_code_point(text, found);
    }
    out.append(text, i, found - i);
    out += fresh;
    i = found + old.size();
    runtime.charge(1 + fresh.size() / 16);
    runtime.check_size(out.size());
  }
  out.append(text, std::min(i, text.size()), text.npos);
  runtime.check_size(out.size());
  return out;
}

}  // namespace trireme::jinja
