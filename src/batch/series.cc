#include "batch/series.h"

#include <algorithm>

namespace trireme {

void Series::add(double value, double seconds) {
  if (!(seconds > 0)) return;
  if (samples_.empty() || samples_.back().seconds >= width_) {
    if (samples_.size() == capacity) halve();
    samples_.emplace_back();
  }
  Sample& last = samples_.back();
  last.seconds += seconds;
  last.total += value * seconds;
  seconds_ += seconds;
}

void Series::halve() {
  for (std::size_t i = 0; i < capacity / 2; ++i) {
    const Sample& a = samples_[2 * i];
    const Sample& b = samples_[2 * i + 1];
    samples_[i] = {a.seconds + b.seconds, a.total + b.total};
  }
  samples_.resize(capacity / 2);
  width_ = seconds_ / static_cast<double>(capacity / 2) * 0.999;
}

std::vector<Series::Point> Series::points() const {
  std::vector<Point> points;
  double begin = 0;
  for (const Sample& sample : samples_) {
    points.push_back({begin, sample.seconds, sample.total / sample.seconds});
    begin += sample.seconds;
  }
  return points;
}

double Series::largest() const {
  double most = 0;
  for (const Sample& sample : samples_) most = std::max(most, sample.total / sample.seconds);
  return most;
}

}  // namespace trireme
