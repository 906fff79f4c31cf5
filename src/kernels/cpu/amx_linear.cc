// A bf16 product cut into work items for the AMX kernels: chunks of K, tasks in the order of the
// shard tree, row blocks by groups of panels.
#include "kernels/cpu/amx_linear.h"

#include <algorithm>
#include <bit>

#include "core/error.h"
#include "kernels/packed.h"

namespace trireme::amx {

namespace {

static_assert(packed::panel_rows == panel_columns && packed::bf16_k_step == step_depth);

/// Cuts the shards into chunks of at most `chunk_steps` steps; an empty shard is one empty chunk.
/// Returns the number of steps.
std::int64_t cut_shards(const MatrixShape& shape, std::int64_t chunk_steps,
                        std::vector<KChunk>& chunks) {
  std::int64_t step = 0;
  std::int64_t column = 0;
  chunks.clear();
  for (const std::int64_t width : shape.k_shards) {
    TRIREME_ASSERT(width >= 0);
    const std::int64_t steps = ceil_div(width, step_depth);
    for (std::int64_t begin = 0; begin == 0 || begin < steps; begin += chunk_steps) {
      const std::int64_t count = std::min(chunk_steps, steps - begin);
      const std::int64_t offset = begin * step_depth;
      chunks.push_back(
          {step + begin, count, column + offset, std::min(count * step_depth, width - offset)});
    }
    step += steps;
    column += width;
  }
  return step;
}

/// Lists the chunks of one output's shards with what to do after each. `chunks` are those of all
/// shards.
void list_tasks(const MatrixShape& shape, Range shards, std::int64_t chunk_steps, int output,
                const std::vector<KChunk>& chunks, std::vector<Task>& tasks) {
  TRIREME_ASSERT(shards.begin >= 0 && shards.end <= std::ssize(shape.k_shards));
  if (shards.empty()) {
    tasks.push_back({KChunk{}, 0, 0, output, true});
    return;
  }
  const auto chunks_of = [&](std::int64_t shard) {
    const std::int64_t steps =
        ceil_div(shape.k_shards[static_cast<std::size_t>(shard)], step_depth);
    return std::max<std::int64_t>(1, ceil_div(steps, chunk_steps));
  };
  std::int64_t next = 0;
  for (std::int64_t shard = 0; shard < shards.begin; ++shard) next += chunks_of(shard);
  for (std::int64_t shard = shards.begin; shard < shards.end; ++shard) {
    const auto leaf = static_cast<std::uint64_t>(shard - shards.begin);
    const int slot = std::popcount(leaf);
    const bool last_leaf = shard + 1 == shards.end;
    const std::int64_t count = chunks_of(shard);
    for (std::int64_t i = 0; i < count; ++i) {
      Task task{chunks[static_cast<std::size_t>(next++)], slot, 0, -1, i == 0};
      if (i + 1 == count) {
        task.merges = last_leaf ? slot : std::countr_one(leaf);
        task.output = last_leaf ? output : -1;
      }
      tasks.push_back(task);
    }
  }
}

std::int64_t slot_count(const std::vector<Task>& tasks) {
  int slots = 0;
  for (const Task& task : tasks) slots = std::max(slots, task.slot + 1);
  return slots;
}

/// Rounds x to bf16 in the order in which the tiles read it.
void pack_rows(const Kernels& kernels, ThreadPool& threads, const Product& product,
               const std::vector<KChunk>& chunks) {
  const std::int64_t count = std::ssize(chunks);
  const auto pack = [&](std::int64_t index) {
    kernels.pack(product, index / count, chunks[static_cast<std::size_t>(index % count)]);
  };
  // Waking the threads takes longer than packing a few rows.
  constexpr std::int64_t worth_sharing = 16 * 1024;
  if (product.m * product.steps * step_depth >= worth_sharing) {
    threads.parallel_for(product.tiles * count, pack);
  } else {
    for (std::int64_t index = 0; index < product.tiles * count; ++index) pack(index);
  }
}

/// Cuts the result into row blocks by groups of panels and computes them. A block's items follow
/// one another, because they share its activations.
void compute_parts(const Kernels& kernels, ThreadPool& threads, const Product& product,
                   std::byte* partials, std::size_t partial_bytes) {
  const Blocking& blocking = product.blocking;
  const std::int64_t panels = ceil_div(product.n, panel_columns);
  const std::int64_t groups = ceil_div(panels, blocking.item_panels);
  const std::int64_t blocks = ceil_div(product.tiles, blocking.block_tiles);
  threads.parallel_for_with_thread(blocks * groups, [&](std::int64_t index, int thread) {
    Part part;
    part.tile_begin = index / groups * blocking.block_tiles;
    part.tile_end = std::min(product.tiles, part.tile_begin + blocking.block_tiles);
    part.panel_begin = index % groups * blocking.item_panels;
    part.panel_end = std::min(panels, part.panel_begin + blocking.item_panels);
    part.partials =
        reinterpret_cast<float*>(partials + static_cast<std::size_t>(thread) * partial_bytes);
    kernels.compute(product, part);
  });
}

}  // namespace

Blocking choose_blocking(std::int64_t m, std::int64_t panels, std::int64_t steps, int threads) {
  constexpr std::int64_t all_steps = std::int64_t{1} << 40;
  // 16 kB of weights, a third of L1; and a megabyte of activations, half of L2.
  constexpr std::int64_t l1_steps = 8;
  constexpr std::int64_t l2_tile_steps = 1024;
  constexpr std::int64_t l2_tiles = 32;

  Blocking blocking;
  blocking.tile_rows = std::clamp<std::int64_t>(m, 1, tile_side);
  const std::int64_t tiles = std::max<std::int64_t>(1, ceil_div(m, tile_side));
  const std::int64_t blocks = ceil_div(tiles, l2_tiles);
  blocking.block_tiles = std::min(tiles, round_up(ceil_div(tiles, blocks), 2));
  if (m <= 32) {
    blocking.grid = m <= 16 ? Grid::one_by_two : Grid::two_by_two;
    blocking.streamed = true;
    blocking.chunk_steps = all_steps;
    blocking.outer_steps = all_steps;
  } else {
    blocking.grid = m <= 64 ? Grid::four_by_one : Grid::two_by_two;
    blocking.chunk_steps = l1_steps;
    blocking.outer_steps = std::max(l1_steps, l2_tile_steps / blocking.block_tiles);
  }
  // Few enough items that configuring tiles costs nothing (256 kB of weights take 10 us to read),
  // and enough of them that no thread waits long for the last. Eight panels of 512 rows of partial
  // sums take half a megabyte.
  const std::int64_t fair = panels / (std::int64_t{4} * threads);
  const std::int64_t wanted = blocking.streamed ? 128 / std::max<std::int64_t>(1, steps) : 8;
  blocking.item_panels = std::max<std::int64_t>(1, std::min(fair, wanted));
  return blocking;
}

void linear(const Kernels& kernels, ThreadPool& threads, const LinearArgs& args,
            const Blocking& blocking, Workspace& workspace) {
  TRIREME_ASSERT(args.shape->dtype == DType::bf16);
  TRIREME_ASSERT(args.bias == nullptr || args.outputs.size() == 1);
  TRIREME_ASSERT(blocking.tile_rows == tile_side || args.m <= blocking.tile_rows);
  if (args.m == 0 || args.shape->n == 0) return;

  Product product;
  product.x = args.x;
  product.m = args.m;
  product.n = args.shape->n;
  product.ldx = args.ldx;
  product.w = args.w;
  product.panel_bytes = static_cast<std::int64_t>(packed::panel_bytes(*args.shape));
  product.bias = args.bias;
  product.ldy = args.ldy;
  product.tiles = ceil_div(args.m, blocking.tile_rows);
  product.blocking = blocking;

  product.steps = cut_shards(*args.shape, blocking.chunk_steps, workspace.chunks);
  workspace.tasks.clear();
  workspace.outputs.clear();
  for (const ShardSum& output : args.outputs) {
    list_tasks(*args.shape, output.shards, blocking.chunk_steps,
               static_cast<int>(workspace.outputs.size()), workspace.chunks, workspace.tasks);
    workspace.outputs.push_back(output.y);
  }
  product.chunks = workspace.chunks.data();
  product.tasks = workspace.tasks.data();
  product.task_count = std::ssize(workspace.tasks);
  product.outputs = workspace.outputs.data();

  constexpr std::int64_t page = 4096;
  const auto packed_bytes = static_cast<std::size_t>(
      round_up(product.tiles * product.steps * product.tile_bytes(), page));
  const auto partial_bytes = static_cast<std::size_t>(
      round_up(slot_count(workspace.tasks) *
                   std::min(blocking.item_panels, ceil_div(product.n, panel_columns)) *
                   std::min(blocking.block_tiles, product.tiles) * 2 * tile_floats *
                   static_cast<std::int64_t>(sizeof(float)),
               page));
  const std::size_t bytes = packed_bytes + partial_bytes * static_cast<std::size_t>(threads.size());
  if (workspace.memory.size() < bytes) workspace.memory = Buffer(bytes);
  product.a = workspace.memory.data();

  pack_rows(kernels, threads, product, workspace.chunks);
  compute_parts(kernels, threads, product, workspace.memory.data() + packed_bytes, partial_bytes);
}

}  // namespace trireme::amx
