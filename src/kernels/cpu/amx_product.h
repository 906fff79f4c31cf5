// One matrix product as the AMX tile kernels see it: plain data, no library types, because the
// kernels are compiled for another instruction set than the rest of the program and must not bring
// inline functions of shared headers into it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace trireme::amx {

/// k of one TDPBF16PS: 16 pairs. Every step begins at a multiple of this from its shard's begin.
inline constexpr std::int64_t step_depth = 32;
/// k of one product of bytes: 16 quads. Every step begins at a multiple of this from its group's
/// begin.
inline constexpr std::int64_t byte_step_depth = 64;
/// Groups are at most so wide (kernels/quantize.h).
inline constexpr std::int64_t widest_group = 512;
/// Rows of a full tile, and float32 columns of an accumulator tile.
inline constexpr std::int64_t tile_side = 16;
inline constexpr std::int64_t tile_floats = tile_side * tile_side;
/// Bytes of one step of one row of packed activations, and of one row of any tile.
inline constexpr std::int64_t row_bytes = 64;
/// One panel of packed weights (kernels/packed.h) is 32 columns of y: two tiles side by side.
inline constexpr std::int64_t panel_columns = 32;
/// Bytes of one step of a panel, of bf16 as of bytes.
inline constexpr std::int64_t step_bytes = step_depth * panel_columns * 2;
static_assert(step_bytes == byte_step_depth * panel_columns);

/// What the weights are.
enum class Weights : std::uint8_t { bf16, i8, i4, u4 };

/// Consecutive steps of one shard; of integers, of whole groups. The packed activations keep a
/// chunk together.
struct KChunk {
  std::int64_t step = 0;     ///< first step, counted over all the shards
  std::int64_t steps = 0;    ///< steps in it; 0 for an empty shard
  std::int64_t column = 0;   ///< first column of x
  std::int64_t columns = 0;  ///< columns of x in it; the rest of the last step is zero
  std::int64_t weights = 0;  ///< where in a panel its weights begin, in bytes
  std::int64_t bytes = 0;    ///< of its weights
  std::int64_t group = 0;    ///< of integers: the first group, counted over all the shards
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

/// See amx_integer_kernel.h for what is different with integers.
struct Product {
  // y[m, n] = x[m, k] w^T
  const float* x = nullptr;
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t ldx = 0;
  const std::byte* w = nullptr;
  Weights weights = Weights::bf16;
  std::int64_t group = 0;  ///< of integers: k that share a scale
  std::int64_t panel_bytes = 0;
  const float* bias = nullptr;      ///< [n] or null
  float* const* outputs = nullptr;  ///< [Task::output] -> [m, ldy]
  std::int64_t ldy = 0;

  // x, rounded: [row block][chunk][tile of the block][step of the chunk][tile_rows][64 bytes]
  std::byte* a = nullptr;
  std::int64_t tiles = 0;   ///< of tile_rows rows each; rows beyond m are zero
  std::int64_t steps = 0;   ///< of all shards
  std::int64_t groups = 0;  ///< of all shards
  // Of integers: [groups of all shards][m].
  float* x_scales = nullptr;
  float* x_starts = nullptr;  ///< what products start from that take unsigned weights

  Blocking blocking;
  const KChunk* chunks = nullptr;
  const Task* tasks = nullptr;
  std::int64_t task_count = 0;
  std::int64_t chunk_steps = 0;  ///< of the longest chunk

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
  std::byte* room = nullptr;  ///< of integers: this thread's, amx_integer_kernel.h
};

/// What Part::room holds, in bytes: integer sums of 2x2 tiles; scales of weights of two chunks,
/// which have as many groups as steps at most; one chunk of weights as bytes.
struct IntegerRoom {
  static constexpr std::int64_t sums = 2 * tile_side * panel_columns * 4;
  [[gnu::always_inline]] static constexpr std::int64_t bytes_at(std::int64_t chunk_steps) {
    return sums + 2 * chunk_steps * panel_columns * 4;
  }
  [[gnu::always_inline]] static constexpr std::int64_t size(std::int64_t chunk_steps) {
    return bytes_at(chunk_steps) + chunk_steps * step_bytes;
  }
};

/// The two entry points of a kernel.
struct Routines {
  /// Rounds and packs one chunk of one row tile of x.
  void (*pack)(const Product&, std::int64_t tile, const KChunk&) = nullptr;
  /// Computes one work item.
  void (*compute)(const Product&, const Part&) = nullptr;
};

/// A build of the kernels.
struct Kernels {
  Routines bf16;
  Routines integers;
};

/// The real instructions. To be called only where amx_granted() (kernels/cpu/amx_linear.h).
const Kernels& hardware_kernels();

/// The same source over kernels/cpu/amx_emulator.h: slow, and runs everywhere.
const Kernels& emulated_kernels();

}  // namespace trireme::amx
