// One bf16 matrix product as the AMX tile kernels see it: plain data, no library types, because the
// kernels are compiled for another instruction set than the rest of the program and must not bring
// inline functions of shared headers into it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace trireme::amx {

/// k of one TDPBF16PS: 16 pairs. Every step begins at a multiple of this from its shard's begin.
inline constexpr std::int64_t step_depth = 32;
/// Rows of a full tile, and float32 columns of an accumulator tile.
inline constexpr std::int64_t tile_side = 16;
inline constexpr std::int64_t tile_floats = tile_side * tile_side;
/// Bytes of one step of one row of packed activations, and of one row of any tile.
inline constexpr std::int64_t row_bytes = 64;
/// One panel of packed weights (kernels/packed.h) is 32 columns of y: two tiles side by side.
inline constexpr std::int64_t panel_columns = 32;
inline constexpr std::int64_t step_bytes = step_depth * panel_columns * 2;

/// Consecutive steps of one shard. The packed activations keep a chunk together.
struct KChunk {
  std::int64_t step = 0;     ///< first step, counted over all the shards
  std::int64_t steps = 0;    ///< steps in it; 0 for an empty shard
  std::int64_t column = 0;   ///< first column of x
  std::int64_t columns = 0;  ///< columns of x in it; the rest of the last step is zero
};

/// What to do with one chunk: accumulate it into a partial sum (`slot`), and after a shard's last
/// chunk join the partial sums as the tree of shards asks.
///
/// The tree over n leaves whose left half is the largest power of two below n is what a binary
/// counter computes: before leaf i there are popcount(i) finished subtrees, and after it the last
/// countr_one(i) of them are joined with it, right to left.
struct Task {
  KChunk k;
  int slot = 0;       ///< popcount of the shard's index within its output
  int merges = 0;     ///< then, this often: slot - 1 += slot, --slot
  int output = -1;    ///< then slot 0 is this output's sum; -1: not yet
  bool first = true;  ///< the shard's first chunk starts from zero
};

/// Tiles of the result held in registers: rows of tiles by columns of tiles.
enum class Grid : std::uint8_t { one_by_two, two_by_two, four_by_one };

/// How the loops are cut. It decides the speed and nothing else: no bit of a result depends on it.
struct Blocking {
  Grid grid = Grid::two_by_two;
  std::int64_t tile_rows = tile_side;  ///< rows of x per tile
  std::int64_t block_tiles = 1;        ///< row tiles that stay in L2 while panels pass by
  std::int64_t chunk_steps = 1;        ///< steps between two reloads of the accumulators
  std::int64_t outer_steps = 1;  ///< steps that all panels of an item take before the next ones
  std::int64_t item_panels = 1;  ///< panels of one thread's work item
  bool streamed = false;         ///< weights come from memory once: prefetch close ahead
};

struct Product {
  // y[m, n] = x[m, k] w^T
  const float* x = nullptr;
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t ldx = 0;
  const std::byte* w = nullptr;
  std::int64_t panel_bytes = 0;
  const float* bias = nullptr;      ///< [n] or null
  float* const* outputs = nullptr;  ///< [Task::output] -> [m, ldy]
  std::int64_t ldy = 0;

  // x rounded to bf16: [row block][chunk][tile of the block][step of the chunk][tile_rows][32]
  std::byte* a = nullptr;
  std::int64_t tiles = 0;  ///< of tile_rows rows each; rows beyond m are zero
  std::int64_t steps = 0;  ///< of all shards

  Blocking blocking;
  const KChunk* chunks = nullptr;
  const Task* tasks = nullptr;
  std::int64_t task_count = 0;

  // Inlined even in a debug build: the kernels must not share code with the rest (amx_kernel.h).
  [[gnu::always_inline]] std::int64_t tile_bytes() const { return blocking.tile_rows * row_bytes; }
};

/// A work item: these row tiles (a whole row block) by these panels.
struct Part {
  std::int64_t tile_begin = 0;
  std::int64_t tile_end = 0;
  std::int64_t panel_begin = 0;
  std::int64_t panel_end = 0;
  float* partials = nullptr;  ///< [slots][panels][tiles][2] accumulator tiles
};

/// The two entry points of a build of the kernels.
struct Kernels {
  /// Rounds and packs one chunk of one row tile of x.
  void (*pack)(const Product&, std::int64_t tile, const KChunk&) = nullptr;
  /// Computes one work item.
  void (*compute)(const Product&, const Part&) = nullptr;
};

/// The real instructions. To be called only where amx_granted() (kernels/cpu/amx_linear.h).
const Kernels& hardware_kernels();

/// The same source over kernels/cpu/amx_emulator.h: slow, and runs everywhere.
const Kernels& emulated_kernels();

}  // namespace trireme::amx
