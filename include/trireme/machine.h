// What this machine can do at most, measured.
#pragma once

#include <string>

#include "trireme/error.h"
#include "trireme/options.h"

namespace trireme {

struct MachineLimits {
  std::string processor;  ///< the CPU's name
  int cores = 0;          ///< that this process may use
  double read_bytes_per_s = 0;
  std::string math_unit;             ///< "AVX-512 float32 fused multiply-add", ...
  double math_operations_per_s = 0;  ///< 0: not measured
};

/// Measures how fast this host reads memory and multiplies, with all cores that this process may
/// use and the unit that the engine would multiply the model's matrices with. Takes about a second
/// and 128 MB a thread; other work disturbs it. With Options::device a GPU: how fast that one
/// copies within its memory, and no math. Throws Error as the engine would for a model that cannot
/// be opened.
MachineLimits measure_machine(const Options& options);

/// Names alone; measures nothing.
MachineLimits describe_machine();

}  // namespace trireme
