// GPTQ and AWQ checkpoints made of random words, as files: every word is some matrix.
#pragma once

#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "weights/safetensors_writer.h"

namespace trireme {

/// Tensors in the order in which they are added, to be changed by name, left out, and written.
class PackedCheckpoint {
 public:
  explicit PackedCheckpoint(std::uint32_t seed) : random_(seed) {}

  void add_words(const std::string& name, std::int64_t rows, std::int64_t cols) {
    std::vector<std::int32_t> values(static_cast<std::size_t>(rows * cols));
    for (std::int32_t& value : values) value = static_cast<std::int32_t>(random_());
    add(name, DType::i32, {rows, cols}, values);
  }
  /// float16 of about `size`, either sign.
  void add_halves(const std::string& name, std::vector<std::int64_t> shape, float size,
                  float mean = 0) {
    std::size_t count = 1;
    for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
    std::normal_distribution<float> normal(mean, size);
    std::vector<std::uint16_t> values(count);
    for (std::uint16_t& value : values) value = f32_to_f16(normal(random_));
    add(name, DType::f16, std::move(shape), values);
  }
  template <typename T>
  void add(const std::string& name, DType dtype, std::vector<std::int64_t> shape,
           const std::vector<T>& values) {
    remove(name);
    std::vector<std::byte>& bytes = memory_.emplace_back(values.size() * sizeof(T));
    if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    tensors_.push_back({name, dtype, std::move(shape), bytes});
  }
  void remove(const std::string& name) {
    std::erase_if(tensors_, [&](const TensorToWrite& tensor) { return tensor.name == name; });
  }

  /// The parts of a matrix [n, k] of four bits in groups.
  void add_gptq(const std::string& name, std::int64_t n, std::int64_t k, std::int64_t group) {
    add_words(name + ".qweight", k / 8, n);
    add_words(name + ".qzeros", k / group, n / 8);
    add_halves(name + ".scales", {k / group, n}, 0.02f);
    std::vector<std::int32_t> groups;
    for (std::int64_t i = 0; i < k; ++i) groups.push_back(static_cast<std::int32_t>(i / group));
    add(name + ".g_idx", DType::i32, {k}, groups);
  }
  void add_awq(const std::string& name, std::int64_t n, std::int64_t k, std::int64_t group) {
    add_words(name + ".qweight", k, n / 8);
    add_words(name + ".qzeros", k / group, n / 8);
    add_halves(name + ".scales", {k / group, n}, 0.02f);
  }

  void write(const std::filesystem::path& file) const { write_safetensors(file, tensors_); }

 private:
  std::mt19937 random_;
  std::deque<std::vector<std::byte>> memory_;
  std::vector<TensorToWrite> tensors_;
};

}  // namespace trireme
