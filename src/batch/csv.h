// CSV as RFC 4180 has it: where a record ends, and which fields it holds.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

/// Follows quotes through a record's bytes, to tell line ends that end the record from those within
/// quotes. A quote opens only at a field's start, as in the field parser below.
class CsvScanner {
 public:
  explicit CsvScanner(char delimiter) : delimiter_(delimiter) {}
  void feed(char c);
  bool in_quotes() const { return state_ == State::quoted; }
  /// For the next record.
  void reset() { state_ = State::field_start; }

 private:
  enum class State { field_start, unquoted, quoted, quote_in_quoted };
  char delimiter_;
  State state_ = State::field_start;
};

/// The fields of one record (without its line end), or nothing when text follows a closing quote or
/// a quote stays open.
std::optional<std::vector<std::string>> parse_csv_record(std::string_view record, char delimiter);

}  // namespace trireme
