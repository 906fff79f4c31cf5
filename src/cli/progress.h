// How far a long job is: a live line on a terminal, else one plain line every ten seconds, on
// stderr.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "cli/terminal.h"

namespace trireme {

/// What a progress line tells.
struct ProgressState {
  std::int64_t rows = 0;
  std::optional<std::int64_t> total;  ///< if known
  std::int64_t errors = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t new_tokens = 0;
  double seconds = 0;
};

/// "batch: 120/1000 rows (12 %), 3 errors, 812 tok/s, 13 s left"; as wide as it needs to be.
std::string progress_line(const std::string& verb, const ProgressState& state);

class Progress {
 public:
  /// `total` rows, if known. Prints nothing yet.
  explicit Progress(std::string verb, std::optional<std::int64_t> total = std::nullopt);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Once the number of rows is known.
  void set_total(std::int64_t rows) { state_.total = rows; }
  /// Totals so far. Cheap: call as often as you like; prints when it is time.
  void update(std::int64_t rows_done, std::int64_t errors, std::int64_t prompt_tokens,
              std::int64_t new_tokens);
  /// The last line. Call it after the last update().
  void finish();
  /// Takes the live line away, so that a message can be printed; the next update() brings it back.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  void print(bool last);

  std::string verb_;
  ProgressState state_;
  Terminal terminal_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point printed_ = start_;
  bool line_open_ = false;
  bool finished_ = false;
};

}  // namespace trireme
