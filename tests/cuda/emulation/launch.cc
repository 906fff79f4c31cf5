// Checks launches as CUDA does and puts them into the queue.
#include <map>
#include <utility>

#include "emulation/queue.h"

namespace trireme::cuda::emulation {

namespace {

/// Dynamic shared memory that cudaFuncSetAttribute allows a kernel on a device.
std::map<std::pair<int, const void*>, std::size_t> allowed_shared_bytes;

bool is_shape(const Launch& launch) {
  const dim3 grid = launch.grid;
  const dim3 block = launch.block;
  const auto within = [](unsigned size, unsigned most) { return size > 0 && size <= most; };
  return within(grid.x, INT32_MAX) && within(grid.y, 65535) && within(grid.z, 65535) &&
         within(block.x, 1024) && within(block.y, 1024) && within(block.z, 64) &&
         static_cast<std::uint64_t>(block.x) * block.y * block.z <= 1024;
}

bool has_shared_memory(const Launch& launch, const cudaDeviceProp& device) {
  std::size_t all = launch.shared_bytes;
  for (const std::span<std::byte> variable : shared_variables(launch.kernel)) {
    all += variable.size();
  }
  const auto allowed = allowed_shared_bytes.find({current_device(), launch.kernel});
  if (allowed == allowed_shared_bytes.end()) return all <= device.sharedMemPerBlock;
  return launch.shared_bytes <= allowed->second && all <= device.sharedMemPerBlockOptin;
}

}  // namespace

void enqueue(cudaStream_t handle, Launch launch) {
  const std::lock_guard hold(runtime_lock());
  cudaDeviceProp device;
  if (cudaGetDeviceProperties(&device, current_device()) != cudaSuccess) return;
  const cudaStream_t stream = resolved(handle);
  if (stream == nullptr || stream->device != current_device()) {
    failed(cudaErrorInvalidResourceHandle);
  } else if (!is_shape(launch)) {
    failed(cudaErrorInvalidConfiguration);
  } else if (!has_shared_memory(launch, device)) {
    failed(cudaErrorInvalidValue);
  } else {
    put(handle, {[launch = std::move(launch)] { run_blocks(launch); }});
  }
}

}  // namespace trireme::cuda::emulation

using namespace trireme::cuda::emulation;

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  const std::lock_guard hold(runtime_lock());
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  cudaDeviceProp device;
  if (const cudaError_t error = cudaGetDeviceProperties(&device, current_device())) return error;
  if (value < 0 || static_cast<std::size_t>(value) > device.sharedMemPerBlockOptin) {
    return failed(cudaErrorInvalidValue);
  }
  allowed_shared_bytes[{current_device(), kernel}] = static_cast<std::size_t>(value);
  return cudaSuccess;
}
