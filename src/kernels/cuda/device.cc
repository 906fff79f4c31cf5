#include "kernels/cuda/device.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace trireme::cuda {

namespace {

constexpr std::size_t slot_bytes = std::size_t{4} << 20;
constexpr std::size_t slot_count = 8;
/// Results up to this size come through pinned memory.
constexpr std::size_t result_bytes = std::size_t{256} << 10;
/// What is watched while the host waits, how often, and when the wait is given up: no work that a
/// step enqueues takes so long.
constexpr std::chrono::milliseconds look_every{10};
constexpr std::chrono::seconds longest_wait{120};

DeviceTraits traits_of(int gpu) {
  const auto attribute = [&](cudaDeviceAttr name) {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, name, gpu), "cudaDeviceGetAttribute");
    return value;
  };
  return {.device = gpu,
          .compute_capability = attribute(cudaDevAttrComputeCapabilityMajor) * 10 +
                                attribute(cudaDevAttrComputeCapabilityMinor),
          .multiprocessors = attribute(cudaDevAttrMultiProcessorCount),
          .shared_bytes_per_block =
              static_cast<std::size_t>(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin))};
}

}  // namespace

PinnedBuffer::PinnedBuffer(std::size_t bytes) : size_(bytes) {
  void* memory = nullptr;
  check(cudaMallocHost(&memory, bytes), "pinned memory of the host");
  data_ = static_cast<std::byte*>(memory);
}

PinnedBuffer::~PinnedBuffer() {
  if (data_ != nullptr) cudaFreeHost(data_);
}

PinnedBuffer::PinnedBuffer(PinnedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

PinnedBuffer& PinnedBuffer::operator=(PinnedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Event::Event() {
  check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate");
}

Event::~Event() {
  if (event_ != nullptr) cudaEventDestroy(event_);
}

Event::Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}

void Event::record(cudaStream_t stream) const {
  check(cudaEventRecord(event_, stream), "cudaEventRecord");
}

void Event::wait() const { check(cudaEventSynchronize(event_), "waiting for a copy"); }

Device::Device(int gpu) : traits_(traits_of(gpu)) {
  use();
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
  for (std::size_t i = 0; i < slot_count; ++i) {
    slots_.push_back({PinnedBuffer(slot_bytes), Event(), false});
  }
  results_ = PinnedBuffer(result_bytes);
}

Device::~Device() {
  cudaSetDevice(traits_.device);
  if (stream_ != nullptr) {
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
  }
}

void Device::use() const { check(cudaSetDevice(traits_.device), "cudaSetDevice"); }

DeviceBuffer Device::allocate(std::size_t bytes) {
  if (bytes == 0) return {};
  use();
  void* memory = nullptr;
  const cudaError_t result = cudaMalloc(&memory, bytes);
  if (result == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // not the next call's
    std::size_t free = 0;
    std::size_t total = 0;
    cudaMemGetInfo(&free, &total);
    fail(ErrorKind::resource,
         "GPU {}: no room for {} MiB: {} of {} MiB are free. More GPUs (-tp, -pp), --quantization "
         "int8 or int4, or a smaller --max-model-len, --max-num-seqs, --max-num-batched-tokens or "
         "--gpu-memory-utilization take less; `trireme plan` says what takes how much",
         traits_.device, (bytes >> 20) + 1, free >> 20, total >> 20);
  }
  check(result, "cudaMalloc");
  check(cudaMemsetAsync(memory, 0, bytes, stream_), "cudaMemset");
  const auto give_back = [self = shared_from_this()](std::byte* data) {
    cudaSetDevice(self->traits_.device);
    cudaStreamSynchronize(self->stream_);
    cudaFree(data);
  };
  return {static_cast<std::byte*>(memory), bytes, give_back};
}

/// The next slot, free of what it carried last, until the end of the scope: an error in between
/// must not leave other threads waiting for it.
class Device::TakenSlot {
 public:
  explicit TakenSlot(Device& device) : device_(device) {
    std::unique_lock lock(device.mutex_);
    device.slot_free_.wait(lock, [this] {
      slot_ = &device_.slots_[device_.next_slot_];
      return !slot_->taken;
    });
    slot_->taken = true;
    device.next_slot_ = (device.next_slot_ + 1) % device.slots_.size();
  }
  ~TakenSlot() {
    {
      const std::lock_guard lock(device_.mutex_);
      slot_->taken = false;
    }
    device_.slot_free_.notify_all();
  }
  TakenSlot(const TakenSlot&) = delete;
  TakenSlot& operator=(const TakenSlot&) = delete;

  const Slot* operator->() const { return slot_; }

 private:
  Device& device_;
  Slot* slot_ = nullptr;
};

void Device::upload(void* to, std::span<const std::byte> from) {
  use();
  auto* place = static_cast<std::byte*>(to);
  while (!from.empty()) {
    const std::size_t bytes = std::min(from.size(), slot_bytes);
    const TakenSlot slot(*this);
    slot->arrived.wait();  // what it carried last
    std::memcpy(slot->memory.data(), from.data(), bytes);
    check(cudaMemcpyAsync(place, slot->memory.data(), bytes, cudaMemcpyHostToDevice, stream_),
          "a copy to the GPU");
    slot->arrived.record(stream_);
    place += bytes;
    from = from.subspan(bytes);
  }
}

void Device::download(std::span<std::byte> to, const void* from) {
  if (to.empty()) return finish();
  use();
  const bool small = to.size() <= results_.size();
  // A copy to memory that is not pinned waits within the driver, where nobody looks after others.
  if (!small && watched()) finish();
  void* const place = small ? results_.data() : to.data();
  check(cudaMemcpyAsync(place, from, to.size(), cudaMemcpyDeviceToHost, stream_),
        "a copy from the GPU");
  finish();
  if (small) std::memcpy(to.data(), results_.data(), to.size());
}

void Device::finish() const {
  use();
  if (watched()) wait_until_done([this] { return cudaStreamQuery(stream_); });
  check(cudaStreamSynchronize(stream_), "the GPU's work");
}

void Device::wait(const Event& event) const {
  if (watched()) wait_until_done([&event] { return event.query(); });
  event.wait();
}

/// Polls, and calls the watchers meanwhile: work that waits for another GPU's ends only if somebody
/// notices that this one is gone.
template <typename Query>
void Device::wait_until_done(const Query& query) const {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  auto look_at = begin + look_every;
  cudaError_t state = query();
  for (; state == cudaErrorNotReady; state = query()) {
    const auto now = Clock::now();
    if (now < look_at) {
      sched_yield();
      continue;
    }
    if (now - begin > longest_wait) {
      watched_->given_up = true;
      fail(ErrorKind::peer_lost, "GPU {} waits for other GPUs for more than {} s", traits_.device,
           longest_wait.count());
    }
    for (const auto& [who, look] : watched_->watchers) look();
    look_at = now + look_every;
  }
  cudaGetLastError();  // "not ready" is not the next call's
  if (state != cudaSuccess) watched_->given_up = true;
  check(state, "the GPU's work");
}

}  // namespace trireme::cuda
