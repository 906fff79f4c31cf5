#include "batch/job_identity.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "core/hash.h"

namespace trireme {

namespace {

constexpr std::string_view input_key = "input";
constexpr std::size_t most_told = 5;
constexpr std::size_t longest_told = 120;  // bytes of a value: a template may be pages long

struct Line {
  std::string_view key;
  std::string_view value;
  bool operator==(const Line&) const = default;
};

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    const std::size_t equals = std::min(line.find('='), line.size());
    lines.push_back({line.substr(0, equals), line.substr(std::min(equals + 1, line.size()))});
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return lines;
}

const Line* find(const std::vector<Line>& lines, std::string_view key) {
  const auto found = std::ranges::find(lines, key, &Line::key);
  return found == lines.end() ? nullptr : &*found;
}

std::string told(const Line* line, std::string_view key) {
  if (line == nullptr) return fmt::format("no {}", key);
  const bool cut = line->value.size() > longest_told;
  return fmt::format("{}={}{}", key, line->value.substr(0, longest_told), cut ? "..." : "");
}

/// Of a file that a shell has put there.
std::optional<std::uint64_t> standard_input_size() {
  struct stat status {};
  if (fstat(0, &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace

std::string identity_line(std::string_view key, std::string_view value) {
  std::string line = fmt::format("{}=", key);
  for (const char c : value) {
    if (c == '\\') {
      line += "\\\\";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      line += c == '\n' ? "\\n" : fmt::format("\\x{:02x}", c);
    } else {
      line += c;
    }
  }
  return line + '\n';
}

std::string describe_input(const std::vector<InputFile>& files) {
  std::uint64_t bytes = 0, sizes = 0;
  for (const InputFile& file : files) {
    const std::optional<std::uint64_t> size = file.path == "-" ? standard_input_size() : file.bytes;
    if (!size) return "";
    bytes += *size;
    sizes = mixed(sizes + *size);
  }
  if (files.size() == 1) return identity_line(input_key, fmt::format("{} bytes", bytes));
  return identity_line(
      input_key, fmt::format("{} files of {} bytes in all ({:016x})", files.size(), bytes, sizes));
}

std::string describe_differences(std::string_view unfinished, std::string_view here) {
  const std::vector<Line> then = lines_of(unfinished), now = lines_of(here);
  std::vector<std::string_view> keys;
  for (const auto* lines : {&now, &then}) {
    for (const Line& line : *lines) {
      if (std::ranges::find(keys, line.key) == keys.end()) keys.push_back(line.key);
    }
  }
  std::string text;
  std::size_t differences = 0;
  for (const std::string_view key : keys) {
    const Line* const old_line = find(then, key);
    const Line* const new_line = find(now, key);
    const bool both = old_line != nullptr && new_line != nullptr;
    if (both ? *old_line == *new_line : key == input_key) continue;
    if (++differences > most_told) continue;
    text += fmt::format("{}{} here, {} in the unfinished run", text.empty() ? "" : "; ",
                        told(new_line, key), told(old_line, key));
  }
  if (differences > most_told) text += fmt::format("; and {} more", differences - most_told);
  return text;
}

}  // namespace trireme
