// How far a long job is: a live line on a terminal, else one plain line every ten seconds, on
// stderr.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "batch/progress_state.h"
#include "batch/rate_window.h"
#include "cli/terminal.h"

namespace trireme {

/// "batch: 120/1000 rows (12 %), 32 in flight, 3 failed, in 1.2 k out 812 tok/s, 3-5 min left, KV
/// 43
/// %, ranks 93 88 %, replica 1 at 48 % of the others' rate"; what matters least is left out until
/// it is no longer than `room` characters.
std::string progress_line(const std::string& verb, const ProgressState& state, std::size_t room);
/// "batch: 1000/1000 rows (100 %), 3 failed, in 1.2 k out 812 tok/s, 2 min 3 s".
std::string last_line(const std::string& verb, const ProgressState& state);

/// "3-5 min", "40-50 s", "about 2 h": as exact as a guess may be.
std::string duration_range(const Spread& seconds);

class Progress {
 public:
  /// `total` rows, if known. Prints nothing yet. `quiet`: the last line only.
  explicit Progress(std::string verb, std::optional<std::int64_t> total = std::nullopt,
                    bool quiet = false);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Once the number of rows is known.
  void set_total(std::int64_t rows) { state_.total = rows; }
  /// Totals so far. Cheap: call as often as you like; prints when it is time.
  void update(std::int64_t rows_done, std::int64_t errors, std::int64_t prompt_tokens,
              std::int64_t new_tokens);
  /// The same for who knows more: asked only when it is time.
  void update(const std::function<ProgressState()>& state);
  /// The last line: what has been since the start. Call it after the last update().
  void finish();
  void finish(const ProgressState& state);
  /// Takes the live line away, so that a message can be printed; the next update() brings it back.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  bool due() const;
  void print(const std::string& line, bool last);

  std::string verb_;
  ProgressState state_;
  RateWindow rows_rate_, prompt_rate_, new_rate_;
  std::int64_t prompt_tokens_ = 0;
  std::int64_t new_tokens_ = 0;
  bool quiet_ = false;
  Terminal terminal_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point printed_ = start_;
  bool line_open_ = false;
  bool finished_ = false;
};

}  // namespace trireme
