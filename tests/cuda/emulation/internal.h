// What the emulation's parts tell one another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>

#include "emulation/launch.h"

namespace trireme::cuda::emulation {

/// Prints `message` with the place in the running kernel, if one runs, and aborts.
[[noreturn]] void fatal(const std::string& message);

/// xorshift64*: what decides every order that CUDA leaves open.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u | 1u) {}

  std::uint32_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<std::uint32_t>(state_ * 0x2545f4914f6cdd1du >> 32);
  }
  std::uint32_t below(std::uint32_t end) {
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(next()) * end >> 32);
  }

 private:
  std::uint64_t state_;
};

/// Held by whoever is in the runtime: everything below it may touch the queues, the memory and the
/// one running block.
std::recursive_mutex& runtime_lock();
Random& random();  ///< seeded by TRIREME_CUDA_EMULATION_SEED
std::uint64_t setting(const char* variable, std::uint64_t fallback);
int compute_capability();  ///< 90 for 9.0

// block.cc

void run_blocks(const Launch& launch);
/// "kernel f, block (1, 0, 0), thread (3, 0, 0)", or "" between kernels.
std::string running_place();
/// Whether `address` lies in the room behind a fiber's stack.
bool is_stack_guard(std::uintptr_t address);

// arithmetic.cc

/// What a lane brings to a product: where its registers are.
struct MatrixOperands {
  void* d = nullptr;
  const std::uint32_t* a = nullptr;
  const std::uint32_t* b = nullptr;
};
void multiply_tiles(Collective kind, std::span<const MatrixOperands, 32> operands);

// symbols.cc

std::string kernel_name(const void* kernel);
/// The __shared__ variables that `kernel` itself declares.
std::span<const std::span<std::byte>> shared_variables(const void* kernel);

// faults.cc

/// Signals that this thread raises are explained from here on.
void catch_faults();

// memory.cc

bool is_device_address(std::uintptr_t address);
/// Where an address lies, for messages.
std::string describe(std::uintptr_t address);
/// While one lives, device memory can be touched.
class MemoryAccess {
 public:
  MemoryAccess();
  ~MemoryAccess();
  MemoryAccess(const MemoryAccess&) = delete;
  MemoryAccess& operator=(const MemoryAccess&) = delete;
};
/// device: lies in an allocation, `bytes` fit; pinned: page-locked; bad: in the device's address
/// space, but not within one allocation.
enum class MemoryKind { pageable, pinned, device, bad };
MemoryKind memory_kind(const void* pointer, std::size_t bytes);
int current_device();

// streams.cc

void run_everything();
/// Whether a call is forbidden because a stream is being captured; then the capture is lost.
bool spoils_capture();
/// Returns `error`, which cudaGetLastError() will tell too.
cudaError_t failed(cudaError_t error);

}  // namespace trireme::cuda::emulation
