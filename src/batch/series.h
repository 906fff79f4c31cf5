// A quantity over the time of a job in bounded memory: when the room is used up, neighbours merge
// and each sample stands for twice the time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace trireme {

class Series {
 public:
  static constexpr std::size_t capacity = 512;

  /// A value that holds for `seconds` from where the last one ended.
  void add(double value, double seconds);

  struct Point {
    double begin = 0;  ///< seconds since the first sample began
    double seconds = 0;
    double value = 0;  ///< the mean over them
  };
  /// Ascending, without gaps.
  std::vector<Point> points() const;
  bool empty() const { return samples_.empty(); }
  double seconds() const { return seconds_; }
  double largest() const;

 private:
  struct Sample {
    double seconds = 0;
    double total = 0;  ///< value times seconds
  };
  void halve();

  std::vector<Sample> samples_;
  double width_ = 0;  ///< seconds that a sample collects before the next begins
  double seconds_ = 0;
};

}  // namespace trireme
