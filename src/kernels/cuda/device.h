// One GPU as a backend uses it: its stream, its memory, and what goes to and fro.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "core/device_stream.h"
#include "kernels/cuda/context.h"
#include "kernels/device_buffer.h"

namespace trireme::cuda {

/// Memory that the GPU copies from and to while the host goes on.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  explicit PinnedBuffer(std::size_t bytes);
  ~PinnedBuffer();
  PinnedBuffer(PinnedBuffer&& other) noexcept;
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept;

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A point in the stream.
class Event {
 public:
  Event();
  ~Event();
  Event(Event&& other) noexcept;
  Event& operator=(Event&&) = delete;

  void record(cudaStream_t stream) const;
  void wait() const;
  cudaError_t query() const { return cudaEventQuery(event_); }

 private:
  cudaEvent_t event_ = nullptr;
};

/// Outlives its backend while a DeviceBuffer of it does.
class Device : public std::enable_shared_from_this<Device> {
 public:
  explicit Device(int gpu);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceTraits& traits() const { return traits_; }
  cudaStream_t stream() const { return stream_; }
  /// Makes this GPU the calling thread's.
  void use() const;

  /// Throws Error(resource) that names flags which help.
  DeviceBuffer allocate(std::size_t bytes);
  /// Thread-safe; `from` may be changed when it returns.
  void upload(void* to, std::span<const std::byte> from);
  void download(std::span<std::byte> to, const void* from);
  void finish() const;
  /// Waits for `event`. This and finish() look after the stream's watchers; only the thread that
  /// enqueues may call them.
  void wait(const Event& event) const;
  /// Whose watchers are called while the host waits; null: nobody's.
  void watch(const DeviceStream* stream) { watched_ = stream; }

 private:
  /// A part of an upload on its way.
  struct Slot {
    PinnedBuffer memory;
    Event arrived;
    bool taken = false;
  };
  bool watched() const { return watched_ != nullptr && !watched_->watchers.empty(); }
  template <typename Query>
  void wait_until_done(const Query& query) const;
  class TakenSlot;

  DeviceTraits traits_;
  cudaStream_t stream_ = nullptr;
  std::mutex mutex_;
  std::condition_variable slot_free_;
  std::vector<Slot> slots_;
  std::size_t next_slot_ = 0;
  PinnedBuffer results_;
  const DeviceStream* watched_ = nullptr;
};

}  // namespace trireme::cuda
