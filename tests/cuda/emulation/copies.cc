// Copies and fills.
#include <cstring>
#include <memory>
#include <vector>

#include "emulation/queue.h"

namespace trireme::cuda::emulation {

namespace {

bool is_device(const void* pointer) {
  const MemoryKind kind = memory_kind(pointer, 0);
  return kind == MemoryKind::device || kind == MemoryKind::bad;
}

/// Whether `kind` names where the memory lies, and copies stay within allocations.
cudaError_t check_copy(const void* to, std::size_t to_bytes, const void* from,
                       std::size_t from_bytes, cudaMemcpyKind kind) {
  if (memory_kind(to, to_bytes) == MemoryKind::bad ||
      memory_kind(from, from_bytes) == MemoryKind::bad) {
    return cudaErrorInvalidValue;
  }
  if (kind == cudaMemcpyDefault) return cudaSuccess;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  const bool right = to_device == is_device(to) && from_device == is_device(from);
  return right ? cudaSuccess : cudaErrorInvalidMemcpyDirection;
}

struct Rows {
  std::size_t to_pitch = 0;
  std::size_t from_pitch = 0;
  std::size_t width = 0;
  std::size_t height = 0;
};

void copy_rows(void* to, const void* from, const Rows& rows) {
  for (std::size_t row = 0; row < rows.height; ++row) {
    std::memcpy(static_cast<std::byte*>(to) + row * rows.to_pitch,
                static_cast<const std::byte*>(from) + row * rows.from_pitch, rows.width);
  }
}

/// A copy from pageable memory is taken at once, as CUDA stages it, but for a capture's.
cudaError_t put_copy(void* to, const void* from, const Rows& rows, cudaMemcpyKind kind,
                     cudaStream_t handle) {
  if (rows.width == 0 || rows.height == 0) return cudaSuccess;
  if (rows.width > rows.to_pitch || rows.width > rows.from_pitch) {
    return failed(cudaErrorInvalidValue);
  }
  const std::size_t to_bytes = (rows.height - 1) * rows.to_pitch + rows.width;
  const std::size_t from_bytes = (rows.height - 1) * rows.from_pitch + rows.width;
  if (const cudaError_t error = check_copy(to, to_bytes, from, from_bytes, kind)) {
    return failed(error);
  }
  const cudaStream_t stream = resolved(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (memory_kind(from, 0) != MemoryKind::pageable || stream->capture != nullptr) {
    return put(handle, {[=] { copy_rows(to, from, rows); }});
  }
  const auto* first = static_cast<const std::byte*>(from);
  auto staged = std::make_shared<std::vector<std::byte>>(first, first + from_bytes);
  return put(handle, {[=] { copy_rows(to, staged->data(), rows); }});
}

}  // namespace

}  // namespace trireme::cuda::emulation

using namespace trireme::cuda::emulation;

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const std::lock_guard hold(runtime_lock());
  return put_copy(to, from, {bytes, bytes, bytes, 1}, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                              std::size_t from_pitch, std::size_t width, std::size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  const std::lock_guard hold(runtime_lock());
  return put_copy(to, from, {to_pitch, from_pitch, width, height}, kind, stream);
}

cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, std::size_t bytes,
                                cudaStream_t stream) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const std::lock_guard hold(runtime_lock());
  if (spoils_capture()) return failed(cudaErrorStreamCaptureUnsupported);
  if (const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr)) return error;
  return cudaStreamSynchronize(nullptr);
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  const std::lock_guard hold(runtime_lock());
  if (bytes == 0) return cudaSuccess;
  if (memory_kind(to, bytes) != MemoryKind::device) return failed(cudaErrorInvalidValue);
  return put(stream, {[=] { std::memset(to, value, bytes); }});
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  const std::lock_guard hold(runtime_lock());
  if (spoils_capture()) return failed(cudaErrorStreamCaptureUnsupported);
  return cudaMemsetAsync(to, value, bytes, nullptr);
}
