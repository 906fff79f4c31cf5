#include "batch/choices.h"

#include <algorithm>
#include <filesystem>

#include "batch/json_text.h"
#include "batch/row_error.h"
#include "batch/sampling_fields.h"
#include "core/choices.h"
#include "core/error.h"
#include "core/read_file.h"

namespace trireme {

namespace {

namespace dom = simdjson::dom;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

/// "a, b" -> "a", "b"; an empty piece is an empty label.
std::vector<std::string> between_commas(std::string_view text) {
  std::vector<std::string> labels;
  for (;;) {
    const std::size_t comma = std::min(text.find(','), text.size());
    labels.emplace_back(trimmed(text.substr(0, comma)));
    if (comma == text.size()) return labels;
    text.remove_prefix(comma + 1);
  }
}

/// A label a line, as it stands there.
std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> labels;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!trimmed(line).empty()) labels.emplace_back(line);
  }
  return labels;
}

/// False where the element is no list of strings.
bool read_list(const dom::element& value, std::vector<std::string>& labels) {
  dom::array list;
  if (value.get(list) != simdjson::SUCCESS) return false;
  for (const dom::element item : list) {
    if (!item.is_string()) return false;
    labels.emplace_back(static_cast<std::string_view>(item));
  }
  return true;
}

std::vector<std::string> choices_in_file(const std::string& path) {
  std::string text = read_file(path);
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  if (!is_valid_utf8(text))
    fail(ErrorKind::input, "--choices {}: the file is not valid UTF-8", path);
  dom::parser parser;
  dom::element json;
  std::vector<std::string> labels;
  const bool list = trimmed(text).starts_with('[') &&
                    parser.parse(text).get(json) == simdjson::SUCCESS && read_list(json, labels);
  if (list) return labels;
  if (path.ends_with(".json")) {
    fail(ErrorKind::input, "--choices {}: expected a JSON list of strings", path);
  }
  return lines_of(text);
}

bool is_file(const std::string& name) {
  std::error_code error;
  return std::filesystem::exists(name, error) && !std::filesystem::is_directory(name, error);
}

void check_row(std::string_view field, const std::vector<std::string>& labels) {
  const std::string wrong = wrong_with_choices(labels);
  if (!wrong.empty()) bad_row("invalid_choices", "field \"{}\": {}", field, wrong);
}

}  // namespace

void take_choices(const std::string& text, RowSettings& rows) {
  rows.task = RowTask::choose;
  const bool file = is_file(text);
  if (!file && text.size() > 2 && text.starts_with('{') && text.ends_with('}')) {
    rows.choices_column = text.substr(1, text.size() - 2);
    return;
  }
  rows.choices = file ? choices_in_file(text) : between_commas(text);
  const std::string wrong = wrong_with_choices(rows.choices);
  if (!wrong.empty()) fail(ErrorKind::usage, "--choices {}: {}", text, wrong);
  if (!std::ranges::all_of(rows.choices, is_valid_utf8)) {
    fail(ErrorKind::usage, "--choices: a label is not valid UTF-8");
  }
  if (!file && rows.choices.size() == 1) {
    fail(ErrorKind::usage,
         "--choices {}: there is no such file, and one label is no choice; name a file of labels, "
         "or labels between commas",
         text);
  }
}

std::vector<std::string> choices_of(std::string_view field, const dom::element& value) {
  std::vector<std::string> labels;
  if (value.is_string()) {
    labels = between_commas(static_cast<std::string_view>(value));
  } else if (!read_list(value, labels)) {
    bad_row("invalid_choices", "field \"{}\" must be a list of strings, but is {}", field,
            value.is_array() ? "a list of other things" : kind_of(value));
  }
  check_row(field, labels);
  return labels;
}

std::vector<std::string> choices_of(std::string_view column, const std::string& text) {
  if (!is_valid_utf8(text)) bad_row("invalid_utf8", "column \"{}\" is not valid UTF-8", column);
  std::vector<std::string> labels;
  dom::parser parser;
  dom::element json;
  const bool list = trimmed(text).starts_with('[') &&
                    parser.parse(text).get(json) == simdjson::SUCCESS && read_list(json, labels);
  if (!list) labels = between_commas(text);
  check_row(column, labels);
  return labels;
}

}  // namespace trireme
