// What a backend does whose memory is the host's.
#include "kernels/backend.h"

#include <cstring>
#include <memory>

#include "core/buffer.h"
#include "core/error.h"
#include "kernels/host/parts.h"

namespace trireme {

DeviceBuffer Backend::allocate(std::size_t bytes) const {
  auto buffer = std::make_shared<Buffer>(bytes);
  return {buffer->data(), bytes, [buffer](std::byte*) {}};
}

void Backend::upload(void* to, std::span<const std::byte> from) const {
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
}

void Backend::download(std::span<std::byte> to, const void* from) const {
  if (!to.empty()) std::memcpy(to.data(), from, to.size());
}

void Backend::copy(void* to, const void* from, std::size_t bytes) const {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

void Backend::fill(void* to, int byte, std::size_t bytes) const {
  if (bytes > 0) std::memset(to, byte, bytes);
}

void Backend::gather_rows(ThreadPool& /*threads*/, const float* x, std::int64_t cols,
                          std::int64_t ldx, std::span<const std::int32_t> rows, float* out) const {
  for (const std::int32_t row : rows) {
    std::memcpy(out, x + row * ldx, static_cast<std::size_t>(cols) * sizeof(float));
    out += cols;
  }
}

void Backend::gather(ThreadPool& /*threads*/, const float* table,
                     std::span<const std::int32_t> indices, float* out) const {
  for (const std::int32_t index : indices) *out++ = table[index];
}

void Backend::add_rows(ThreadPool& threads, float* x, std::int64_t cols, const float* table,
                       std::span<const std::int32_t> indices, std::int64_t offset) const {
  const auto rows = static_cast<std::int64_t>(indices.size());
  for_parts(threads, rows, rows * cols, few_elements, [&](std::int64_t row) {
    float* const sum = x + row * cols;
    const float* const added = table + (indices[static_cast<std::size_t>(row)] + offset) * cols;
    for (std::int64_t col = 0; col < cols; ++col) sum[col] += added[col];
  });
}

std::vector<std::int32_t> Backend::draw(const float* /*logits*/, std::int64_t /*cols*/,
                                        std::int64_t /*ld*/,
                                        std::span<const DrawRow> /*rows*/) const {
  TRIREME_ASSERT(false);  // draws() says that there is none
  return {};
}

}  // namespace trireme
