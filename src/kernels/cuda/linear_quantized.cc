#include "kernels/cuda/linear_quantized.h"

#include <algorithm>

#include "core/error.h"
#include "kernels/cuda/quantized_product.h"

namespace trireme::cuda {

namespace {

/// Up to so many rows go through multiply_rows, which reads x again for each strip of features.
constexpr std::int64_t few_rows = 16;
/// So many rows at a time have their shards' sums in memory.
constexpr std::int64_t most_partial_rows = 128;

std::size_t aligned(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

std::size_t partial_bytes(std::int64_t shards, std::int64_t rows, std::int64_t n) {
  return static_cast<std::size_t>(shards * std::min(rows, most_partial_rows) * n) * sizeof(float);
}

/// The shards from the first to the last that some output sums.
Range shards_of(std::span<const ShardSum> outputs) {
  Range all = outputs.front().shards;
  for (const ShardSum& output : outputs) {
    all.begin = std::min(all.begin, output.shards.begin);
    all.end = std::max(all.end, output.shards.end);
  }
  return all;
}

std::int64_t most_shards_of(std::span<const ShardSum> outputs) {
  std::int64_t most = 0;
  for (const ShardSum& output : outputs) most = std::max(most, output.shards.size());
  return most;
}

/// One call: which way it goes, its scratch memory, its product.
class Call {
 public:
  Call(Context& context, const LinearArgs& args) : context_(context), args_(args) {
    TRIREME_ASSERT(args.outputs.size() <= QuantizedProduct::most_outputs);
    product_.layout = PackedLayout(*args.shape);
    product_.w = args.w;
    product_.rows = args.m;
    by_rows_ = !context.traits.tensor_cores() || args.m <= few_rows;
  }

  /// Whether every shard's sums go to memory first: what multiply_rows needs where there is a tree,
  /// and what gives multiply_tiles enough tiles.
  bool shard_by_shard() {
    if (most_shards_of(args_.outputs) < 2) return false;
    if (by_rows_) return true;
    if (args_.m > most_partial_rows || args_.outputs.size() > 1) return false;
    return tiles_are_few(context_, args_.m, args_.shape->n);
  }

  void straight() {
    reserve(by_rows_ ? 0
                     : tile_parking_bytes(args_.shape->n, args_.m,
                                          static_cast<std::int64_t>(args_.outputs.size()),
                                          most_shards_of(args_.outputs)));
    product_.bias = args_.bias;
    product_.ldy = args_.ldy;
    for (const ShardSum& output : args_.outputs) add_output(output.shards, output.y);
    multiply();
  }

  /// The sums of single shards of up to 128 rows at a time; `use` is called with those of the rows
  /// from `begin` on.
  template <typename Use>
  void by_shards(const Use& use) {
    const Range shards = shards_of(args_.outputs);
    const std::int64_t n = args_.shape->n;
    reserve(partial_bytes(shards.size(), args_.m, n));
    product_.ldy = n;
    for (std::int64_t begin = 0; begin < args_.m; begin += most_partial_rows) {
      product_.x_row = begin;
      product_.rows = std::min(most_partial_rows, args_.m - begin);
      product_.output_count = 0;
      auto* sums = reinterpret_cast<float*>(rest_);
      for (std::int64_t shard = shards.begin; shard < shards.end; ++shard) {
        add_output({shard, shard + 1}, sums + (shard - shards.begin) * product_.rows * n);
      }
      multiply();
      use(ShardPartials{sums, shards.size(), product_.rows, n}, shards.begin, begin);
    }
  }

 private:
  /// x rounded, and `bytes` behind it.
  void reserve(std::size_t bytes) {
    const std::size_t input = aligned(rounded_input_bytes(product_.layout, args_.m));
    std::byte* memory = context_.scratch(input + bytes);
    rest_ = memory + input;
    product_.x = round_input(context_, product_.layout, args_.x, args_.m, args_.ldx, memory);
  }
  void add_output(Range shards, float* y) {
    product_.outputs[product_.output_count++] = {static_cast<std::int32_t>(shards.begin),
                                                 static_cast<std::int32_t>(shards.end), y};
  }
  void multiply() {
    if (by_rows_) return multiply_rows(context_, product_);
    multiply_tiles(context_, product_, rest_);
  }

  Context& context_;
  const LinearArgs& args_;
  QuantizedProduct product_;
  std::byte* rest_ = nullptr;
  bool by_rows_ = false;
};

/// The sums of the rows from `begin` on become y.
void add_up(Context& context, const LinearArgs& args, const ShardPartials& partials,
            std::int64_t first_shard, std::int64_t begin) {
  ShardSum outputs[QuantizedProduct::most_outputs];
  std::size_t count = 0;
  for (const ShardSum& output : args.outputs) {
    outputs[count++] = {{output.shards.begin - first_shard, output.shards.end - first_shard},
                        output.y + begin * args.ldy};
  }
  sum_partials(context, partials, args.bias, {outputs, count}, args.ldy);
}

}  // namespace

void linear_quantized(Context& context, const LinearArgs& args) {
  if (args.m == 0 || args.shape->n == 0) return;
  Call call(context, args);
  if (!call.shard_by_shard()) return call.straight();
  call.by_shards([&](const ShardPartials& partials, std::int64_t shard, std::int64_t begin) {
    add_up(context, args, partials, shard, begin);
  });
}

bool linear_quantized_partials(Context& context, const LinearArgs& args, ShardPartials& partials) {
  if (args.m == 0 || args.m > most_partial_rows || args.shape->n == 0) return false;
  if (args.outputs.size() != 1) return false;
  Call call(context, args);
  if (!call.shard_by_shard()) return false;
  call.by_shards([&](const ShardPartials& sums, std::int64_t, std::int64_t) { partials = sums; });
  return true;
}

std::size_t linear_quantized_scratch_bytes(const MatrixShape& shape, std::int64_t rows) {
  const PackedLayout layout(shape);
  const std::int64_t shards = layout.shards;
  const std::size_t partials = shards > 1 ? partial_bytes(shards, rows, shape.n) : 0;
  const std::size_t parking =
      rows > few_rows ? tile_parking_bytes(shape.n, rows, shards, shards) : 0;
  return aligned(rounded_input_bytes(layout, rows)) + std::max(partials, parking);
}

}  // namespace trireme::cuda
