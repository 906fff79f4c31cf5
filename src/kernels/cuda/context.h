// What a kernel's launcher needs besides its arguments: the stream, the GPU's sizes, and small
// arrays that the host makes and kernels read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/cuda/device_code.h"

namespace trireme::cuda {

/// Throws Error(resource) naming `what` and the device's own words unless `result` is success.
void check(cudaError_t result, const char* what);
/// The same for the launch before it.
void check_launch(const char* kernel);

/// What of a GPU decides how kernels are launched.
struct DeviceTraits {
  int device = 0;
  int compute_capability = 0;  ///< 75, 80, 90, ...
  int multiprocessors = 0;
  std::size_t shared_bytes_per_block = 0;  ///< the most, opted in

  /// mma_bf16 and its like.
  bool tensor_cores() const { return compute_capability >= 80; }
};

/// A SequenceSpan (kernels/backend.h) as kernels read it.
struct DeviceSequence {
  std::int64_t row_begin = 0;
  std::int64_t rows = 0;
  std::int64_t position_begin = 0;
  std::int64_t keys = 0;
  std::int64_t first = 0;  ///< rows of the sequences before it
  const std::int32_t* block_table = nullptr;
};

/// The sequences of a step. Rows are numbered through all of them: `sequence_of_row[i]` is the
/// sequence of the i-th, which is row sequence.row_begin + i - sequence.first of the step's
/// matrices.
struct DeviceSequences {
  const DeviceSequence* list = nullptr;           ///< [count]
  const std::int32_t* sequence_of_row = nullptr;  ///< [rows]
  std::int32_t count = 0;
  std::int32_t rows = 0;
  /// No sequence's rows see more keys than this: what a launch is sized for. It is rounded up, so
  /// that a recorded launch fits the steps that come after it.
  std::int64_t most_keys = 0;
  bool one_row_each = false;  ///< decoding: then nothing may be uploaded
};

class Context {
 public:
  virtual ~Context() = default;

  cudaStream_t stream = nullptr;
  DeviceTraits traits;

  /// The step's sequences on the device: uploaded once per step, whichever operations ask.
  virtual DeviceSequences sequences(std::span<const SequenceSpan> sequences) = 0;
  /// An array of the step (positions, ids, tiles) on the device, until the step ends.
  template <typename T>
  const T* step_array(std::span<const T> values) {
    return static_cast<const T*>(step_bytes(std::as_bytes(values), values.data()));
  }
  /// An array that belongs to the model (kv_head_of): what was uploaded once stays.
  template <typename T>
  const T* constant_array(std::span<const T> values) {
    return static_cast<const T*>(constant_bytes(std::as_bytes(values)));
  }
  /// Memory for one operation, aligned to 256 bytes; the next operation's may be the same. One call
  /// per operation.
  virtual std::byte* scratch(std::size_t bytes) = 0;

 protected:
  virtual const void* step_bytes(std::span<const std::byte> bytes, const void* name) = 0;
  virtual const void* constant_bytes(std::span<const std::byte> bytes) = 0;
};

}  // namespace trireme::cuda
