// Matrix products of floats: which kernel, with which tiles, and what it needs in scratch memory.
// None of these choices shows in the bits.
#include "kernels/cuda/linear.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "core/error.h"
#include "kernels/cuda/linear_product.h"

namespace trireme::cuda {

namespace {

constexpr std::int64_t padding = 64;  // of shards and of rows of W
/// Sums of single shards beyond this are not kept apart for the sake of more tiles.
constexpr std::int64_t most_partial_bytes = std::int64_t{64} << 20;
/// Multiprocessors beyond these would find no room to park their sums.
constexpr std::int64_t most_processors = 192;

enum class Kernel : std::uint8_t { plain, few_rows, tensor };

/// One way to compute a product.
struct Plan {
  Kernel kernel = Kernel::plain;
  int tile = 0;
  TileSize size;
  bool apart = false;  ///< each shard's sum goes to scratch memory, sum_partials adds them up
  float cost = std::numeric_limits<float>::max();
};

std::int64_t shard_count(const MatrixShape& shape) {
  return static_cast<std::int64_t>(shape.k_shards.size());
}

std::int64_t partial_bytes(const MatrixShape& shape, std::int64_t rows) {
  return shard_count(shape) * rows * shape.n * static_cast<std::int64_t>(sizeof(float));
}

std::int64_t padded_k(const MatrixShape& shape) {
  std::int64_t sum = 0;
  for (const std::int64_t width : shape.k_shards) sum += round_up(width, padding);
  return sum;
}

std::int64_t tiles_of(const TileSize& size, std::int64_t n, std::int64_t m) {
  return ceil_div(n, size.features) * ceil_div(m, size.tokens);
}

/// Blocks that are at work at the same time.
std::int64_t blocks_of(const DeviceTraits& traits, const TileSize& size, std::int64_t tiles) {
  constexpr std::size_t reserved = 1024;  // by the system, for each block
  const std::size_t fit = (traits.shared_bytes_per_block + reserved) /
                          (static_cast<std::size_t>(size.shared_bytes) + reserved);
  const auto resident = std::min(static_cast<std::int64_t>(fit), std::int64_t{size.resident});
  const std::int64_t processors = std::min<std::int64_t>(traits.multiprocessors, most_processors);
  return std::min(tiles, processors * std::max<std::int64_t>(resident, 1));
}

/// Levels of sums that wait while `shards` meet.
std::int64_t levels_of(std::int64_t shards) {
  return shards < 2 ? 0 : std::bit_width(static_cast<std::uint64_t>(shards - 1));
}

std::int64_t parking_bytes(const TileSize& size, std::int64_t blocks, std::int64_t levels) {
  return blocks * levels * size.features * size.tokens * static_cast<std::int64_t>(sizeof(float));
}

std::int64_t input_bytes(const MatrixShape& shape, std::int64_t rows, bool rounded) {
  const std::size_t element = rounded ? sizeof(std::uint16_t) : sizeof(float);
  return round_up(rows * padded_k(shape) * static_cast<std::int64_t>(element), 256);
}

std::int64_t most_summed(std::span<const ShardSum> outputs) {
  std::int64_t most = 0;
  for (const ShardSum& output : outputs) most = std::max(most, output.shards.size());
  return most;
}

bool one_shard_each(std::span<const ShardSum> outputs) {
  return std::all_of(outputs.begin(), outputs.end(),
                     [](const ShardSum& output) { return output.shards.size() == 1; });
}

bool uses_tensor_cores(const DeviceTraits& traits, DType dtype) {
  return traits.tensor_cores() && dtype != DType::f32;
}

/// The cheapest tile: by how many a multiprocessor gets one after another. Apart, each shard is a
/// product of its own over its part of K; that must pay for the second pass.
Plan tile_plan(const DeviceTraits& traits, const LinearArgs& args) {
  const MatrixShape& shape = *args.shape;
  const bool tensor = uses_tensor_cores(traits, shape.dtype);
  const bool few = args.m <= few_rows;
  const std::int64_t shards = shard_count(shape);
  const bool may_be_apart = !one_shard_each(args.outputs) && shards > 1 &&
                            (few || partial_bytes(shape, args.m) <= most_partial_bytes);
  Plan best;
  for (int tile = 0; tile < (tensor ? tensor_tile_sizes : plain_tile_sizes); ++tile) {
    const TileSize size = tensor ? tensor_tile_size(tile) : plain_tile_size(shape.dtype, tile);
    if (static_cast<std::size_t>(size.shared_bytes) > traits.shared_bytes_per_block) continue;
    const std::int64_t tiles = tiles_of(size, shape.n, args.m);
    const float tile_cost = static_cast<float>(size.features * size.tokens) * size.cost;
    const auto rounds = [&](std::int64_t all) {
      return static_cast<float>(ceil_div(all, traits.multiprocessors)) * tile_cost;
    };
    const auto outputs = static_cast<std::int64_t>(args.outputs.size());
    const Kernel kernel = tensor ? Kernel::tensor : Kernel::plain;
    constexpr float second_pass = 1.4f;
    const Plan together{kernel, tile, size, false, rounds(tiles * outputs)};
    const Plan apart{kernel, tile, size, true,
                     rounds(tiles * shards) / static_cast<float>(shards) * second_pass};
    if (!(may_be_apart && few) && together.cost < best.cost) best = together;
    if (may_be_apart && apart.cost < best.cost) best = apart;
  }
  TRIREME_ASSERT(best.size.features > 0);
  return best;
}

Plan plan_of(const DeviceTraits& traits, const LinearArgs& args) {
  if (uses_tensor_cores(traits, args.shape->dtype) && args.m <= few_rows) {
    return {Kernel::few_rows, 0, {}, !one_shard_each(args.outputs), 0.0f};
  }
  return tile_plan(traits, args);
}

/// Whether the plain kernels can read x as it is.
bool x_lies_as_padded(const LinearArgs& args) {
  const auto begin = reinterpret_cast<std::uintptr_t>(args.x);
  return args.shape->dtype != DType::bf16 && begin % 16 == 0 && args.ldx % 4 == 0 &&
         padded_k(*args.shape) == args.shape->k();
}

ShardTable shard_table(const MatrixShape& shape) {
  TRIREME_ASSERT(shard_count(shape) <= most_shards);
  ShardTable table;
  for (const std::int64_t width : shape.k_shards) {
    const std::int32_t index = table.count++;
    table.x_begin[index + 1] = static_cast<std::int32_t>(table.x_begin[index] + width);
    table.w_begin[index + 1] =
        static_cast<std::int32_t>(table.w_begin[index] + round_up(width, padding));
  }
  return table;
}

Product product_of(const LinearArgs& args) {
  Product product;
  product.w = args.w;
  product.w_pitch = padded_k(*args.shape);
  product.padded_n = static_cast<std::int32_t>(round_up(args.shape->n, padding));
  product.n = static_cast<std::int32_t>(args.shape->n);
  product.x = args.x;
  product.x_pitch = args.ldx;
  product.m = static_cast<std::int32_t>(args.m);
  product.shards = shard_table(*args.shape);
  return product;
}

void set_outputs(Product& product, const LinearArgs& args) {
  TRIREME_ASSERT(args.outputs.size() <= most_shards);
  for (const ShardSum& output : args.outputs) {
    product.outputs[product.output_count++] = {static_cast<std::int32_t>(output.shards.begin),
                                               static_cast<std::int32_t>(output.shards.end),
                                               output.y};
  }
  product.bias = args.bias;
  product.ldy = args.ldy;
}

/// Every shard an output of its own: [shards][m][n].
void set_outputs_apart(Product& product, float* partials) {
  for (std::int32_t shard = 0; shard < product.shards.count; ++shard) {
    product.outputs[product.output_count++] = {shard, shard + 1, partials};
    partials += std::int64_t{product.m} * product.n;
  }
  product.ldy = product.n;
}

/// Cuts the outputs into tiles. Returns the number of blocks to launch.
std::int64_t set_tiles(Product& product, const DeviceTraits& traits, const LinearArgs& args,
                       const Plan& plan) {
  const std::int64_t outputs =
      plan.apart ? shard_count(*args.shape) : static_cast<std::int64_t>(args.outputs.size());
  const std::int64_t tiles = tiles_of(plan.size, product.n, product.m) * outputs;
  TRIREME_ASSERT(tiles <= std::numeric_limits<std::int32_t>::max() / 2);
  product.feature_tiles = static_cast<std::int32_t>(ceil_div(product.n, plan.size.features));
  product.token_tiles = static_cast<std::int32_t>(ceil_div(product.m, plan.size.tokens));
  product.tiles = static_cast<std::int32_t>(tiles);
  if (!plan.apart) {
    product.parking_levels = static_cast<std::int32_t>(levels_of(most_summed(args.outputs)));
  }
  return blocks_of(traits, plan.size, tiles);
}

/// Scratch memory of one call, one part behind another.
struct Parts {
  std::int64_t partials = 0;
  std::int64_t input = 0;
  std::int64_t parking = 0;

  Parts(const LinearArgs& args, const Plan& plan, const Product& product, std::int64_t blocks) {
    if (plan.apart) partials = round_up(partial_bytes(*args.shape, args.m), 256);
    if (plan.kernel == Kernel::few_rows) return;
    const bool rounded = plan.kernel == Kernel::tensor;
    if (rounded || !x_lies_as_padded(args)) input = input_bytes(*args.shape, args.m, rounded);
    parking = parking_bytes(plan.size, blocks, product.parking_levels);
  }
  std::size_t bytes() const { return static_cast<std::size_t>(partials + input + parking); }
};

/// Has x rounded and padded into `to`, and the product read that.
void prepare_input(Context& context, DType dtype, Kernel kernel, std::byte* to, Product& product) {
  if (kernel == Kernel::tensor) {
    launch_round_input(context, dtype, product, reinterpret_cast<std::uint16_t*>(to));
  } else {
    launch_pad_input(context, dtype, product, reinterpret_cast<float*>(to));
  }
  product.x = to;
  product.x_pitch = product.w_pitch;
}

void launch_product(Context& context, DType dtype, const Plan& plan, std::int64_t blocks,
                    const Product& product) {
  if (product.output_count == 0) return;
  switch (plan.kernel) {
    case Kernel::few_rows:
      return launch_few_rows(context, dtype, product);
    case Kernel::tensor:
      return launch_tensor_tiles(context, dtype, plan.tile, static_cast<int>(blocks), product);
    case Kernel::plain:
      return launch_plain_tiles(context, dtype, plan.tile, static_cast<int>(blocks), product);
  }
}

/// Runs the kernels of a plan but for sum_partials. Returns the shards' sums, if they are apart.
ShardPartials run(Context& context, const LinearArgs& args, const Plan& plan) {
  const MatrixShape& shape = *args.shape;
  Product product = product_of(args);
  const std::int64_t blocks =
      plan.kernel == Kernel::few_rows ? 0 : set_tiles(product, context.traits, args, plan);
  const Parts parts(args, plan, product, blocks);
  std::byte* const scratch = parts.bytes() > 0 ? context.scratch(parts.bytes()) : nullptr;
  auto* const partials = reinterpret_cast<float*>(scratch);
  if (plan.apart) {
    set_outputs_apart(product, partials);
  } else {
    set_outputs(product, args);
  }
  if (parts.input > 0) {
    prepare_input(context, shape.dtype, plan.kernel, scratch + parts.partials, product);
  }
  if (parts.parking > 0) {
    product.parking = reinterpret_cast<float*>(scratch + parts.partials + parts.input);
  }
  launch_product(context, shape.dtype, plan, blocks, product);
  return {partials, shard_count(shape), args.m, shape.n};
}

}  // namespace

void linear(Context& context, const LinearArgs& args) {
  if (args.m == 0 || args.shape->n == 0) return;
  const Plan plan = plan_of(context.traits, args);
  const ShardPartials partials = run(context, args, plan);
  if (plan.apart) sum_partials(context, partials, args.bias, args.outputs, args.ldy);
}

bool linear_partials(Context& context, const LinearArgs& args, ShardPartials& partials) {
  if (args.m == 0 || args.shape->n == 0 || args.outputs.size() != 1) return false;
  const std::int64_t shards = shard_count(*args.shape);
  if (shards < 2 || args.outputs[0].shards != Range{0, shards}) return false;
  const Plan plan = plan_of(context.traits, args);
  if (!plan.apart) return false;
  partials = run(context, args, plan);
  return true;
}

std::size_t linear_scratch_bytes(const MatrixShape& shape, std::int64_t rows, bool tensor_cores) {
  const bool tensor = tensor_cores && shape.dtype != DType::f32;
  const std::int64_t few = partial_bytes(shape, std::min(rows, few_rows));
  const std::int64_t partials =
      std::max(few, std::min(partial_bytes(shape, rows), most_partial_bytes));
  // Parts of a call in which all shards meet within blocks; any tile, any multiprocessor.
  std::int64_t parking = 0;
  for (int tile = 0; tile < (tensor ? tensor_tile_sizes : plain_tile_sizes); ++tile) {
    const TileSize size = tensor ? tensor_tile_size(tile) : plain_tile_size(shape.dtype, tile);
    const std::int64_t blocks = std::min(tiles_of(size, shape.n, rows) * shard_count(shape),
                                         most_processors * size.resident);
    parking = std::max(parking, parking_bytes(size, blocks, levels_of(shard_count(shape))));
  }
  const std::int64_t input = input_bytes(shape, rows, tensor);
  return static_cast<std::size_t>(input + round_up(std::max(partials, parking), 256));
}

}  // namespace trireme::cuda
