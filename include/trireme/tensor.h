// A dense array of numbers that owns its memory, on the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "trireme/error.h"

namespace trireme {

enum class TensorDType : std::uint8_t {
  float32,
  float16,
  bfloat16,
  float64,
  int8,
  uint8,
  int16,
  int32,
  int64,
  boolean,
};

/// "float32", ...
std::string_view name_of(TensorDType dtype);
/// Bytes of one element.
std::size_t size_of(TensorDType dtype);

/// Whether the elements of `dtype` are read and written as T: float for float32, ..., and the bits
/// as std::uint16_t for float16 and bfloat16.
template <typename T>
constexpr bool holds(TensorDType dtype) {
  switch (dtype) {
    case TensorDType::float32:
      return std::is_same_v<T, float>;
    case TensorDType::float16:
    case TensorDType::bfloat16:
      return std::is_same_v<T, std::uint16_t>;
    case TensorDType::float64:
      return std::is_same_v<T, double>;
    case TensorDType::int8:
      return std::is_same_v<T, std::int8_t>;
    case TensorDType::uint8:
      return std::is_same_v<T, std::uint8_t>;
    case TensorDType::int16:
      return std::is_same_v<T, std::int16_t>;
    case TensorDType::int32:
      return std::is_same_v<T, std::int32_t>;
    case TensorDType::int64:
      return std::is_same_v<T, std::int64_t>;
    case TensorDType::boolean:
      return std::is_same_v<T, bool>;
  }
  return false;
}

/// The dtype whose elements are of type T; not for the bits of 16-bit floats.
template <typename T>
constexpr TensorDType dtype_of() {
  for (auto dtype = TensorDType::float32;;
       dtype = static_cast<TensorDType>(static_cast<int>(dtype) + 1)) {
    if (dtype == TensorDType::float16 || dtype == TensorDType::bfloat16) continue;
    if (holds<T>(dtype)) return dtype;
  }
}

/// Row-major. A shape of no dimensions is a single number.
class HostTensor {
 public:
  /// float32 of shape [0]: nothing at all.
  HostTensor() : shape_{0} {}
  /// Zeros. Throws Error(usage) for sizes below 0 or beyond memory.
  HostTensor(TensorDType dtype, std::vector<std::int64_t> shape);
  /// Throws Error(usage) when the values do not fill the shape.
  template <typename T>
  HostTensor(std::vector<std::int64_t> shape, const std::vector<T>& values)
      : HostTensor(dtype_of<T>(), std::move(shape)) {
    check_count(static_cast<std::int64_t>(values.size()));
    std::span<T> own = this->values<T>();
    for (std::size_t i = 0; i < own.size(); ++i) own[i] = values[i];
  }

  TensorDType dtype() const { return dtype_; }
  const std::vector<std::int64_t>& shape() const { return shape_; }
  std::int64_t elements() const { return elements_; }
  /// The first dimension; 1 for a single number.
  std::int64_t rows() const { return shape_.empty() ? 1 : shape_[0]; }

  /// All elements in order. Throws Error(usage) when the dtype is not one of T.
  template <typename T>
  std::span<T> values() {
    check_type(holds<T>(dtype_));
    return {reinterpret_cast<T*>(bytes_.data()), static_cast<std::size_t>(elements_)};
  }
  template <typename T>
  std::span<const T> values() const {
    check_type(holds<T>(dtype_));
    return {reinterpret_cast<const T*>(bytes_.data()), static_cast<std::size_t>(elements_)};
  }

  std::span<std::byte> bytes() { return bytes_; }
  std::span<const std::byte> bytes() const { return bytes_; }

  /// Rows [begin, end) and then `repeats` times the last row of all. Throws Error(usage) for a
  /// tensor of no dimensions or rows that it does not have.
  HostTensor slice_rows(std::int64_t begin, std::int64_t end, std::int64_t repeats = 0) const;

  /// "float32 [2, 3]".
  std::string description() const;

  bool operator==(const HostTensor&) const = default;

 private:
  void check_count(std::int64_t values) const;
  void check_type(bool right) const;

  TensorDType dtype_ = TensorDType::float32;
  std::vector<std::int64_t> shape_;
  std::int64_t elements_ = 0;
  std::vector<std::byte> bytes_;
};

}  // namespace trireme
