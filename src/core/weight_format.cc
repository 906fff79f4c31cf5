#include "core/weight_format.h"

#include "core/error.h"
#include "core/range.h"

namespace trireme {

namespace {

// Wide enough that scales cost little (0.8 and 6 % of the bytes) and that integer units work
// undisturbed (int8 by 128 instead of 256 was 9 % slower in prefill), narrow enough for outliers.
constexpr std::int64_t int8_group = 256;
constexpr std::int64_t int4_group = 64;

// The depth of one AMX tile: 32 bfloat16 or 64 bytes.
constexpr std::int64_t bf16_step = 32;
constexpr std::int64_t byte_step = 64;
// Two quads of four bits. Narrow groups would waste much of a wider step.
constexpr std::int64_t quad_step = 8;

}  // namespace

std::string_view name_of(Quantization quantization) {
  switch (quantization) {
    case Quantization::none:
      return "none";
    case Quantization::int8:
      return "int8";
    case Quantization::int4:
      return "int4";
    case Quantization::stored:
      return "stored int4";
  }
  return "";
}

std::optional<Quantization> quantization_from_name(std::string_view name) {
  for (const auto quantization : {Quantization::none, Quantization::int8, Quantization::int4}) {
    if (name == name_of(quantization)) return quantization;
  }
  return std::nullopt;
}

WeightFormat weight_format(DType dtype, Quantization quantization, bool table) {
  if (quantization == Quantization::none || quantization == Quantization::stored) {
    return {dtype, 0};
  }
  if (quantization == Quantization::int8 || table) return {DType::i8, int8_group};
  return {DType::i4, int4_group};
}

double bytes_per_weight(const WeightFormat& format) {
  if (format.group == 0) return static_cast<double>(size_of(format.dtype));
  const double integer = format.dtype == DType::i8 ? 1 : 0.5;
  const double header = static_cast<double>(packed_group_header(format.dtype)) / packed_panel_rows;
  return integer + header / static_cast<double>(format.group);
}

std::int64_t packed_group_step(DType dtype) { return dtype == DType::u4 ? quad_step : byte_step; }

std::size_t packed_group_header(DType dtype) {
  return static_cast<std::size_t>(packed_panel_rows) * (dtype == DType::u4 ? 4 : 2);
}

std::size_t packed_group_bytes(DType dtype, std::int64_t width) {
  const auto integers =
      static_cast<std::size_t>(round_up(width, packed_group_step(dtype)) * packed_panel_rows);
  return packed_group_header(dtype) + (dtype == DType::i8 ? integers : integers / 2);
}

std::size_t packed_shard_bytes(const WeightFormat& format, std::int64_t width) {
  switch (format.dtype) {
    case DType::f32:
    case DType::f16:
      return static_cast<std::size_t>(width * packed_panel_rows) * size_of(format.dtype);
    case DType::bf16:
      return static_cast<std::size_t>(round_up(width, bf16_step) * packed_panel_rows) * 2;
    case DType::i8:
    case DType::i4:
    case DType::u4:
      break;
    default:
      TRIREME_ASSERT(false);
  }
  const std::int64_t rest = width % format.group;
  return static_cast<std::size_t>(width / format.group) *
             packed_group_bytes(format.dtype, format.group) +
         (rest == 0 ? 0 : packed_group_bytes(format.dtype, rest));
}

}  // namespace trireme
