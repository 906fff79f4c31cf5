#include "batch/histogram.h"

#include <algorithm>
#include <cmath>

namespace trireme {

int LogHistogram::bucket_of(double value) {
  if (!(value > 0)) return 0;
  const double place = (std::log2(value) - lowest_octave) * per_octave;
  return std::clamp(static_cast<int>(std::floor(std::clamp(place, -1.0, 1e6))), 0, buckets - 1);
}

double LogHistogram::bucket_begin(int bucket) {
  return std::exp2(static_cast<double>(bucket) / per_octave + lowest_octave);
}

void LogHistogram::add(double value) {
  ++counts_[static_cast<std::size_t>(bucket_of(value))];
  ++count_;
  sum_ += value;
  largest_ = std::max(largest_, value);
}

double LogHistogram::quantile(double q) const {
  if (count_ == 0) return 0;
  const auto wanted = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  for (int bucket = 0; bucket < buckets; ++bucket) {
    seen += in_bucket(bucket);
    if (seen < std::max<std::uint64_t>(1, wanted)) continue;
    const double middle = bucket_begin(bucket) * std::exp2(0.5 / per_octave);
    return std::min(middle, largest_);
  }
  return largest_;
}

std::uint64_t LogHistogram::below(double limit) const {
  std::uint64_t total = 0;
  for (int bucket = 0; bucket < buckets && bucket_begin(bucket) < limit; ++bucket) {
    total += in_bucket(bucket);
  }
  return total;
}

}  // namespace trireme
