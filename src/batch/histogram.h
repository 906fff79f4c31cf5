// A histogram of positive numbers over many orders of magnitude in a few kilobytes, whatever their
// number: what quantiles of ten million latencies are read from.
#pragma once

#include <array>
#include <cstdint>

namespace trireme {

/// Sixteen buckets to each factor of two, from 2^-20 (a microsecond, in seconds) to 2^24 (half a
/// year, or 16 million tokens); what is beyond counts in the first or last. A quantile is off
/// by 2.2 % at most.
class LogHistogram {
 public:
  static constexpr int per_octave = 16;
  static constexpr int lowest_octave = -20;
  static constexpr int octaves = 44;
  static constexpr int buckets = per_octave * octaves;

  void add(double value);

  std::uint64_t count() const { return count_; }
  double sum() const { return sum_; }
  double largest() const { return largest_; }
  /// The value below which a share `q` of all lies, 0 <= q <= 1; 0 where there is none.
  double quantile(double q) const;
  /// How many are below `limit`, which should be a power of two to be exact.
  std::uint64_t below(double limit) const;
  std::uint64_t in_bucket(int bucket) const { return counts_[static_cast<std::size_t>(bucket)]; }
  /// The values that bucket holds begin here; those of the next, where it ends.
  static double bucket_begin(int bucket);

 private:
  static int bucket_of(double value);

  std::array<std::uint64_t, buckets> counts_{};
  std::uint64_t count_ = 0;
  double sum_ = 0;
  double largest_ = 0;
};

}  // namespace trireme
