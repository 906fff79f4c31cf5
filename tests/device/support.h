// What the device tests share: made-up data, packed matrices, caches, and equality of bits.
#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/dtype.h"
#include "core/thread_pool.h"
#include "kernels/backend.h"
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

/// A weight matrix, plain and packed.
struct Matrix {
  MatrixShape shape;
  Floats plain;  ///< [n, k], rounded to the dtype
  Buffer packed;

  Matrix(Random& random, std::int64_t n, std::vector<std::int64_t> shards, DType dtype) {
    shape = {n, std::move(shards), dtype};
    plain = random.values(n * shape.k());
    for (float& value : plain) value = rounded(value, dtype);
    pack(encoded(plain, dtype));
  }

  void pack(const std::vector<std::byte>& source) {
    const auto backend = make_backend("reference");
    packed = Buffer(backend->packed_bytes(shape));
    const std::int64_t rows = backend->panel_rows();
    const std::size_t row_bytes = static_cast<std::size_t>(shape.k()) * size_of(shape.dtype);
    for (std::int64_t panel = 0; panel * rows < shape.n; ++panel) {
      backend->pack_panel(shape, panel,
                          source.data() + static_cast<std::size_t>(panel * rows) * row_bytes,
                          packed.data());
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

}  // namespace trireme::test
