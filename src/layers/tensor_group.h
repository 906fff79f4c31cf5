// What the ranks of a group exchange of their activations, wherever these are: in the host's
// memory, where the communicator takes them as they are, or in a GPU's, from which they go over
// links of its own if there are any and else through the host.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "comm/device_collectives.h"
#include "kernels/backend.h"

namespace trireme {

/// A row-major float32 matrix of activations in a backend's memory; a row is a token.
struct Tensor {
  float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;  ///< also the distance between rows

  std::int64_t size() const { return rows * cols; }
};

class TensorGroup {
 public:
  /// `links`: between the GPUs of this group, or null. Both others must outlive the group.
  TensorGroup(Communicator& ranks, const Backend& backend,
              std::unique_ptr<DeviceCollectives> links = nullptr);

  int rank() const { return ranks_.rank(); }
  int size() const { return ranks_.size(); }
  /// For bytes of the host.
  Communicator& ranks() const { return ranks_; }
  /// Whether nothing that the ranks exchange passes through the host, so that it can be enqueued.
  bool stays_on_device() const { return size() == 1 || links_ != nullptr; }

  /// Communicator::tree_all_reduce of numbers in the backend's memory.
  void tree_all_reduce(const TreeSum& sum, std::span<const float* const> partials,
                       std::int64_t count, float* out);
  void send(int to, Tensor x);
  /// Fills x with what `from` sends.
  void receive(int from, Tensor x);

 private:
  Communicator& ranks_;
  const Backend& backend_;
  std::unique_ptr<DeviceCollectives> links_;
  std::vector<float> staged_;  ///< on the host, on their way
};

}  // namespace trireme
