#include "trireme/tensor.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"

namespace trireme {

namespace {

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

/// Elements of a shape, whose bytes must be countable.
std::int64_t count_of(std::span<const std::int64_t> shape, std::size_t element_bytes) {
  std::int64_t bytes = static_cast<std::int64_t>(element_bytes);
  bool good = true;
  bool empty = false;
  for (const std::int64_t size : shape) {
    good = good && size >= 0;
    empty = empty || size == 0;
  }
  for (const std::int64_t size : shape) {
    good = good && (empty || !__builtin_mul_overflow(bytes, size, &bytes));
  }
  if (!good) fail(ErrorKind::usage, "no tensor has the shape {}", shape_text(shape));
  return empty ? 0 : bytes / static_cast<std::int64_t>(element_bytes);
}

}  // namespace

std::string_view name_of(TensorDType dtype) {
  switch (dtype) {
    case TensorDType::float32:
      return "float32";
    case TensorDType::float16:
      return "float16";
    case TensorDType::bfloat16:
      return "bfloat16";
    case TensorDType::float64:
      return "float64";
    case TensorDType::int8:
      return "int8";
    case TensorDType::uint8:
      return "uint8";
    case TensorDType::int16:
      return "int16";
    case TensorDType::int32:
      return "int32";
    case TensorDType::int64:
      return "int64";
    case TensorDType::boolean:
      return "bool";
  }
  TRIREME_ASSERT(false);
  return "";
}

std::size_t size_of(TensorDType dtype) {
  switch (dtype) {
    case TensorDType::float64:
    case TensorDType::int64:
      return 8;
    case TensorDType::float32:
    case TensorDType::int32:
      return 4;
    case TensorDType::float16:
    case TensorDType::bfloat16:
    case TensorDType::int16:
      return 2;
    case TensorDType::int8:
    case TensorDType::uint8:
    case TensorDType::boolean:
      return 1;
  }
  TRIREME_ASSERT(false);
  return 0;
}

HostTensor::HostTensor(TensorDType dtype, std::vector<std::int64_t> shape)
    : dtype_(dtype), shape_(std::move(shape)), elements_(count_of(shape_, size_of(dtype))) {
  bytes_.resize(static_cast<std::size_t>(elements_) * size_of(dtype));
}

HostTensor HostTensor::slice_rows(std::int64_t begin, std::int64_t end,
                                  std::int64_t repeats) const {
  const bool has_last = rows() > 0 || repeats == 0;
  if (shape_.empty() || begin < 0 || begin > end || end > rows() || repeats < 0 || !has_last) {
    fail(ErrorKind::usage, "rows [{}, {}) and {} times the last one of a tensor {}", begin, end,
         repeats, description());
  }
  std::vector<std::int64_t> shape = shape_;
  shape[0] = end - begin + repeats;
  HostTensor taken(dtype_, std::move(shape));
  if (taken.elements_ == 0) return taken;
  const std::int64_t row = static_cast<std::int64_t>(bytes_.size()) / rows();
  auto to = std::copy_n(bytes_.begin() + begin * row, (end - begin) * row, taken.bytes_.begin());
  for (std::int64_t i = 0; i < repeats; ++i) to = std::copy_n(bytes_.end() - row, row, to);
  return taken;
}

std::string HostTensor::description() const {
  return fmt::format("{} {}", name_of(dtype_), shape_text(shape_));
}

void HostTensor::check_count(std::int64_t values) const {
  if (values != elements_) {
    fail(ErrorKind::usage, "{} values do not fill a tensor {}", values, description());
  }
}

void HostTensor::check_type(bool right) const {
  if (!right) {
    fail(ErrorKind::usage, "a tensor {} holds no elements of the type asked for", description());
  }
}

}  // namespace trireme
