#include "batch/csv.h"

namespace trireme {

void CsvScanner::feed(char c) {
  switch (state_) {
    case State::field_start:
      if (c == '"') {
        state_ = State::quoted;
      } else if (c != delimiter_) {
        state_ = State::unquoted;
      }
      return;
    case State::unquoted:
      if (c == delimiter_) state_ = State::field_start;
      return;
    case State::quoted:
      if (c == '"') state_ = State::quote_in_quoted;
      return;
    case State::quote_in_quoted:
      if (c == '"') {
        state_ = State::quoted;
      } else {
        state_ = c == delimiter_ ? State::field_start : State::unquoted;
      }
      return;
  }
}

namespace {

/// Reads the quoted field that opens at `at`; leaves `at` behind its closing quote.
bool read_quoted(std::string_view record, std::size_t& at, std::string& field) {
  ++at;
  for (;;) {
    const std::size_t quote = record.find('"', at);
    if (quote == std::string_view::npos) return false;
    field.append(record, at, quote - at);
    at = quote + 1;
    if (at >= record.size() || record[at] != '"') return true;
    field += '"';
    ++at;
  }
}

}  // namespace

std::optional<std::vector<std::string>> parse_csv_record(std::string_view record, char delimiter) {
  std::vector<std::string> fields;
  std::size_t at = 0;
  for (;;) {
    std::string& field = fields.emplace_back();
    if (at < record.size() && record[at] == '"') {
      if (!read_quoted(record, at, field)) return std::nullopt;
    } else {
      const std::size_t end = std::min(record.find(delimiter, at), record.size());
      field.assign(record, at, end - at);
      at = end;
    }
    if (at >= record.size()) return fields;
    if (record[at] != delimiter) return std::nullopt;
    ++at;
  }
}

}  // namespace trireme
