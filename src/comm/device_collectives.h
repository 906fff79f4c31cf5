// What GPUs exchange over links of their own, without the host's memory in between. Everything is
// enqueued, in the order of the calls, behind the work that the GPU has to do already.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "comm/communicator.h"

namespace trireme {

class DeviceCollectives {
 public:
  virtual ~DeviceCollectives() = default;

  /// Communicator::tree_all_reduce of numbers in the GPU's memory: the same bits.
  virtual void tree_all_reduce(const TreeSum& sum, std::span<const float* const> partials,
                               std::int64_t count, float* out) = 0;
  virtual void send(int to, const void* from, std::size_t bytes) = 0;
  virtual void receive(int from, void* to, std::size_t bytes) = 0;
};

}  // namespace trireme
