// What the tests of the CUDA kernels share: a Context with memory to hand out, and a fixture that
// skips where there is no GPU. In the emulation there always is one.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cuda/context.h"

namespace trireme::cuda::test {

/// "" or why there is no GPU to test on.
inline const char* no_gpu() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return "";
  cudaGetLastError();
  return error == cudaSuccess ? "there is no CUDA device" : cudaGetErrorString(error);
}

/// Device memory is handed out in pieces of the exact size, filled with 0xff, and lives as long as
/// the context.
class TestContext : public Context {
 public:
  explicit TestContext(int device = 0) {
    check(cudaSetDevice(device), "choosing a device");
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, device), "asking for a device's properties");
    traits.device = device;
    traits.compute_capability = properties.major * 10 + properties.minor;
    traits.multiprocessors = properties.multiProcessorCount;
    traits.shared_bytes_per_block = properties.sharedMemPerBlockOptin;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "creating a stream");
  }
  ~TestContext() override {
    cudaStreamSynchronize(stream);
    for (void* memory : memory_) cudaFree(memory);
    cudaFree(scratch_);
    cudaStreamDestroy(stream);
  }
  TestContext(const TestContext&) = delete;
  TestContext& operator=(const TestContext&) = delete;

  /// Fresh memory, all of whose bytes are 0xff.
  template <typename T>
  T* room(std::int64_t count) {
    return static_cast<T*>(poisoned(static_cast<std::size_t>(count) * sizeof(T)));
  }
  template <typename T>
  T* device(std::span<const T> values) {
    return static_cast<T*>(copied(std::as_bytes(values)));
  }
  template <typename T>
  T* device(const std::vector<T>& values) {
    return device(std::span<const T>(values));
  }
  /// What `count` elements hold once everything before has happened.
  template <typename T>
  std::vector<T> host(const T* from, std::int64_t count) {
    std::vector<T> values(static_cast<std::size_t>(count));
    if (count > 0) {
      check(cudaMemcpyAsync(values.data(), from, values.size() * sizeof(T), cudaMemcpyDeviceToHost,
                            stream),
            "copying to the host");
    }
    synchronize();
    return values;
  }
  void synchronize() { check(cudaStreamSynchronize(stream), "waiting for a stream"); }

  DeviceSequences sequences(std::span<const SequenceSpan> all) override {
    std::vector<DeviceSequence> list;
    std::vector<std::int32_t> sequence_of_row;
    DeviceSequences result;
    result.one_row_each = true;
    std::int64_t most_keys = 0;
    for (const SequenceSpan& one : all) {
      const std::int64_t keys = one.keys > 0 ? one.keys : one.position_begin + one.rows;
      const std::int64_t blocks = (std::max(keys, one.position_begin + one.rows) + 31) / 32;
      const auto first = static_cast<std::int64_t>(sequence_of_row.size());
      const std::span table(one.block_table, one.block_table == nullptr ? 0 : blocks);
      list.push_back({one.row_begin, one.rows, one.position_begin, one.keys, first,
                      static_cast<const std::int32_t*>(kept(std::as_bytes(table)))});
      sequence_of_row.insert(sequence_of_row.end(), one.rows,
                             static_cast<std::int32_t>(list.size() - 1));
      most_keys = std::max(most_keys, keys);
      result.one_row_each = result.one_row_each && one.rows == 1;
    }
    result.count = static_cast<std::int32_t>(list.size());
    result.rows = static_cast<std::int32_t>(sequence_of_row.size());
    result.most_keys = std::max<std::int64_t>(
        256, static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(most_keys))));
    result.list = static_cast<const DeviceSequence*>(kept(std::as_bytes(std::span(list))));
    result.sequence_of_row =
        static_cast<const std::int32_t*>(kept(std::as_bytes(std::span(sequence_of_row))));
    return result;
  }

  /// Poisoned anew for every operation, and no byte longer than was asked for.
  std::byte* scratch(std::size_t bytes) override {
    largest_scratch = std::max(largest_scratch, bytes);
    if (bytes != scratch_bytes_) {
      check(cudaFree(scratch_), "freeing scratch memory");
      scratch_ = nullptr;
      scratch_bytes_ = 0;
      check(cudaMalloc(&scratch_, bytes), "allocating scratch memory");
      scratch_bytes_ = bytes;
    }
    if (bytes > 0) check(cudaMemsetAsync(scratch_, 0xff, bytes, stream), "poisoning");
    return scratch_;
  }

  /// The most that one call of scratch() has asked for: tests compare it with *_scratch_bytes().
  std::size_t largest_scratch = 0;
  /// False once a step is recorded: what step_array() gets must then be known from an earlier call.
  bool uploads_allowed = true;

 protected:
  const void* step_bytes(std::span<const std::byte> bytes, const void*) override {
    EXPECT_TRUE(uploads_allowed || find(bytes) != nullptr) << "an upload while decoding";
    return kept(bytes);
  }
  const void* constant_bytes(std::span<const std::byte> bytes) override { return kept(bytes); }

 private:
  struct Kept {
    std::vector<std::byte> bytes;
    void* device = nullptr;
  };

  void* poisoned(std::size_t bytes) {
    void* memory = nullptr;
    if (bytes == 0) return memory;
    check(cudaMalloc(&memory, bytes), "allocating device memory");
    memory_.push_back(memory);
    check(cudaMemsetAsync(memory, 0xff, bytes, stream), "poisoning");
    return memory;
  }
  void* copied(std::span<const std::byte> bytes) {
    void* memory = poisoned(bytes.size());
    if (memory == nullptr) return memory;
    check(cudaMemcpyAsync(memory, bytes.data(), bytes.size(), cudaMemcpyHostToDevice, stream),
          "copying to the device");
    return memory;
  }
  /// Of arrays with the same bytes the device has one.
  const Kept* find(std::span<const std::byte> bytes) const {
    const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& one) {
      return std::equal(bytes.begin(), bytes.end(), one.bytes.begin(), one.bytes.end());
    });
    return found == kept_.end() ? nullptr : &*found;
  }
  const void* kept(std::span<const std::byte> bytes) {
    if (const Kept* known = find(bytes)) return known->device;
    kept_.push_back({{bytes.begin(), bytes.end()}, copied(bytes)});
    return kept_.back().device;
  }

  std::vector<void*> memory_;
  std::vector<Kept> kept_;
  std::byte* scratch_ = nullptr;
  std::size_t scratch_bytes_ = 0;
};

/// A case that needs a GPU; `Base` is testing::Test or testing::TestWithParam<T>.
template <typename Base>
class OnGpu : public Base {
 protected:
  void SetUp() override {
    if (const char* reason = no_gpu(); *reason != '\0') GTEST_SKIP() << reason;
  }
};
using CudaTest = OnGpu<testing::Test>;

}  // namespace trireme::cuda::test
