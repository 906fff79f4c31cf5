// Made-up weights: each element is a pure function of (seed, tensor name, index), in integer and
// exactly rounded float arithmetic, so that every machine, slice and plan sees the same numbers.
//
// Element i of a tensor takes h = splitmix64 step number i+1 of a stream that starts at
// mix(seed + hash(name)); the four 16-bit quarters of h add up to a number that is nearly normal
// (Irwin-Hall of four: mean 131070, within 3.5 standard deviations), which is scaled and shifted to
// the wanted mean and deviation and rounded to the dtype.
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "core/error.h"
#include "weights/file.h"
#include "weights/matrix_view.h"
#include "weights/tensor_source.h"

namespace trireme {

namespace {

constexpr std::uint64_t golden_gamma = 0x9e3779b97f4a7c15ull;

/// The output function of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014, with Stafford's constants, mix 13).
constexpr std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

/// FNV-1a, 64 bits.
constexpr std::uint64_t hash_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return hash;
}

/// Mean 0; four uniform numbers of 16 bits, so 4 * (2^32 - 1) / 12 is its variance.
constexpr std::int32_t centred_sum(std::uint64_t h) {
  constexpr std::uint64_t quarters = 0x0000ffff0000ffffull;
  const std::uint64_t pairs = (h & quarters) + ((h >> 16) & quarters);
  return static_cast<std::int32_t>((pairs & 0xffffffffu) + (pairs >> 32)) - 2 * 65535;
}
constexpr float inverse_deviation = 1.0f / 37837.227f;  // 1 / sqrt((2^32 - 1) / 3)

struct Stream {
  std::uint64_t start = 0;
  float mean = 0;
  float scale = 0;

  float value_of(std::uint64_t h) const {
    return mean + static_cast<float>(centred_sum(h)) * scale;
  }
};

/// Writes elements [first, first + count) of the stream. The 64-bit products, which few vector
/// units have, are apart from what becomes vectors.
template <typename T, typename Round>
void fill(const Stream& stream, std::uint64_t first, std::int64_t count, std::byte* out,
          Round round) {
  constexpr std::int64_t block = 256;
  std::uint64_t hashes[block];
  T values[block];
  std::uint64_t step = stream.start + (first + 1) * golden_gamma;
  for (std::int64_t done = 0; done < count; done += block) {
    const std::int64_t some = std::min(block, count - done);
    for (std::int64_t i = 0; i < some; ++i, step += golden_gamma) hashes[i] = mix(step);
    for (std::int64_t i = 0; i < some; ++i) values[i] = round(stream.value_of(hashes[i]));
    std::memcpy(out, values, static_cast<std::size_t>(some) * sizeof(T));
    out += static_cast<std::size_t>(some) * sizeof(T);
  }
}

void fill(const Stream& stream, DType dtype, std::uint64_t first, std::int64_t count,
          std::byte* out) {
  switch (dtype) {
    case DType::f32:
      return fill<float>(stream, first, count, out, [](float value) { return value; });
    case DType::f64:
      return fill<double>(stream, first, count, out, [](float value) { return double{value}; });
    case DType::bf16:
      return fill<std::uint16_t>(stream, first, count, out,
                                 [](float value) { return f32_to_bf16(value); });
    case DType::f16:
      return fill<std::uint16_t>(stream, first, count, out,
                                 [](float value) { return f32_to_f16(value); });
    default:
      TRIREME_ASSERT(false);
  }
}

bool is_floating(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16 || dtype == DType::f16;
}

/// Shapes come from config.json: a product beyond any machine is the user's error.
void check_shape(const DummyTensor& tensor) {
  if (!is_floating(tensor.dtype)) {
    fail(ErrorKind::input, "tensor {}: no made-up weights in {}; use --dtype float32 or bfloat16",
         printable(tensor.name), name_of(tensor.dtype));
  }
  std::int64_t bytes = static_cast<std::int64_t>(size_of(tensor.dtype));
  for (const std::int64_t size : tensor.shape) {
    if (size >= 0 && !__builtin_mul_overflow(bytes, size, &bytes)) continue;
    fail(ErrorKind::input, "tensor {}: shape [{}] is impossible; check config.json",
         printable(tensor.name), fmt::join(tensor.shape, ", "));
  }
}

class DummySource : public TensorSource {
 public:
  DummySource(std::vector<DummyTensor> tensors, std::uint64_t seed) {
    std::ranges::sort(tensors, {}, &DummyTensor::name);
    for (DummyTensor& tensor : tensors) {
      check_shape(tensor);
      const std::uint64_t start = mix(seed + hash_of(tensor.name));
      streams_.push_back({start, tensor.mean, tensor.stddev * inverse_deviation});
      infos_.push_back(
          {std::move(tensor.name), tensor.dtype, std::move(tensor.shape), "dummy weights"});
    }
    TRIREME_ASSERT(std::ranges::adjacent_find(infos_, {}, &TensorInfo::name) == infos_.end());
  }

  const TensorInfo* find(std::string_view name) const override {
    const auto found = std::ranges::lower_bound(infos_, name, {}, view_name);
    return found != infos_.end() && found->name == name ? &*found : nullptr;
  }

  std::vector<const TensorInfo*> tensors() const override {
    std::vector<const TensorInfo*> all;
    for (const TensorInfo& info : infos_) all.push_back(&info);
    return all;
  }

  std::string describe() const override { return "dummy weights"; }

  void read(const TensorInfo& tensor, Range rows, Range cols, std::byte* out) const override {
    check_slice(tensor, rows, cols);
    const TensorInfo* own = find(tensor.name);
    TRIREME_ASSERT(own != nullptr);
    const Stream& stream = streams_[static_cast<std::size_t>(own - infos_.data())];
    const std::int64_t view_cols = matrix_view(tensor).cols;
    const std::size_t row_bytes = static_cast<std::size_t>(cols.size()) * size_of(own->dtype);
    for (std::int64_t row = rows.begin; row < rows.end; ++row, out += row_bytes) {
      const auto first = static_cast<std::uint64_t>(row * view_cols + cols.begin);
      fill(stream, own->dtype, first, cols.size(), out);
    }
    bytes_read_ += rows.size() * static_cast<std::int64_t>(row_bytes);
  }

  void will_read(const TensorInfo& /*tensor*/, Range /*rows*/, Range /*cols*/) const override {}

  std::vector<FileStamp> files() const override { return {}; }

  std::int64_t bytes_read() const override { return bytes_read_; }

 private:
  static std::string_view view_name(const TensorInfo& info) { return info.name; }

  std::vector<TensorInfo> infos_;  ///< in order of name
  std::vector<Stream> streams_;    ///< of each of infos_
  mutable std::atomic<std::int64_t> bytes_read_{0};
};

}  // namespace

std::unique_ptr<TensorSource> make_dummy_source(std::vector<DummyTensor> tensors,
                                                std::uint64_t seed) {
  return std::make_unique<DummySource>(std::move(tensors), seed);
}

}  // namespace trireme
