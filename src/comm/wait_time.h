// How long a rank waits for others: two looks at the clock per wait that is one.
#pragma once

#include <cstdint>

#include "core/rank_activity.h"

namespace trireme {

/// Adds its own lifetime to a sum, also when the wait ends by an exception.
class WaitTime {
 public:
  explicit WaitTime(std::uint64_t& sum) : sum_(sum) {}
  ~WaitTime() { sum_ += static_cast<std::uint64_t>(monotonic_ns() - begin_); }
  WaitTime(const WaitTime&) = delete;
  WaitTime& operator=(const WaitTime&) = delete;

 private:
  std::uint64_t& sum_;
  std::int64_t begin_ = monotonic_ns();
};

}  // namespace trireme
