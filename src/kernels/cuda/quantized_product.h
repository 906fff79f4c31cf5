// The parts of linear_quantized: rounding x, and the two kernels that multiply.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/context.h"
#include "kernels/cuda/device_code.h"
#include "kernels/cuda/weights.h"

namespace trireme::cuda {

/// Rows of x come in octets: the columns of a tensor core product.
inline constexpr std::int64_t octet = 8;

/// x as the products see it, in scratch memory. Blocks are those of the weights' strips.
struct RoundedInput {
  std::int8_t* codes = nullptr;  ///< [octets][blocks][8 rows][32 k]; behind a group's k: zeros
  float* scales = nullptr;       ///< [groups][padded_rows]
  std::int32_t* sums = nullptr;  ///< the same, of a group's integers
  std::int64_t padded_rows = 0;  ///< whole octets; rows beyond the last hold anything
};

/// Bytes of its arrays, one after another.
std::size_t rounded_input_bytes(const PackedLayout& layout, std::int64_t rows);

/// Rounds x [m, ldx] to `memory`, of rounded_input_bytes().
RoundedInput round_input(Context& context, const PackedLayout& layout, const float* x,
                         std::int64_t m, std::int64_t ldx, std::byte* memory);

/// One matrix y [rows, ldy], and which shards are summed in it.
struct QuantizedOutput {
  std::int32_t shard_begin = 0;
  std::int32_t shard_end = 0;
  float* y = nullptr;
};

struct QuantizedProduct {
  static constexpr std::int32_t most_outputs = 64;

  PackedLayout layout;
  const std::byte* w = nullptr;
  RoundedInput x;
  std::int64_t x_row = 0;  ///< where it begins in x: a multiple of 8
  std::int64_t rows = 0;
  const float* bias = nullptr;  ///< [n] or null
  std::int64_t ldy = 0;
  std::int32_t output_count = 0;
  QuantizedOutput outputs[most_outputs] = {};
};

/// For few rows, or a GPU whose tensor cores are not used: reads the weights once for each 8 or 16
/// rows. Every output is one shard, or none.
void multiply_rows(Context& context, const QuantizedProduct& product);

/// For more rows: tiles on tensor cores. `parking` has tile_parking_bytes().
void multiply_tiles(Context& context, const QuantizedProduct& product, std::byte* parking);
/// Memory where sums of shards wait to be added up, for so many outputs of up to `most_shards`
/// shards.
std::size_t tile_parking_bytes(std::int64_t n, std::int64_t rows, std::int64_t outputs,
                               std::int64_t most_shards);
/// Whether one output's tiles are too few to keep the whole GPU busy.
bool tiles_are_few(const Context& context, std::int64_t rows, std::int64_t n);

}  // namespace trireme::cuda
