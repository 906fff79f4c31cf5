// The line of work of one GPU, for whoever adds to it from outside the backend (comm/nccl.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace trireme {

/// One addition of a tree sum (comm/tree_sum.h): an operand is the number of a piece, or ~slot for
/// the sum that an earlier step left there.
struct TreeStep {
  std::int64_t left = 0;
  std::int64_t right = 0;
  std::int64_t slot = 0;
};

struct DeviceStream {
  int device = 0;          ///< its number in this process
  std::string device_id;   ///< the same on all processes of a host for one GPU, and only for it
  void* stream = nullptr;  ///< a cudaStream_t
  /// Enqueues what the backend has put off; to be called before anything is added to the stream.
  std::function<void()> flush;
  /// Enqueues the steps over `pieces`, [count] each in the GPU's memory; the last one leaves the
  /// sum in `out`. Without steps `out` is the single piece, or zeros where there is none.
  std::function<void(std::span<const float* const> pieces, std::span<const TreeStep> steps,
                     std::int64_t count, float* out)>
      tree_sum;
};

}  // namespace trireme
