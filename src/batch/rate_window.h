// How fast a job goes now, and how long it may take still: totals over the last minute, of which
// the last ten seconds are "now". Time is an argument; no clock.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

namespace trireme {

struct Spread {
  double low = 0;
  double high = 0;
};

/// Of one total that only grows.
class RateWindow {
 public:
  /// The total at `seconds`, which must not go back. Keeps a sample a second.
  void add(double seconds, double total);

  /// Per second, over the last ten seconds or as long as there are samples; 0 without any.
  double rate() const;
  /// Smallest and largest rate of whole ten seconds within the last minute. Nothing before
  /// twenty seconds have passed: one rate says nothing about the next.
  std::optional<Spread> spread() const;
  /// The seconds until the total has grown by `rest`, from the spread.
  std::optional<Spread> time_for(double rest) const;

 private:
  struct Sample {
    double seconds = 0;
    double total = 0;
  };
  static constexpr double now_seconds = 10;
  static constexpr double kept_seconds = 60;

  std::deque<Sample> samples_;
  Sample last_;
  bool any_ = false;
};

}  // namespace trireme
