// The line of work of one GPU, for whoever adds to it from outside the backend (comm/nccl.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
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
  std::string device_id;   ///< the same in all processes of all hosts for one GPU, only for it
  void* stream = nullptr;  ///< a cudaStream_t
  /// Makes the GPU the calling thread's and enqueues what the backend has put off; to be called
  /// before anything is added to the stream.
  std::function<void()> flush;
  /// Enqueues the steps over `pieces`, [count] each in the GPU's memory; the last one leaves the
  /// sum in `out`, which may be one of the pieces. Without steps `out` is the single piece, or
  /// zeros where there is none.
  std::function<void(std::span<const float* const> pieces, std::span<const TreeStep> steps,
                     std::int64_t count, float* out)>
      tree_sum;
  /// Memory of the GPU, until its last owner goes. Not while work is recorded.
  std::function<std::shared_ptr<std::byte>(std::size_t bytes)> allocate;
  /// Forgets all recorded work (Backend::repeat), even such that still runs: NCCL does not close
  /// while there is any.
  std::function<void()> forget_recorded;
  /// Called now and then while the host waits for the stream: by those who have put work there that
  /// only others can end, each under its own address. What one throws ends the wait.
  mutable std::map<const void*, std::function<void()>> watchers;
  /// The host has waited for the stream in vain: work that others have put there is not awaited any
  /// more but ended.
  mutable bool given_up = false;
};

}  // namespace trireme
