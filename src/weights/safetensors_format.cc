#include "weights/safetensors_format.h"

#include <fmt/ranges.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/error.h"
#include "weights/file.h"

namespace trireme {

namespace {

namespace dom = simdjson::dom;

struct FormatDType {
  std::string_view name;
  std::uint64_t bits;
  std::optional<DType> dtype;
};

constexpr std::array<FormatDType, 22> format_dtypes = {
    {{"F64", 64, DType::f64},     {"F32", 32, DType::f32},
     {"F16", 16, DType::f16},     {"BF16", 16, DType::bf16},
     {"I64", 64, DType::i64},     {"I32", 32, DType::i32},
     {"I16", 16, DType::i16},     {"I8", 8, DType::i8},
     {"U64", 64, DType::u64},     {"U32", 32, DType::u32},
     {"U16", 16, DType::u16},     {"U8", 8, DType::u8},
     {"BOOL", 8, DType::boolean}, {"C64", 64, {}},
     {"F8_E5M2", 8, {}},          {"F8_E4M3", 8, {}},
     {"F8_E8M0", 8, {}},          {"F8_E4M3FNUZ", 8, {}},
     {"F8_E5M2FNUZ", 8, {}},      {"F6_E2M3", 6, {}},
     {"F6_E3M2", 6, {}},          {"F4", 4, {}}}};

constexpr std::string_view remedy = "the file is damaged or incomplete; download it again";

/// Where a complaint belongs: a file, and a tensor in it.
struct Place {
  std::string_view file;
  std::string tensor;

  template <typename... Args>
  [[noreturn]] void fail_here(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorKind::input, "{}: tensor {}: {}; {}", file, tensor,
         fmt::format(format, std::forward<Args>(args)...), remedy);
  }
};

const FormatDType& dtype_of(const Place& place, std::string_view name) {
  for (const FormatDType& known : format_dtypes) {
    if (known.name == name) return known;
  }
  place.fail_here("unknown dtype {}", printable(name));
}

std::vector<std::int64_t> shape_of(const Place& place, const dom::element& element) {
  dom::array sizes;
  if (element.get(sizes) != simdjson::SUCCESS) place.fail_here("shape is not a list");
  std::vector<std::int64_t> shape;
  for (const dom::element size : sizes) {
    std::int64_t value = -1;
    if (size.get(value) != simdjson::SUCCESS || value < 0) {
      place.fail_here("dimension {} of its shape is not a non-negative integer", shape.size());
    }
    shape.push_back(value);
  }
  return shape;
}

void read_offsets(const Place& place, const dom::element& element, SafetensorsEntry& entry) {
  dom::array offsets;
  if (element.get(offsets) != simdjson::SUCCESS || offsets.size() != 2 ||
      offsets.at(0).get(entry.begin) != simdjson::SUCCESS ||
      offsets.at(1).get(entry.end) != simdjson::SUCCESS) {
    place.fail_here("data_offsets is not a pair of non-negative integers");
  }
}

/// Bytes that a tensor of this shape takes; nothing if that overflows or ends within a byte.
std::optional<std::uint64_t> bytes_of(const std::vector<std::int64_t>& shape, std::uint64_t bits) {
  auto total = static_cast<std::int64_t>(bits);
  for (const std::int64_t size : shape) {
    if (__builtin_mul_overflow(total, size, &total)) return std::nullopt;
  }
  return total % 8 == 0 ? std::optional(static_cast<std::uint64_t>(total / 8)) : std::nullopt;
}

void check_extent(const Place& place, const SafetensorsEntry& entry, std::uint64_t bits,
                  std::uint64_t data_bytes) {
  if (entry.begin > entry.end || entry.end > data_bytes) {
    place.fail_here("data_offsets [{}, {}] lie outside of the file's {} bytes of data", entry.begin,
                    entry.end, data_bytes);
  }
  const auto needed = bytes_of(entry.shape, bits);
  if (needed != entry.end - entry.begin) {
    place.fail_here("data_offsets [{}, {}] hold {} bytes, but shape [{}] of {} needs {}",
                    entry.begin, entry.end, entry.end - entry.begin, fmt::join(entry.shape, ", "),
                    entry.dtype_name, needed ? fmt::format("{}", *needed) : "an impossible number");
  }
}

SafetensorsEntry parse_entry(const Place& place, std::string_view name, const dom::element& value,
                             std::uint64_t data_bytes) {
  dom::object fields;
  if (value.get(fields) != simdjson::SUCCESS) place.fail_here("its entry is not a JSON object");
  SafetensorsEntry entry;
  entry.name = name;
  const FormatDType* dtype = nullptr;
  bool has_shape = false, has_offsets = false;
  for (const dom::key_value_pair field : fields) {
    std::string_view text;
    if (field.key == "dtype" && dtype == nullptr && field.value.get(text) == simdjson::SUCCESS) {
      dtype = &dtype_of(place, text);
    } else if (field.key == "shape" && !std::exchange(has_shape, true)) {
      entry.shape = shape_of(place, field.value);
    } else if (field.key == "data_offsets" && !std::exchange(has_offsets, true)) {
      read_offsets(place, field.value, entry);
    } else {
      place.fail_here("unexpected, repeated or mistyped field {}", printable(field.key));
    }
  }
  if (dtype == nullptr || !has_shape || !has_offsets) {
    place.fail_here("needs the fields dtype, shape and data_offsets");
  }
  entry.dtype_name = dtype->name;
  entry.dtype = dtype->dtype;
  check_extent(place, entry, dtype->bits, data_bytes);
  return entry;
}

std::map<std::string, std::string> parse_metadata(std::string_view file,
                                                  const dom::element& value) {
  std::map<std::string, std::string> metadata;
  dom::object pairs;
  if (value.get(pairs) != simdjson::SUCCESS) {
    fail(ErrorKind::input, "{}: __metadata__ is not a JSON object; {}", file, remedy);
  }
  for (const dom::key_value_pair pair : pairs) {
    std::string_view text;
    if (pair.value.get(text) != simdjson::SUCCESS) {
      fail(ErrorKind::input, "{}: __metadata__ field {} is not a string; {}", file,
           printable(pair.key), remedy);
    }
    metadata.insert_or_assign(std::string(pair.key), std::string(text));
  }
  return metadata;
}

/// The tensors must cover the data exactly: the format forbids overlaps and holes.
void check_cover(const std::vector<SafetensorsEntry>& entries, std::uint64_t data_bytes,
                 std::string_view file) {
  std::vector<const SafetensorsEntry*> order;
  for (const SafetensorsEntry& entry : entries) order.push_back(&entry);
  std::ranges::sort(order, [](const auto* a, const auto* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  std::uint64_t covered = 0;
  for (const SafetensorsEntry* entry : order) {
    if (entry->begin != covered) {
      Place{file, printable(entry->name)}.fail_here(
          "its data begin at offset {}, but the tensors before it end at {} ({})", entry->begin,
          covered, entry->begin < covered ? "they overlap" : "a hole, which the format forbids");
    }
    covered = entry->end;
  }
  if (covered != data_bytes) {
    fail(ErrorKind::input, "{}: {} bytes of data, but its tensors end at byte {}; {}", file,
         data_bytes, covered, remedy);
  }
}

void sort_by_unique_name(std::vector<SafetensorsEntry>& entries, std::string_view file) {
  std::ranges::sort(entries, {}, &SafetensorsEntry::name);
  const auto twin = std::ranges::adjacent_find(entries, {}, &SafetensorsEntry::name);
  if (twin != entries.end()) Place{file, printable(twin->name)}.fail_here("listed twice");
}

}  // namespace

std::string_view safetensors_name(DType dtype) {
  for (const FormatDType& known : format_dtypes) {
    if (known.dtype == dtype) return known.name;
  }
  TRIREME_ASSERT(false);
}

std::uint64_t checked_header_length(std::uint64_t length, std::uint64_t file_size,
                                    std::string_view file) {
  if (length > safetensors_header_limit) {
    fail(ErrorKind::input, "{}: its header claims {} bytes, more than the format's limit of {}; {}",
         file, length, safetensors_header_limit, remedy);
  }
  if (length < 2 || length > file_size - safetensors_prefix) {
    fail(ErrorKind::input, "{}: its header claims {} bytes, but the file has {} bytes in all; {}",
         file, length, file_size, remedy);
  }
  return length;
}

SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes,
                                           std::string_view file) {
  dom::parser parser(safetensors_header_limit);
  dom::element root;
  dom::object object;
  const auto error = parser.parse(json.data(), json.size()).get(root);
  if (error != simdjson::SUCCESS) {
    fail(ErrorKind::input, "{}: its header is not JSON ({}); {}", file,
         simdjson::error_message(error), remedy);
  }
  if (root.get(object) != simdjson::SUCCESS) {
    fail(ErrorKind::input, "{}: its header is not a JSON object; {}", file, remedy);
  }
  SafetensorsHeader header;
  bool has_metadata = false;
  for (const dom::key_value_pair field : object) {
    if (field.key == "__metadata__") {
      if (std::exchange(has_metadata, true)) {
        fail(ErrorKind::input, "{}: __metadata__ listed twice; {}", file, remedy);
      }
      header.metadata = parse_metadata(file, field.value);
    } else {
      const Place place{file, printable(field.key)};
      header.entries.push_back(parse_entry(place, field.key, field.value, data_bytes));
    }
  }
  sort_by_unique_name(header.entries, file);
  check_cover(header.entries, data_bytes, file);
  return header;
}

}  // namespace trireme
