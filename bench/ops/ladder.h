// The main kernels beside their simpler ancestors: what each step up from a plain loop brought.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace trireme::bench {

/// One way to compute `y`. The operands lie in memory several times; `copy` says which to read, so
/// that no cache holds them.
struct Rung {
  std::string name;
  std::function<void(std::size_t copy, float* y)> run;
};

/// Ways to compute the same, the plain loop first.
struct Ladder {
  std::string title;
  std::size_t outputs;
  std::size_t copies;
  double operations;  ///< of one run
  double bytes;       ///< that one run must read
  double limit;       ///< operations per second from registers
  double tolerance;   ///< against the plain loop, relative to its largest output
  std::vector<Rung> rungs;
};

/// What all ladders share. Everything runs on one thread.
struct Ground {
  ThreadPool& threads;
  const Backend& backend;
};

Ladder one_row_of_bfloat16(const Ground& ground);
Ladder rows_of_bfloat16(const Ground& ground);
Ladder one_row_of_int8(const Ground& ground);
Ladder one_row_of_int4(const Ground& ground);
Ladder one_query(const Ground& ground);

/// Copies of `bytes` bytes that together are larger than any cache.
inline std::size_t copies_beyond_cache(std::size_t bytes) {
  return (std::size_t{96} << 20) / bytes + 1;
}

}  // namespace trireme::bench
