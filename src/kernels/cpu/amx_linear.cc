// A product cut into work items for the AMX kernels: chunks of K, tasks in the order of the
// shard tree, row blocks by groups of panels.
#include "kernels/cpu/amx_linear.h"

#include <algorithm>
#include <bit>

#include "core/error.h"
#include "kernels/packed.h"
#include "kernels/quantize.h"

namespace trireme::amx {

namespace {

static_assert(packed::panel_rows == panel_columns && packed::bf16_k_step == step_depth);
static_assert(quant::widest_group == widest_group);

Weights weights_of(DType dtype) {
  switch (dtype) {
    case DType::i8:
      return Weights::i8;
    case DType::i4:
      return Weights::i4;
    case DType::u4:
      return Weights::u4;
    default:
      TRIREME_ASSERT(dtype == DType::bf16);
      return Weights::bf16;
  }
}

/// How one chunk after another is cut off a shard: columns that a chunk has at most, and their
/// steps.
class ChunkWidth {
 public:
  ChunkWidth(const MatrixShape& shape, std::int64_t chunk_steps)
      : format_(shape.format()),
        group_(shape.group),
        columns_(group_ == 0 ? chunk_steps * step_depth
                             : std::max<std::int64_t>(1, chunk_steps / steps(group_)) * group_) {}

  std::int64_t columns() const { return columns_; }

  /// Of a chunk, or of a whole shard.
  std::int64_t steps(std::int64_t columns) const {
    if (group_ == 0) return ceil_div(columns, step_depth);
    return columns / group_ * ceil_div(group_, byte_step_depth) +
           ceil_div(columns % group_, byte_step_depth);
  }
  std::int64_t groups(std::int64_t columns) const {
    return group_ == 0 ? 0 : ceil_div(columns, group_);
  }
  std::int64_t bytes(std::int64_t columns) const {
    return static_cast<std::int64_t>(packed_shard_bytes(format_, columns));
  }

 private:
  WeightFormat format_;
  std::int64_t group_;
  std::int64_t columns_;
};

/// Cuts the shards into chunks of at most `chunk_steps` steps, of integers into whole groups; an
/// empty shard is one empty chunk. `begins` gets each shard's first chunk, and their number.
/// Returns what follows the last chunk.
KChunk cut_shards(const MatrixShape& shape, const ChunkWidth& width, std::vector<KChunk>& chunks,
                  std::vector<std::int64_t>& begins) {
  KChunk chunk;
  chunks.clear();
  begins.clear();
  for (const std::int64_t columns : shape.k_shards) {
    TRIREME_ASSERT(columns >= 0);
    begins.push_back(std::ssize(chunks));
    for (std::int64_t begin = 0; begin == 0 || begin < columns; begin += width.columns()) {
      chunk.columns = std::min(width.columns(), columns - begin);
      chunk.steps = width.steps(chunk.columns);
      chunk.bytes = width.bytes(chunk.columns);
      chunks.push_back(chunk);
      chunk.step += chunk.steps;
      chunk.column += chunk.columns;
      chunk.weights += chunk.bytes;
      chunk.group += width.groups(chunk.columns);
    }
  }
  begins.push_back(std::ssize(chunks));
  return chunk;
}

/// Lists the chunks of one output's shards with what to do after each. `chunks` and `begins` are
/// those of all shards.
void list_tasks(Range shards, int output, const std::vector<KChunk>& chunks,
                const std::vector<std::int64_t>& begins, std::vector<Task>& tasks) {
  TRIREME_ASSERT(shards.begin >= 0 && shards.end < std::ssize(begins));
  if (shards.empty()) {
    tasks.push_back({KChunk{}, 0, 0, output, true});
    return;
  }
  for (std::int64_t shard = shards.begin; shard < shards.end; ++shard) {
    const auto leaf = static_cast<std::uint64_t>(shard - shards.begin);
    const int slot = std::popcount(leaf);
    const bool last_leaf = shard + 1 == shards.end;
    const std::int64_t begin = begins[static_cast<std::size_t>(shard)];
    const std::int64_t end = begins[static_cast<std::size_t>(shard) + 1];
    for (std::int64_t i = begin; i < end; ++i) {
      Task task{chunks[static_cast<std::size_t>(i)], slot, 0, -1, i == begin};
      if (i + 1 == end) {
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

/// Rounds x in the order in which the tiles read it.
void pack_rows(const Routines& kernel, ThreadPool& threads, const Product& product,
               const std::vector<KChunk>& chunks) {
  const std::int64_t count = std::ssize(chunks);
  const auto pack = [&](std::int64_t index) {
    kernel.pack(product, index / count, chunks[static_cast<std::size_t>(index % count)]);
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
/// one another, because they share its activations. Each thread has `part_bytes` of `memory`, the
/// last `room` of them for integers.
void compute_parts(const Routines& kernel, ThreadPool& threads, const Product& product,
                   std::byte* memory, std::int64_t part_bytes, std::int64_t room) {
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
    part.partials = reinterpret_cast<float*>(memory + thread * part_bytes);
    part.room = memory + (thread + 1) * part_bytes - room;
    kernel.compute(product, part);
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

Blocking choose_integer_blocking(std::int64_t m, std::int64_t panels, std::int64_t steps,
                                 int threads) {
  Blocking blocking = choose_blocking(m, panels, steps, threads);
  // Tiles in pairs and of equal height: a product takes as long as its tile has rows.
  const std::int64_t tiles = m <= tile_side ? 1 : 2 * ceil_div(m, 2 * tile_side);
  blocking.tile_rows = ceil_div(std::max<std::int64_t>(1, m), tiles);
  blocking.block_tiles = std::min(tiles, blocking.block_tiles);
  if (blocking.grid == Grid::four_by_one) blocking.grid = Grid::two_by_two;
  // 16 kB of weights as bytes, also where few rows stream them: they are taken apart in L1.
  blocking.chunk_steps = 8;
  return blocking;
}

bool takes_integers(const MatrixShape& shape, std::int64_t m) {
  return quant::is_quantized(shape.dtype) && m >= fewest_integer_rows &&
         shape.group >= narrowest_integer_group;
}

Blocking blocking_for(const LinearArgs& args, int threads) {
  const MatrixShape& shape = *args.shape;
  const std::int64_t panels = packed::panel_count(shape);
  const ChunkWidth width(shape, 1);
  std::int64_t steps = 0;
  for (const std::int64_t columns : shape.k_shards) steps += width.steps(columns);
  return quant::is_quantized(shape.dtype) ? choose_integer_blocking(args.m, panels, steps, threads)
                                          : choose_blocking(args.m, panels, steps, threads);
}

namespace {

/// The product but for its memory.
Product product_of(const LinearArgs& args, const Blocking& blocking, Workspace& workspace) {
  const MatrixShape& shape = *args.shape;
  const KChunk end = cut_shards(shape, ChunkWidth(shape, blocking.chunk_steps), workspace.chunks,
                                workspace.shard_begins);
  workspace.tasks.clear();
  workspace.outputs.clear();
  for (const ShardSum& output : args.outputs) {
    list_tasks(output.shards, static_cast<int>(workspace.outputs.size()), workspace.chunks,
               workspace.shard_begins, workspace.tasks);
    workspace.outputs.push_back(output.y);
  }

  Product product;
  product.x = args.x;
  product.m = args.m;
  product.n = shape.n;
  product.ldx = args.ldx;
  product.w = args.w;
  product.weights = weights_of(shape.dtype);
  product.group = shape.group;
  product.panel_bytes = static_cast<std::int64_t>(packed::panel_bytes(shape));
  product.bias = args.bias;
  product.outputs = workspace.outputs.data();
  product.ldy = args.ldy;
  product.tiles = ceil_div(args.m, blocking.tile_rows);
  product.steps = end.step;
  product.groups = end.group;
  product.blocking = blocking;
  product.chunks = workspace.chunks.data();
  product.tasks = workspace.tasks.data();
  product.task_count = std::ssize(workspace.tasks);
  for (const KChunk& chunk : workspace.chunks) {
    product.chunk_steps = std::max(product.chunk_steps, chunk.steps);
  }
  return product;
}

/// Bytes of the partial sums of one thread.
std::int64_t partial_bytes(const Product& product, const std::vector<Task>& tasks) {
  const Blocking& blocking = product.blocking;
  return slot_count(tasks) * std::min(blocking.item_panels, ceil_div(product.n, panel_columns)) *
         std::min(blocking.block_tiles, product.tiles) * 2 * tile_floats *
         static_cast<std::int64_t>(sizeof(float));
}

}  // namespace

void linear(const Kernels& kernels, ThreadPool& threads, const LinearArgs& args,
            const Blocking& blocking, Workspace& workspace) {
  TRIREME_ASSERT(args.bias == nullptr || args.outputs.size() == 1);
  TRIREME_ASSERT(blocking.tile_rows == tile_side || args.m <= blocking.tile_rows ||
                 quant::is_quantized(args.shape->dtype));
  if (args.m == 0 || args.shape->n == 0) return;
  Product product = product_of(args, blocking, workspace);

  // Packed activations, their scales and starts, then what each thread has.
  constexpr std::int64_t page = 4096;
  const bool integers = product.weights != Weights::bf16;
  const std::int64_t a_bytes = round_up(product.tiles * product.steps * product.tile_bytes(), page);
  const std::int64_t scale_floats = integers ? product.groups * product.m : 0;
  const std::int64_t shared =
      a_bytes + round_up(2 * scale_floats * static_cast<std::int64_t>(sizeof(float)), page);
  const std::int64_t room =
      integers ? round_up(IntegerRoom::size(product.chunk_steps), row_bytes) : 0;
  const std::int64_t part_bytes = round_up(partial_bytes(product, workspace.tasks) + room, page);
  const auto bytes = static_cast<std::size_t>(shared + part_bytes * threads.size());
  if (workspace.memory.size() < bytes) workspace.memory = Buffer(bytes);
  product.a = workspace.memory.data();
  product.x_scales = reinterpret_cast<float*>(product.a + a_bytes);
  product.x_starts = product.x_scales + scale_floats;

  const Routines& kernel = integers ? kernels.integers : kernels.bf16;
  pack_rows(kernel, threads, product, workspace.chunks);
  compute_parts(kernel, threads, product, product.a + shared, part_bytes, room);
}

}  // namespace trireme::amx
