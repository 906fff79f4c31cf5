// What the device tests share: made-up data, packed matrices, caches, and equality of bits.
#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/coded_weight.h"
#include "core/dtype.h"
#include "core/thread_pool.h"
#include "kernels/backend.h"
#include "kernels/packed.h"
#include "kernels/registry.h"

namespace trireme::test {

using Floats = std::vector<float>;

/// Reproducible values. A few are large, zero, negative zero or subnormal, so that an order of
/// operations that differs shows.
class Random {
 public:
  explicit Random(std::uint64_t seed) : generator_(seed) {}

  std::int64_t integer(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(generator_);
  }
  float value() {
    switch (integer(0, 63)) {
      case 0:
        return 0.0f;
      case 1:
        return -0.0f;
      case 2:
        return normal_(generator_) * 30.0f;
      case 3:
        return normal_(generator_) * 1e-39f;
      default:
        return normal_(generator_);
    }
  }
  Floats values(std::int64_t count) {
    Floats all(static_cast<std::size_t>(count));
    for (float& one : all) one = value();
    return all;
  }

 private:
  std::mt19937_64 generator_;
  std::normal_distribution<float> normal_;
};

/// Rounds values to a dtype and lays them out as a file would.
inline std::vector<std::byte> encoded(const Floats& values, DType dtype) {
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::f32) {
      std::memcpy(&bytes[i * 4], &values[i], 4);
    } else {
      const std::uint16_t bits =
          dtype == DType::bf16 ? f32_to_bf16(values[i]) : f32_to_f16(values[i]);
      std::memcpy(&bytes[i * 2], &bits, 2);
    }
  }
  return bytes;
}

inline float rounded(float value, DType dtype) {
  if (dtype == DType::bf16) return bf16_to_f32(f32_to_bf16(value));
  if (dtype == DType::f16) return f16_to_f32(f32_to_f16(value));
  return value;
}

/// How a matrix is kept: a dtype, and for i8, i4 and u4 how many k share a scale.
struct Format {
  DType dtype = DType::f32;
  std::int64_t group = 0;

  Format(DType its_dtype, std::int64_t its_group = 0)  // NOLINT: a plain dtype is a format
      : dtype(its_dtype), group(its_group) {}
};

inline std::string name_of(const Format& format) {
  const std::string name(trireme::name_of(format.dtype));
  return format.group == 0 ? name : name + "/" + std::to_string(format.group);
}

/// One row of a matrix of u4, the bits of its CodedWeights as floats.
inline void append_codes(Random& random, const MatrixShape& shape, Floats& out) {
  for (const std::int64_t width : shape.k_shards) {
    CodedWeight weight;
    for (std::int64_t k = 0; k < width; ++k) {
      if (k % shape.group == 0) {
        weight.zero = static_cast<std::uint8_t>(random.integer(0, 15));
        weight.scale = f32_to_f16(random.value() * 0.1f);
      }
      weight.code = static_cast<std::uint8_t>(random.integer(0, 15));
      out.push_back(std::bit_cast<float>(weight));
    }
  }
}

/// A weight matrix, plain and packed.
struct Matrix {
  MatrixShape shape;
  /// [n, k], what was packed; rounded to the dtype but for i8 and i4, the bits of CodedWeights for
  /// u4.
  Floats source;
  Floats plain;  ///< [n, k], what the packed weights stand for
  Buffer packed;

  Matrix(Random& random, std::int64_t n, std::vector<std::int64_t> shards, Format format) {
    shape = {n, std::move(shards), format.dtype, format.group};
    if (format.dtype == DType::u4) {
      for (std::int64_t row = 0; row < n; ++row) append_codes(random, shape, source);
    } else {
      source = random.values(n * shape.k());
    }
    if (format.group == 0) {
      for (float& value : source) value = rounded(value, format.dtype);
    }
    pack();
  }

  void pack() {
    const std::vector<std::byte> bytes =
        encoded(source, shape.group > 0 ? DType::f32 : shape.dtype);
    const auto backend = make_backend("reference");
    packed = Buffer(backend->packed_bytes(shape));
    const std::int64_t rows = backend->panel_rows();
    const std::size_t element = shape.group > 0 ? sizeof(float) : size_of(shape.dtype);
    const std::size_t row_bytes = static_cast<std::size_t>(shape.k()) * element;
    for (std::int64_t panel = 0; panel * rows < shape.n; ++panel) {
      backend->pack_panel(
          shape, panel, bytes.data() + static_cast<std::size_t>(panel * rows) * row_bytes,
          packed.data() + static_cast<std::size_t>(panel) * backend->panel_bytes(shape));
    }
    plain = source;
    for (std::int64_t row = 0; row < shape.n; ++row) {
      trireme::packed::unpack_row(shape, row, packed.data(), plain.data() + row * shape.k());
    }
  }

  Range all_shards() const { return {0, static_cast<std::int64_t>(shape.k_shards.size())}; }
};

/// "" if the bits agree (any NaN equals any NaN), else where they first differ.
inline std::string difference(const Floats& got, const Floats& wanted) {
  if (got.size() != wanted.size()) return "sizes differ";
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::memcmp(&got[i], &wanted[i], sizeof(float)) == 0) continue;
    if (std::isnan(got[i]) && std::isnan(wanted[i])) continue;
    return "element " + std::to_string(i) + ": " + std::to_string(got[i]) + " instead of " +
           std::to_string(wanted[i]);
  }
  return "";
}

/// Backends that must give the reference's bits.
inline std::vector<std::string> exact_backends() {
  std::vector<std::string> names;
  for (const std::string& name : available_backends()) {
    if (name != "reference" && name != "amx") names.push_back(name);
  }
  return names;
}

inline std::string test_name(const testing::TestParamInfo<std::string>& info) { return info.param; }

/// A case that runs once for each backend.
class DeviceTest : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Backend> backend_ = make_backend(GetParam());
  std::unique_ptr<Backend> reference_ = make_backend("reference");
  ThreadPool threads_{2};
};

constexpr DType weight_dtypes[] = {DType::f32, DType::bf16, DType::f16};
inline const Format weight_formats[] = {DType::f32,       DType::bf16,      DType::f16,
                                        {DType::i8, 256}, {DType::i8, 32},  {DType::i4, 64},
                                        {DType::i4, 8},   {DType::u4, 128}, {DType::u4, 32}};

}  // namespace trireme::test
