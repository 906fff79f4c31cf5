// Tensors of a GGUF file as Hugging Face names and lays them out. llama.cpp's
// convert_hf_to_gguf.py is what is undone here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

/// How a GGUF file's matrix differs from Hugging Face's.
enum class GgufLayout {
  same,
  /// The rows of each head are interleaved: row 2i is the i-th of Hugging Face's first half, row
  /// 2i + 1 the i-th of its second. Biases likewise.
  interleaved_heads,
  transposed,  ///< [out, in], which GPT-2's Conv1D keeps as [in, out]
};

struct GgufName {
  std::string name;  ///< Hugging Face's
  GgufLayout layout = GgufLayout::same;
};

/// The architectures that Trireme runs, as general.architecture spells them.
std::vector<std::string_view> gguf_architectures();

/// The name of a tensor of that architecture; one that Hugging Face does not have stays as it is.
GgufName hugging_face_name(std::string_view architecture, std::string_view tensor);

/// The row of the file that holds row `row` of a matrix of interleaved heads.
std::int64_t interleaved_row(std::int64_t row, std::int64_t head_dim);

}  // namespace trireme
