#include "kernels/cpu/scratch.h"

#include "core/buffer.h"

namespace trireme::cpu {

float* scratch(Scratch kind, std::int64_t floats) {
  thread_local Buffer buffers[2];
  Buffer& buffer = buffers[static_cast<int>(kind)];
  const std::size_t bytes = static_cast<std::size_t>(floats) * sizeof(float);
  if (buffer.size() < bytes) {
    buffer = Buffer();
    buffer = Buffer(bytes + bytes / 4);
  }
  return buffer.as<float>();
}

}  // namespace trireme::cpu
