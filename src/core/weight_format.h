// How the weight matrices of a model are kept in memory: as the numbers they are, or rounded to
// eight or four bits with a scale for each group of inputs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/dtype.h"

namespace trireme {

/// Rounding of weights when they are loaded. Embedding and head keep eight bits under int4: they
/// are few of a large model's weights and the most sensitive ones.
enum class Quantization : std::uint8_t { none, int8, int4 };

/// "none", "int8", "int4": the spelling of --quantization.
std::string_view name_of(Quantization quantization);
std::optional<Quantization> quantization_from_name(std::string_view name);

/// The dtype of a matrix's elements; for i8 and i4 also how many k share a scale.
struct WeightFormat {
  DType dtype = DType::f32;
  std::int64_t group = 0;
};

/// The format of a model's matrices, or of its tables (embedding and head).
WeightFormat weight_format(DType dtype, Quantization quantization, bool table);

/// Bytes per weight, scales included, of a matrix without padding.
double bytes_per_weight(const WeightFormat& format);

/// Rows of a matrix are packed in panels of this many.
inline constexpr std::int64_t packed_panel_rows = 32;

/// Bytes that one group of `width` k of i8 or i4 takes in a panel, scales included.
std::size_t packed_group_bytes(DType dtype, std::int64_t width);

/// Bytes that a virtual shard of `width` k takes in a panel (kernels/packed.h has the layout).
std::size_t packed_shard_bytes(const WeightFormat& format, std::int64_t width);

}  // namespace trireme
