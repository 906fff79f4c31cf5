// The element types of GGUF tensors: plain numbers, and blocks of quantised ones that are turned
// into the float32 values that ggml itself computes from them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/dtype.h"

namespace trireme {

struct GgufType {
  std::uint32_t id = 0;
  std::string_view name;     ///< ggml's, "Q4_K"
  std::size_t block = 1;     ///< elements of one block
  std::size_t bytes = 0;     ///< of one block
  DType dtype = DType::f32;  ///< what its elements are handed out as
  /// Blocks to float32, `blocks * block` of them; null for plain numbers, which need none.
  void (*dequantize)(const std::byte* source, std::size_t blocks, float* target) = nullptr;

  bool is_quantized() const { return dequantize != nullptr; }
};

/// Null if Trireme cannot read it.
const GgufType* gguf_type(std::uint32_t id);
/// ggml's name of a type, known to Trireme or not.
std::string gguf_type_name(std::uint32_t id);
/// "F32, F16, ...": those that gguf_type() knows.
std::string gguf_type_names();

}  // namespace trireme
