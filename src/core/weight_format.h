// How the weight matrices of a model are kept in memory: as the numbers they are, rounded to eight
// or four bits with a scale for each group of inputs, or in the four bits that a checkpoint has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/dtype.h"

namespace trireme {

/// Rounding of weights when they are loaded. Embedding and head keep eight bits under int4: they
/// are few of a large model's weights and the most sensitive ones. `stored`: nothing is rounded,
/// matrices that the checkpoint holds in four bits stay so (ParameterSpec::code_group).
enum class Quantization : std::uint8_t { none, int8, int4, stored };

/// "none", "int8", "int4": the spelling of --quantization. "stored int4": what it comes to.
std::string_view name_of(Quantization quantization);
/// Of one that can be asked for.
std::optional<Quantization> quantization_from_name(std::string_view name);

/// The dtype of a matrix's elements; for i8, i4 and u4 also how many k share a scale.
struct WeightFormat {
  DType dtype = DType::f32;
  std::int64_t group = 0;

  bool operator==(const WeightFormat&) const = default;
};

/// The format of a model's matrices, or of its tables (embedding and head), but for those that
/// are kept as they are stored.
WeightFormat weight_format(DType dtype, Quantization quantization, bool table);

/// Bytes per weight, scales included, of a matrix without padding.
double bytes_per_weight(const WeightFormat& format);

/// Rows of a matrix are packed in panels of this many.
inline constexpr std::int64_t packed_panel_rows = 32;

/// k of a group fill a multiple of so many: of i8 and i4 the depth of an AMX tile.
std::int64_t packed_group_step(DType dtype);

/// Bytes in front of the integers of a group in a panel: scales, of u4 zeros, too.
std::size_t packed_group_header(DType dtype);

/// Bytes that one group of `width` k of i8, i4 or u4 takes in a panel, scales included.
std::size_t packed_group_bytes(DType dtype, std::int64_t width);

/// Bytes that a virtual shard of `width` k takes in a panel (kernels/packed.h has the layout).
std::size_t packed_shard_bytes(const WeightFormat& format, std::int64_t width);

}  // namespace trireme
