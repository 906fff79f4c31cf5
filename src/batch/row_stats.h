// What became of a job's rows: how long they took, how long they are, what went wrong. Bounded
// memory for any number of rows.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "batch/histogram.h"
#include "batch/messages.h"
#include "batch/raw_row.h"

namespace trireme {

/// Errors of one kind.
struct RowErrors {
  std::uint64_t count = 0;
  struct Example {
    std::uint64_t row = 0;
    std::string place;    ///< "line 3" of the input
    std::string message;  ///< cut where it is very long
  };
  std::vector<Example> examples;  ///< the first ones
};

/// A row at work, for a trace.
struct RowSpan {
  std::uint64_t row = 0;
  std::uint32_t worker = 0;
  bool failed = false;
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::uint64_t prompt_tokens = 0;
  std::uint64_t new_tokens = 0;
};

/// Times are monotonic_ns().
class RowStats {
 public:
  static constexpr std::size_t most_codes = 64;
  static constexpr std::size_t most_examples = 3;
  static constexpr std::size_t most_spans = 20000;

  void read(const RawRow& row, std::int64_t now);
  /// An earlier run has answered it.
  void skip(const RawRow& row);
  void hand_out(const RawRow& row, std::uint32_t worker, std::int64_t now);
  /// The worker has not begun them; they go out again.
  void take_back(std::uint32_t worker, const std::vector<std::uint64_t>& rows, std::int64_t now);
  /// The worker's rows will be handed out again.
  void lose(std::uint32_t worker, std::int64_t now);
  void answer(const RawRow& row, const RowResult& result, std::int64_t now);

  std::uint64_t answered() const { return latency_.count() + unasked_; }
  std::uint64_t failed() const { return failed_; }
  std::uint64_t skipped() const { return skipped_; }
  std::uint64_t in_flight(std::uint32_t worker) const;
  std::uint64_t prompt_tokens() const { return static_cast<std::uint64_t>(prompts_.sum()); }
  std::uint64_t new_tokens() const { return static_cast<std::uint64_t>(answers_.sum()); }
  /// Bytes of the rows, with their line ends: a measure of the work.
  std::uint64_t bytes_read() const { return bytes_read_; }
  std::uint64_t bytes_answered() const { return bytes_answered_; }
  std::uint64_t bytes_skipped() const { return bytes_skipped_; }

  const LogHistogram& latency() const { return latency_; }  ///< seconds, hand-out to answer
  const LogHistogram& queued() const { return queued_; }    ///< seconds, reading to hand-out
  const LogHistogram& prompts() const { return prompts_; }  ///< tokens
  const LogHistogram& answers() const { return answers_; }  ///< tokens
  const std::map<std::string, RowErrors>& errors() const { return errors_; }
  const std::vector<RowSpan>& spans() const { return spans_; }
  std::uint64_t dropped_spans() const { return dropped_spans_; }

 private:
  struct Times {
    std::int64_t read_ns = 0;
    std::int64_t handed_ns = 0;  ///< 0: in the queue
    std::uint32_t worker = 0;
  };
  void count_error(const RawRow& row, const RowResult& result);
  void keep_span(const RowResult& result, const Times& times, std::int64_t now);

  std::unordered_map<std::uint64_t, Times> unfinished_;  ///< read, and not answered
  std::map<std::uint32_t, std::uint64_t> in_flight_;
  LogHistogram latency_, queued_, prompts_, answers_;
  std::uint64_t unasked_ = 0;  ///< answered though nobody held them (convicted rows)
  std::uint64_t failed_ = 0;
  std::uint64_t skipped_ = 0;
  std::uint64_t bytes_read_ = 0, bytes_answered_ = 0, bytes_skipped_ = 0;
  std::map<std::string, RowErrors> errors_;
  std::vector<RowSpan> spans_;
  std::uint64_t dropped_spans_ = 0;
};

/// The most frequent kinds of error, most frequent first.
std::vector<std::pair<std::string, RowErrors>> top_errors(
    const std::map<std::string, RowErrors>& errors, std::size_t most);

}  // namespace trireme
