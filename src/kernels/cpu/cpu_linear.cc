// Cuts a matrix product into tasks: a few panels of columns times a block of rows.
#include <algorithm>
#include <vector>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/scratch.h"
#include "kernels/host/parts.h"
#include "kernels/packed.h"

namespace trireme {

namespace {

/// Rows whose inputs (256 k deep) and sums stay in L2 while a panel's chunks pass.
constexpr std::int64_t block_rows = 240;
/// Panels that share one pass over the inputs.
constexpr std::int64_t most_panels = 4;
/// A task reads at least so much, so that handing it out costs nothing.
constexpr std::int64_t task_bytes = 256 << 10;
/// How the panels and row tiles of one call are grouped.
struct Cut {
  std::int64_t tile_rows;
  std::int64_t tiles;
  std::int64_t panels;
  std::int64_t group;   ///< panels of a task
  std::int64_t blocks;  ///< of rows

  std::int64_t tasks() const { return ceil_div(panels, group) * blocks; }
  cpu::LinearTask task(std::int64_t index) const {
    const Range rows = even_part(tiles, blocks, index % blocks);
    const std::int64_t begin = index / blocks * group;
    return {begin, std::min(panels, begin + group), rows.begin, rows.end};
  }
  std::int64_t most_rows() const { return ceil_div(tiles, blocks) * tile_rows; }
};

Cut cut(const LinearArgs& args, std::int64_t most_tile_rows, std::int64_t threads) {
  Cut cut{};
  cut.tiles = ceil_div(args.m, most_tile_rows);
  cut.tile_rows = ceil_div(args.m, cut.tiles);
  cut.tiles = ceil_div(args.m, cut.tile_rows);
  cut.panels = packed::panel_count(*args.shape);
  cut.blocks = ceil_div(cut.tiles * cut.tile_rows, block_rows);
  while (cut.blocks < cut.tiles && cut.panels * cut.blocks < 4 * threads) ++cut.blocks;
  const auto panel_bytes = static_cast<std::int64_t>(packed::panel_bytes(*args.shape));
  const std::int64_t wanted =
      cut.tiles > 1 ? most_panels : task_bytes / std::max<std::int64_t>(1, panel_bytes);
  const std::int64_t share = cut.panels * cut.blocks / (4 * threads);
  cut.group = std::clamp<std::int64_t>(std::min(wanted, share), 1, cut.panels);
  return cut;
}

std::int64_t input_units(const cpu::KernelTable& kernels, const MatrixShape& shape) {
  std::int64_t units = 0;
  for (const std::int64_t width : shape.k_shards) {
    units += kernels.input_units(shape.dtype, shape.group, width);
  }
  return units;
}

/// x as LinearJob wants it; x itself where that is the same.
const float* packed_input(ThreadPool& threads, const cpu::KernelTable& kernels,
                          const LinearArgs& args, const Cut& cut, std::int64_t units) {
  const MatrixShape& shape = *args.shape;
  if (args.m == 1 && (shape.dtype == DType::f32 || shape.dtype == DType::f16)) return args.x;
  float* packed = cpu::scratch(cpu::Scratch::call, args.m * units);
  const auto pack_tile = [&](std::int64_t tile) {
    const std::int64_t row = tile * cut.tile_rows;
    kernels.pack_rows(
        {args.x + row * args.ldx, args.ldx, std::min(cut.tile_rows, args.m - row), shape.dtype,
         shape.group, shape.k_shards.data(), static_cast<std::int64_t>(shape.k_shards.size())},
        packed + row * units);
  };
  for_parts(threads, cut.tiles, args.m * units, few_elements, pack_tile);
  return packed;
}

std::int64_t most_shards(const LinearArgs& args) {
  std::int64_t most = 0;
  for (const ShardSum& output : args.outputs) most = std::max(most, output.shards.size());
  return most;
}

}  // namespace

void CpuBackend::linear(ThreadPool& threads, const LinearArgs& args) const {
  const MatrixShape& shape = *args.shape;
  if (args.m == 0 || shape.n == 0) return;
  const Cut cut = trireme::cut(args, kernels_.tile_rows, threads.size());
  std::vector<cpu::LinearOutput> outputs;
  for (const ShardSum& output : args.outputs) {
    outputs.push_back({output.shards.begin, output.shards.end, output.y});
  }
  const std::int64_t units = input_units(kernels_, shape);
  const cpu::LinearJob job{packed_input(threads, kernels_, args, cut, units),
                           args.m,
                           units,
                           cut.tile_rows,
                           args.w,
                           packed::panel_bytes(shape),
                           shape.n,
                           shape.dtype,
                           shape.group,
                           shape.k_shards.data(),
                           static_cast<std::int64_t>(shape.k_shards.size()),
                           outputs.data(),
                           static_cast<std::int64_t>(outputs.size()),
                           args.bias,
                           args.ldy};
  const std::int64_t floats =
      kernels_.linear_scratch(cut.group, cut.most_rows(), most_shards(args));
  const auto run = [&](std::int64_t index) {
    kernels_.linear(job, cut.task(index), cpu::scratch(cpu::Scratch::task, floats));
  };
  for_parts(threads, cut.tasks(), args.m * shape.n * shape.k(), few_products, run);
}

}  // namespace trireme
