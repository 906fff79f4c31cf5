// The small arrays that the host makes for a step, on the device: all of a step's inputs go over in
// one copy, to places that depend on the step's sizes alone, so that recorded work finds those of
// the next step there.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kernels/cuda/device.h"

namespace trireme::cuda {

class StepContext final : public Context {
 public:
  explicit StepContext(std::shared_ptr<Device> device);

  /// Brings the inputs over; what step_array() and sequences() gave before is no longer valid.
  void begin_step(const StepInputs& inputs);

  DeviceSequences sequences(std::span<const SequenceSpan> sequences) override;
  std::byte* scratch(std::size_t bytes) override;

  /// While work is recorded nothing may be uploaded and nothing may move.
  void recording(bool on) {
    recording_ = on;
    recorded_ = recorded_ || on;
  }
  /// Nothing that was recorded is run again.
  void forget_recorded() { recorded_ = false; }
  /// Rises whenever memory that recorded work refers to has moved. It depends on the steps' inputs
  /// alone, so that the ranks of a tensor group always record, or repeat, the same step: NCCL asks
  /// for that.
  int generation() const { return generation_; }
  /// DeviceSequences::most_keys of the step's sequences and of its sources.
  std::pair<std::int64_t, std::int64_t> most_keys() const { return most_keys_; }

 protected:
  const void* step_bytes(std::span<const std::byte> bytes, const void* name) override;
  const void* constant_bytes(std::span<const std::byte> bytes) override;

 private:
  /// One step's inputs on their way.
  struct Staging {
    PinnedBuffer memory;
    Event arrived;
  };
  class Layout;
  struct List;
  void reserve_arena(std::size_t bytes);
  Staging& next_staging(std::size_t bytes);

  std::shared_ptr<Device> device_;
  DeviceBuffer arena_;
  DeviceBuffer others_;  ///< arrays that are none of the step's inputs
  std::size_t others_used_ = 0;
  std::vector<DeviceBuffer> retired_;  ///< memory that grew too small within the step
  std::vector<Staging> stagings_;
  std::size_t next_staging_ = 0;
  std::map<std::pair<const void*, std::size_t>, const void*> arrays_;  ///< by host address and size
  std::map<std::pair<const void*, std::size_t>, DeviceSequences> sequences_;
  std::pair<std::int64_t, std::int64_t> most_keys_;
  std::unordered_map<std::string, DeviceBuffer> constants_;  ///< by content
  DeviceBuffer scratch_;
  std::vector<DeviceBuffer> outgrown_;  ///< scratch memory that recorded work may use
  bool recording_ = false;
  bool recorded_ = false;  ///< something is, and may run again
  int generation_ = 0;
};

}  // namespace trireme::cuda
