#include "weights/gguf_format.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "weights/file.h"

namespace trireme {

static_assert(std::endian::native == std::endian::little, "GGUF data are little-endian");

namespace {

constexpr std::string_view magic = "GGUF";
constexpr std::string_view remedy = "the file is damaged or incomplete; download it again";
constexpr std::uint64_t default_alignment = 32;
constexpr std::uint64_t largest_alignment = std::uint64_t{1} << 20;
constexpr std::uint32_t most_dimensions = 4;  // ggml's limit

/// The kinds of metadata values, as files number them.
enum class Kind : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};

/// The bytes at hand end within the header.
struct MoreNeeded {};

/// Reads a header from its beginning. Nothing is allocated for a count that the file cannot hold.
class Cursor {
 public:
  Cursor(std::string_view bytes, std::uint64_t file_size, const std::string& file)
      : bytes_(bytes), file_size_(file_size), file_(file) {}

  template <typename T>
  T value() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string_view string() { return take(value<std::uint64_t>()); }
  /// How many things of at least `least_bytes` follow.
  std::uint64_t count(std::uint64_t least_bytes, std::string_view of) {
    const auto count = value<std::uint64_t>();
    if (count > left_in_file() / least_bytes) {
      fail_here("{} {}, more than its {} bytes can hold", count, of, file_size_);
    }
    return count;
  }
  /// So many of `count` things may be in the bytes at hand.
  std::size_t worth_reserving(std::uint64_t count, std::uint64_t least_bytes) const {
    return static_cast<std::size_t>(std::min(count, (bytes_.size() - at_) / least_bytes));
  }
  std::uint64_t at() const { return at_; }
  std::uint64_t file_size() const { return file_size_; }
  const std::string& file() const { return file_; }

  /// What is being read, for messages: "key tokenizer.ggml.tokens".
  void now_at(std::string_view what, std::string_view name) {
    place_ = fmt::format("{} {}: ", what, printable(name));
  }
  template <typename... Args>
  [[noreturn]] void fail_here(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorKind::input, "{}: {}{}; {}", file_, place_,
         fmt::format(format, std::forward<Args>(args)...), remedy);
  }

 private:
  std::uint64_t left_in_file() const { return file_size_ - at_; }

  std::string_view take(std::uint64_t size) {
    if (size > left_in_file()) {
      fail_here("{} bytes are needed at offset {}, but the file ends at byte {}", size, at_,
                file_size_);
    }
    if (size > gguf_header_limit - at_) {
      fail_here("its header takes more than {} bytes", gguf_header_limit);
    }
    if (size > bytes_.size() - at_) throw MoreNeeded{};
    const std::string_view taken = bytes_.substr(static_cast<std::size_t>(at_), size);
    at_ += size;
    return taken;
  }

  std::string_view bytes_;
  std::uint64_t file_size_;
  const std::string& file_;
  std::uint64_t at_ = 0;
  std::string place_;
};

void check_start(Cursor& in) {
  if (in.file_size() < 24) {
    in.fail_here("{} bytes are too few for a GGUF file", in.file_size());
  }
  for (const char expected : magic) {
    if (in.value<char>() != expected) in.fail_here("it does not begin with \"GGUF\"");
  }
  const auto version = in.value<std::uint32_t>();
  if (version == 2 || version == 3) return;
  const bool swapped = version != 0 && (version & 0xffffu) == 0;
  fail(
      ErrorKind::input, "{}: {}; Trireme reads versions 2 and 3, little-endian: convert it again",
      in.file(),
      swapped ? std::string("a big-endian GGUF file") : fmt::format("GGUF of version {}", version));
}

/// All values of an array as one of the variant's vectors.
template <typename Stored, typename As>
std::vector<As> read_numbers(Cursor& in) {
  const std::uint64_t count = in.count(sizeof(Stored), "values");
  std::vector<As> values;
  values.reserve(in.worth_reserving(count, sizeof(Stored)));
  for (std::uint64_t i = 0; i < count; ++i) values.push_back(static_cast<As>(in.value<Stored>()));
  return values;
}

bool read_bool(Cursor& in) {
  const auto value = in.value<std::uint8_t>();
  if (value > 1) in.fail_here("{} is neither true nor false", value);
  return value == 1;
}

std::vector<bool> read_bools(Cursor& in) {
  std::vector<bool> values;
  for (std::uint64_t left = in.count(1, "values"); left > 0; --left) {
    values.push_back(read_bool(in));
  }
  return values;
}

std::vector<std::string> read_strings(Cursor& in) {
  constexpr std::uint64_t least = sizeof(std::uint64_t);
  const std::uint64_t count = in.count(least, "strings");
  std::vector<std::string> values;
  values.reserve(in.worth_reserving(count, least));
  for (std::uint64_t i = 0; i < count; ++i) values.emplace_back(in.string());
  return values;
}

GgufValue read_array(Cursor& in) {
  const auto kind = in.value<std::uint32_t>();
  switch (static_cast<Kind>(kind)) {
    case Kind::u8:
      return read_numbers<std::uint8_t, std::int64_t>(in);
    case Kind::i8:
      return read_numbers<std::int8_t, std::int64_t>(in);
    case Kind::u16:
      return read_numbers<std::uint16_t, std::int64_t>(in);
    case Kind::i16:
      return read_numbers<std::int16_t, std::int64_t>(in);
    case Kind::u32:
      return read_numbers<std::uint32_t, std::int64_t>(in);
    case Kind::i32:
      return read_numbers<std::int32_t, std::int64_t>(in);
    case Kind::u64:
      return read_numbers<std::uint64_t, std::int64_t>(in);
    case Kind::i64:
      return read_numbers<std::int64_t, std::int64_t>(in);
    case Kind::f32:
      return read_numbers<float, double>(in);
    case Kind::f64:
      return read_numbers<double, double>(in);
    case Kind::boolean:
      return read_bools(in);
    case Kind::string:
      return read_strings(in);
    case Kind::array:
      in.fail_here("it is a list of lists, which no version of the format has");
  }
  in.fail_here("a list of values of unknown kind {}", kind);
}

/// A number that 63 bits do not hold is no size and no id: it is kept as a float.
GgufValue unsigned_value(std::uint64_t value) {
  constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value > largest) return static_cast<double>(value);
  return static_cast<std::int64_t>(value);
}

GgufValue read_value(Cursor& in) {
  const auto kind = in.value<std::uint32_t>();
  switch (static_cast<Kind>(kind)) {
    case Kind::u8:
      return std::int64_t{in.value<std::uint8_t>()};
    case Kind::i8:
      return std::int64_t{in.value<std::int8_t>()};
    case Kind::u16:
      return std::int64_t{in.value<std::uint16_t>()};
    case Kind::i16:
      return std::int64_t{in.value<std::int16_t>()};
    case Kind::u32:
      return std::int64_t{in.value<std::uint32_t>()};
    case Kind::i32:
      return std::int64_t{in.value<std::int32_t>()};
    case Kind::u64:
      return unsigned_value(in.value<std::uint64_t>());
    case Kind::i64:
      return in.value<std::int64_t>();
    case Kind::f32:
      return static_cast<double>(in.value<float>());
    case Kind::f64:
      return in.value<double>();
    case Kind::boolean:
      return read_bool(in);
    case Kind::string:
      return std::string(in.string());
    case Kind::array:
      return read_array(in);
  }
  in.fail_here("a value of unknown kind {}", kind);
}

void read_metadata(Cursor& in, std::uint64_t count, GgufMetadata& metadata) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string_view key = in.string();
    in.now_at("key", key);
    if (!metadata.add(std::string(key), read_value(in))) in.fail_here("given twice");
  }
}

/// ggml's dimensions begin with the one without gaps.
std::vector<std::int64_t> read_shape(Cursor& in) {
  const auto dimensions = in.value<std::uint32_t>();
  if (dimensions > most_dimensions) {
    in.fail_here("{} dimensions, more than the format's {}", dimensions, most_dimensions);
  }
  std::vector<std::int64_t> shape;
  std::int64_t elements = 1;
  for (std::uint32_t i = 0; i < dimensions; ++i) {
    const auto size = in.value<std::int64_t>();
    if (size < 0 || __builtin_mul_overflow(elements, size, &elements)) {
      in.fail_here("dimension {} of {} is impossible", i, size);
    }
    shape.insert(shape.begin(), size);
  }
  return shape;
}

GgufTensor read_tensor(Cursor& in) {
  GgufTensor tensor;
  tensor.name = in.string();
  in.now_at("tensor", tensor.name);
  tensor.shape = read_shape(in);
  tensor.type_id = in.value<std::uint32_t>();
  tensor.type = gguf_type(tensor.type_id);
  tensor.offset = in.value<std::uint64_t>();
  if (tensor.type == nullptr) return tensor;
  const std::int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  const auto block = static_cast<std::int64_t>(tensor.type->block);
  if (row % block != 0) {
    in.fail_here("rows of {} elements are not made of {}'s blocks of {}", row, tensor.type->name,
                 block);
  }
  const auto blocks = static_cast<std::uint64_t>(tensor.elements() / block);
  if (__builtin_mul_overflow(blocks, std::uint64_t{tensor.type->bytes}, &tensor.bytes)) {
    in.fail_here("shape [{}] is impossible", fmt::join(tensor.shape, ", "));
  }
  return tensor;
}

std::uint64_t alignment_of(const GgufMetadata& metadata) {
  const std::int64_t alignment = metadata.integer("general.alignment").value_or(default_alignment);
  if (alignment < 1 || static_cast<std::uint64_t>(alignment) > largest_alignment ||
      !std::has_single_bit(static_cast<std::uint64_t>(alignment))) {
    metadata.reject("general.alignment", "a power of two");
  }
  return static_cast<std::uint64_t>(alignment);
}

/// From offsets within the data to offsets within the file.
void place_tensors(const Cursor& in, std::uint64_t alignment, std::vector<GgufTensor>& tensors) {
  const std::uint64_t data_begin = (in.at() + alignment - 1) / alignment * alignment;
  const std::uint64_t data_bytes = in.file_size() - std::min(in.file_size(), data_begin);
  for (GgufTensor& tensor : tensors) {
    const auto wrong = [&](const std::string& what) {
      fail(ErrorKind::input, "{}: tensor {}: {}; {}", in.file(), printable(tensor.name), what,
           remedy);
    };
    if (tensor.offset % alignment != 0) {
      wrong(fmt::format("its offset {} is no multiple of the alignment, {}", tensor.offset,
                        alignment));
    }
    if (tensor.offset > data_bytes || tensor.bytes > data_bytes - tensor.offset) {
      wrong(fmt::format("{} bytes at offset {} lie outside of the file's {} bytes of data",
                        tensor.bytes, tensor.offset, data_bytes));
    }
    tensor.offset += data_begin;
  }
}

void check_apart(const std::string& file, const std::vector<GgufTensor>& tensors) {
  std::vector<const GgufTensor*> order;
  for (const GgufTensor& tensor : tensors) {
    if (tensor.bytes > 0) order.push_back(&tensor);
  }
  std::ranges::sort(order, {}, &GgufTensor::offset);
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (order[i - 1]->offset + order[i - 1]->bytes <= order[i]->offset) continue;
    fail(ErrorKind::input, "{}: tensors {} and {} overlap; {}", file, printable(order[i - 1]->name),
         printable(order[i]->name), remedy);
  }
}

void sort_by_unique_name(const std::string& file, std::vector<GgufTensor>& tensors) {
  std::ranges::sort(tensors, {}, &GgufTensor::name);
  const auto twin = std::ranges::adjacent_find(tensors, {}, &GgufTensor::name);
  if (twin == tensors.end()) return;
  fail(ErrorKind::input, "{}: tensor {}: listed twice; {}", file, printable(twin->name), remedy);
}

GgufHeader parse(Cursor& in) {
  constexpr std::uint64_t least_tensor = 24;  // without name and dimensions
  constexpr std::uint64_t least_pair = 13;    // an empty key and a byte
  check_start(in);
  const std::uint64_t tensors = in.count(least_tensor, "tensors");
  const std::uint64_t pairs = in.count(least_pair, "keys");
  GgufHeader header{GgufMetadata(in.file()), {}};
  read_metadata(in, pairs, header.metadata);
  header.tensors.reserve(in.worth_reserving(tensors, least_tensor));
  for (std::uint64_t i = 0; i < tensors; ++i) header.tensors.push_back(read_tensor(in));
  place_tensors(in, alignment_of(header.metadata), header.tensors);
  check_apart(in.file(), header.tensors);
  sort_by_unique_name(in.file(), header.tensors);
  return header;
}

}  // namespace

std::optional<GgufHeader> parse_gguf_header(std::string_view bytes, std::uint64_t file_size,
                                            const std::string& file) {
  TRIREME_ASSERT(bytes.size() <= file_size);
  Cursor in(bytes, file_size, file);
  try {
    return parse(in);
  } catch (const MoreNeeded&) {
    return std::nullopt;
  }
}

}  // namespace trireme
