#include "core/convert.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/error.h"

namespace trireme {

namespace {

void round_to(DType dtype, const float* source, std::byte* target, std::size_t count) {
  auto* out = reinterpret_cast<std::uint16_t*>(target);
  if (dtype == DType::bf16) {
    for (std::size_t i = 0; i < count; ++i) out[i] = f32_to_bf16(source[i]);
  } else {
    TRIREME_ASSERT(dtype == DType::f16);
    for (std::size_t i = 0; i < count; ++i) out[i] = f32_to_f16(source[i]);
  }
}

}  // namespace

void convert(const std::byte* source, DType from, std::byte* target, DType to, std::size_t count) {
  if (from == to) {
    std::memcpy(target, source, count * size_of(to));
    return;
  }
  if (to == DType::f32)
    return convert_to_f32(source, from, reinterpret_cast<float*>(target), count);
  float values[1024];  // stays in the cache
  for (std::size_t done = 0; done < count; done += std::size(values)) {
    const std::size_t some = std::min(std::size(values), count - done);
    convert_to_f32(source + done * size_of(from), from, values, some);
    round_to(to, values, target + done * size_of(to), some);
  }
}

}  // namespace trireme
