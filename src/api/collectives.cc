// What PartialState does with tensors: gather, reduce, pad.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "api/world.h"
#include "core/bytes.h"
#include "core/dtype.h"
#include "core/error.h"
#include "core/shard.h"
#include "trireme/partial_state.h"

namespace trireme {

namespace {

std::string row_shape(const HostTensor& tensor) {
  std::string text = "*";
  for (std::size_t i = 1; i < tensor.shape().size(); ++i) {
    text += fmt::format(", {}", tensor.shape()[i]);
  }
  return text;
}

HostTensor decode_tensor(const Bytes& bytes) {
  ByteReader in(bytes);
  const auto dtype = in.value<TensorDType>();
  if (dtype > TensorDType::boolean) fail(ErrorKind::peer_lost, "not a tensor from another process");
  HostTensor tensor(dtype, in.array<std::int64_t>());
  const std::vector<std::byte> values = in.array<std::byte>();
  if (values.size() != tensor.bytes().size()) {
    fail(ErrorKind::peer_lost, "a tensor from another process is cut short");
  }
  std::copy(values.begin(), values.end(), tensor.bytes().begin());
  return tensor;
}

bool is_nothing(const HostTensor& tensor) { return tensor == HostTensor(); }

bool is_float(TensorDType dtype) {
  return dtype == TensorDType::float32 || dtype == TensorDType::float16 ||
         dtype == TensorDType::bfloat16;
}

std::vector<float> as_floats(const HostTensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
  const DType dtype = tensor.dtype() == TensorDType::float32   ? DType::f32
                      : tensor.dtype() == TensorDType::float16 ? DType::f16
                                                               : DType::bf16;
  convert_to_f32(tensor.bytes().data(), dtype, values.data(), values.size());
  return values;
}

HostTensor from_floats(std::span<const float> values, const HostTensor& like) {
  HostTensor tensor(like.dtype(), like.shape());
  if (like.dtype() == TensorDType::float32) {
    std::copy(values.begin(), values.end(), tensor.values<float>().begin());
    return tensor;
  }
  const auto round = like.dtype() == TensorDType::float16 ? f32_to_f16 : f32_to_bf16;
  std::transform(values.begin(), values.end(), tensor.values<std::uint16_t>().begin(), round);
  return tensor;
}

template <typename T>
T larger(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a)) return a;
    if (std::isnan(b)) return b;
  }
  return std::max(a, b);
}

/// Wraps around where integers do.
template <typename T>
T sum(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    return a + b;
  } else if constexpr (std::is_same_v<T, bool>) {
    return a || b;
  } else {
    using Unsigned = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b));
  }
}

/// Calls `action` with a value of the type that holds the elements of `dtype`.
template <typename Action>
void with_element(TensorDType dtype, const Action& action) {
  switch (dtype) {
    case TensorDType::float32:
      return action(float{});
    case TensorDType::float64:
      return action(double{});
    case TensorDType::float16:
    case TensorDType::bfloat16:
      return action(std::uint16_t{});
    case TensorDType::int8:
      return action(std::int8_t{});
    case TensorDType::uint8:
      return action(std::uint8_t{});
    case TensorDType::int16:
      return action(std::int16_t{});
    case TensorDType::int32:
      return action(std::int32_t{});
    case TensorDType::int64:
      return action(std::int64_t{});
    case TensorDType::boolean:
      return action(bool{});
  }
}

void fold_16_bits(HostTensor& into, const HostTensor& other) {
  std::vector<float> to = as_floats(into);
  const std::vector<float> from = as_floats(other);
  std::transform(to.begin(), to.end(), from.begin(), to.begin(), larger<float>);
  into = from_floats(to, into);
}

/// The sum, or the larger one, of each pair of elements; of 16-bit floats the larger one only.
void fold(HostTensor& into, const HostTensor& other, Reduction reduction) {
  if (into.dtype() == TensorDType::float16 || into.dtype() == TensorDType::bfloat16) {
    TRIREME_ASSERT(reduction == Reduction::max);
    return fold_16_bits(into, other);
  }
  with_element(into.dtype(), [&]<typename T>(T) {
    const std::span<T> to = into.values<T>();
    const std::span<const T> from = other.values<T>();
    for (std::size_t i = 0; i < to.size(); ++i) {
      to[i] = reduction == Reduction::max ? larger<T>(to[i], from[i]) : sum<T>(to[i], from[i]);
    }
  });
}

/// The tree of core/shard.h over whole tensors.
HostTensor fold_tree(std::span<const HostTensor> tensors, Reduction reduction) {
  if (tensors.size() == 1) return tensors[0];
  const std::size_t left = std::bit_floor(tensors.size() - 1);
  HostTensor all = fold_tree(tensors.first(left), reduction);
  fold(all, fold_tree(tensors.subspan(left), reduction), reduction);
  return all;
}

template <typename T>
T element_of(TensorDType dtype, double value) {
  if (dtype == TensorDType::float16) return static_cast<T>(f32_to_f16(static_cast<float>(value)));
  if (dtype == TensorDType::bfloat16) return static_cast<T>(f32_to_bf16(static_cast<float>(value)));
  return static_cast<T>(value);
}

/// Whether a tensor can hold the number.
bool can_hold(TensorDType dtype, double value) {
  if (is_float(dtype) || dtype == TensorDType::float64) return true;
  bool can = false;
  with_element(dtype, [&]<typename T>(T) {
    can = value == std::trunc(value) &&
          value >= static_cast<double>(std::numeric_limits<T>::min()) &&
          value < std::ldexp(1.0, std::numeric_limits<T>::digits);  // digits of bool: 1
  });
  return can;
}

/// A tensor of one value.
HostTensor filled(TensorDType dtype, std::vector<std::int64_t> shape, double value) {
  HostTensor tensor(dtype, std::move(shape));
  with_element(dtype, [&]<typename T>(T) {
    const std::span<T> values = tensor.values<T>();
    std::fill(values.begin(), values.end(), element_of<T>(dtype, value));
  });
  return tensor;
}

/// Copies `from` into `to`, which is longer in dimension `dim` only, at its start or its end.
void place(const HostTensor& from, HostTensor& to, std::size_t dim, bool at_end) {
  std::int64_t outer = 1;
  for (std::size_t i = 0; i < dim; ++i) outer *= from.shape()[i];
  if (from.elements() == 0) return;
  const auto block = static_cast<std::int64_t>(from.bytes().size()) / outer;
  const auto stride = static_cast<std::int64_t>(to.bytes().size()) / outer;
  const std::int64_t offset = at_end ? stride - block : 0;
  for (std::int64_t i = 0; i < outer; ++i) {
    std::copy_n(from.bytes().begin() + i * block, block, to.bytes().begin() + i * stride + offset);
  }
}

}  // namespace

std::string Parcel<HostTensor>::kind(const HostTensor& tensor) {
  if (is_nothing(tensor)) return "";
  return fmt::format("tensors of {} [{}]", name_of(tensor.dtype()), row_shape(tensor));
}

Bytes Parcel<HostTensor>::pack(const HostTensor& tensor) {
  ByteWriter out;
  out.value(tensor.dtype());
  out.array(tensor.shape());
  out.array(tensor.bytes());
  return out.take();
}

HostTensor Parcel<HostTensor>::join(const std::vector<Bytes>& parts) {
  if (parts.size() == 1) return decode_tensor(parts[0]);
  std::vector<HostTensor> tensors;
  std::int64_t rows = 0;
  for (const Bytes& part : parts) {
    HostTensor tensor = decode_tensor(part);
    if (is_nothing(tensor)) continue;
    rows += tensor.rows();
    tensors.push_back(std::move(tensor));
  }
  if (tensors.empty()) return {};
  std::vector<std::int64_t> shape = tensors[0].shape();
  if (shape.empty()) shape.push_back(0);
  shape[0] = rows;
  HostTensor all(tensors[0].dtype(), std::move(shape));
  auto to = all.bytes().begin();
  for (const HostTensor& tensor : tensors) {
    to = std::copy(tensor.bytes().begin(), tensor.bytes().end(), to);
  }
  return all;
}

HostTensor PartialState::reduce(const HostTensor& own, Reduction reduction) const {
  const bool mean = reduction == Reduction::mean;
  const bool real = is_float(own.dtype()) || own.dtype() == TensorDType::float64;
  const std::string problem =
      mean && !real ? fmt::format("the mean of {} is no {}; ask for the sum, or pass float32",
                                  own.description(), name_of(own.dtype()))
                    : "";
  const bool by_tree_sum = is_float(own.dtype()) && reduction != Reduction::max;
  const std::vector<Bytes> all =
      exchange(fmt::format("reduce ({})", mean                          ? "mean"
                                          : reduction == Reduction::sum ? "sum"
                                                                        : "max"),
               "a tensor " + own.description(),
               by_tree_sum ? Bytes{} : Parcel<HostTensor>::pack(own), problem);
  if (by_tree_sum) return sum_of_floats(own, mean ? num_processes_ : 1);
  std::vector<HostTensor> tensors;
  for (const Bytes& bytes : all) tensors.push_back(decode_tensor(bytes));
  HostTensor result = fold_tree(tensors, mean ? Reduction::sum : reduction);
  if (mean) {
    for (double& value : result.values<double>()) value /= num_processes_;
  }
  return result;
}

/// With the communicator's sum of partial sums, a process holding one each.
HostTensor PartialState::sum_of_floats(const HostTensor& own, double divisor) const {
  std::vector<float> values = as_floats(own);
  TreeSum tree{num_processes_, {}};
  for (int process = 0; process < num_processes_; ++process) {
    tree.held.push_back({process, process + 1});
  }
  const float* const partial = values.data();
  world_->ranks().tree_all_reduce(tree, {&partial, 1}, own.elements(), values.data());
  for (float& value : values) value /= static_cast<float>(divisor);
  return from_floats(values, own);
}

HostTensor PartialState::pad_across_processes(const HostTensor& own, PadOptions options) const {
  const auto dims = static_cast<std::int64_t>(own.shape().size());
  const std::int64_t dim = options.dim < 0 ? options.dim + dims : options.dim;
  const bool there = dim >= 0 && dim < dims;
  std::string problem;
  if (!there)
    problem = fmt::format("a tensor {} has no dimension {}", own.description(), options.dim);
  if (!can_hold(own.dtype(), options.pad_index)) {
    problem = fmt::format("a tensor {} cannot hold {}", own.description(), options.pad_index);
  }
  ByteWriter size;
  size.value(there ? own.shape()[static_cast<std::size_t>(dim)] : 0);
  const auto sizes = exchange("pad_across_processes", "", size.take(), problem);
  std::int64_t longest = 0;
  for (const Bytes& bytes : sizes) {
    longest = std::max(longest, ByteReader(bytes).value<std::int64_t>());
  }
  std::vector<std::int64_t> shape = own.shape();
  shape[static_cast<std::size_t>(dim)] = longest;
  HostTensor padded = filled(own.dtype(), std::move(shape), options.pad_index);
  place(own, padded, static_cast<std::size_t>(dim), options.pad_first);
  return padded;
}

}  // namespace trireme
