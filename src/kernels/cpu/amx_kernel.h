// The AMX matrix kernels: packing of activations, tile loops, the tree of shards, and the result's
// way out. `Tiles` is HardwareTiles (amx_hardware.cc) or EmulatedTiles: the source is the same.
//
// What fixes the bits: a shard is accumulated in one tile, in steps of 32 k from the shard's begin
// (accumulators that are stored and reloaded between chunks lose nothing); finished shards are
// added in float32 in the order of the binary tree; the bias comes last. Rows of a tile do not
// meet. So neither the number of rows nor any member of Blocking can show.
//
// This header is compiled with AVX-512 in amx_hardware.cc and without in amx_emulated.cc. All of
// it are members of a template over Tiles, and it uses no inline function of another header, so
// that the linker cannot take one build's code for the other's.
#pragma once

#include <cstring>

#include "kernels/cpu/amx_product.h"
#include "kernels/cpu/amx_tiles.h"

namespace trireme::amx {

template <class Tiles>
class Kernel {
 public:
  static constexpr Kernels entry_points() { return {&Kernel::pack, &Kernel::compute}; }

 private:
  // Phase 1: activations.

  static void pack(const Product& p, std::int64_t tile, const KChunk& chunk) {
    const std::int64_t rows = p.blocking.tile_rows;
    std::byte* out = packed_tile(p, tile, chunk);
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t source = tile * rows + row;
      if (source < p.m) {
        pack_row(p.x + source * p.ldx + chunk.column, chunk.columns, out + row * row_bytes,
                 p.tile_bytes());
      } else {
        for (std::int64_t j = 0; j < chunk.steps; ++j) {
          std::memset(out + row * row_bytes + j * p.tile_bytes(), 0, row_bytes);
        }
      }
    }
  }

  /// Where the chunk of a row tile lies. The tiles of a block are side by side, so that a block's
  /// chunk is one stretch of memory, without the power-of-two distances that evict each other from
  /// L1.
  static std::byte* packed_tile(const Product& p, std::int64_t tile, const KChunk& chunk) {
    const std::int64_t begin = tile / p.blocking.block_tiles * p.blocking.block_tiles;
    const std::int64_t left = p.tiles - begin;
    const std::int64_t in_block = left < p.blocking.block_tiles ? left : p.blocking.block_tiles;
    return p.a + (begin * p.steps + chunk.step * in_block + (tile - begin) * chunk.steps) *
                     p.tile_bytes();
  }

  /// Whole steps of one row, `stride` bytes apart; the last is filled up with zeros.
  static void pack_row(const float* x, std::int64_t columns, std::byte* out, std::int64_t stride) {
    for (; columns >= step_depth; columns -= step_depth) {
      pack_step(x, out);
      x += step_depth;
      out += stride;
    }
    if (columns > 0) {
      float tail[step_depth] = {};
      std::memcpy(tail, x, static_cast<std::size_t>(columns) * sizeof(float));
      pack_step(tail, out);
    }
  }

  static void pack_step(const float* x, std::byte* out) {
    std::uint32_t bits[step_depth];
    std::uint16_t rounded[step_depth];
    std::memcpy(bits, x, sizeof(bits));
    for (std::int64_t i = 0; i < step_depth; ++i) rounded[i] = round_to_bf16(bits[i]);
    std::memcpy(out, rounded, sizeof(rounded));
  }

  /// To nearest, ties to even; NaN stays NaN (core/dtype.h). Not VCVTNEPS2BF16, which flushes
  /// denormals that would round up to a normal number.
  static std::uint16_t round_to_bf16(std::uint32_t bits) {
    const std::uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    const std::uint32_t quiet = bits | 0x400000u;
    return static_cast<std::uint16_t>(((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded) >> 16);
  }

  // Phase 2: the loops around the tiles. Outer steps, panels, tasks (chunks of K), row tiles: the
  // weights of a chunk stay in L1 while the row tiles pass, and the activations of the outer steps
  // in L2 while the panels pass.

  static void compute(const Product& p, const Part& part) {
    Tiles tiles(tile_config(p.blocking.tile_rows));
    for (std::int64_t begin = 0; begin < p.task_count;) {
      const std::int64_t end = outer_end(p, begin);
      for (std::int64_t panel = part.panel_begin; panel < part.panel_end; ++panel) {
        for (std::int64_t task = begin; task < end; ++task) {
          Site site = site_of(p, part, panel, task);
          const bool last = task + 1 == end;
          if (!last || panel + 1 < part.panel_end) {
            prefetch_chunk(site, weights(p, last ? panel + 1 : panel, last ? begin : task + 1),
                           p.tasks[last ? begin : task + 1].k.steps);
          }
          run(tiles, site);
        }
      }
      begin = end;
    }
  }

  static TileConfig tile_config(std::int64_t rows) {
    TileConfig config;
    for (int tile = 0; tile < tile_count; ++tile) {
      config.row_bytes[tile] = row_bytes;
      config.rows[tile] = static_cast<std::uint8_t>(tile < first_b_tile ? rows : tile_side);
    }
    return config;
  }

  /// The end of the tasks that follow `begin` within blocking.outer_steps; at least one task.
  static std::int64_t outer_end(const Product& p, std::int64_t begin) {
    std::int64_t end = begin + 1;
    std::int64_t steps = p.tasks[begin].k.steps;
    for (; end < p.task_count; ++end) {
      steps += p.tasks[end].k.steps;
      if (steps > p.blocking.outer_steps) break;
    }
    return end;
  }

  /// Where a chunk of one panel meets the row tiles of a block.
  struct Site {
    const Product& p;
    const Part& part;
    const Task& task;
    std::int64_t panel;
    const std::byte* w;
    const std::byte* a;
    std::int64_t a_tile_stride;
    const std::byte* next = nullptr;  ///< the next lines of weights to fetch, and their end
    const std::byte* next_end = nullptr;
    std::int64_t next_lines = 0;  ///< lines to fetch per step
  };

  static const std::byte* weights(const Product& p, std::int64_t panel, std::int64_t task) {
    return p.w + panel * p.panel_bytes + p.tasks[task].k.step * step_bytes;
  }

  static Site site_of(const Product& p, const Part& part, std::int64_t panel, std::int64_t task) {
    const KChunk& chunk = p.tasks[task].k;
    return {p,
            part,
            p.tasks[task],
            panel,
            weights(p, panel, task),
            packed_tile(p, part.tile_begin, chunk),
            chunk.steps * p.tile_bytes()};
  }

  /// Spreads the fetching of the next chunk evenly over the steps of this one.
  static void prefetch_chunk(Site& site, const std::byte* next, std::int64_t steps) {
    const std::int64_t row_tiles = site.part.tile_end - site.part.tile_begin;
    const bool tall = site.p.blocking.grid == Grid::four_by_one;
    const std::int64_t passes = tall ? (row_tiles + 3) / 4 * 2 : (row_tiles + 1) / 2;
    const std::int64_t own_steps = passes * site.task.k.steps;
    if (site.p.blocking.streamed || own_steps == 0) return;
    const std::int64_t lines = steps * step_bytes / 64;
    site.next = next;
    site.next_end = next + lines * 64;
    site.next_lines = (lines + own_steps - 1) / own_steps;
  }

  static void run(Tiles& tiles, Site& site) {
    const std::int64_t count = site.part.tile_end - site.part.tile_begin;
    switch (site.p.blocking.grid) {
      case Grid::one_by_two:
        for (std::int64_t t = 0; t < count; ++t) block<1, 2>(tiles, site, t, 0);
        return;
      case Grid::two_by_two: {
        std::int64_t t = 0;
        for (; t + 2 <= count; t += 2) block<2, 2>(tiles, site, t, 0);
        if (t < count) block<1, 2>(tiles, site, t, 0);
        return;
      }
      case Grid::four_by_one:
        for (std::int64_t half = 0; half < 2; ++half) run_tall(tiles, site, count, half);
        return;
    }
  }

  static void run_tall(Tiles& tiles, Site& site, std::int64_t count, std::int64_t half) {
    std::int64_t t = 0;
    for (; t + 4 <= count; t += 4) block<4, 1>(tiles, site, t, half);
    if (count - t == 3) block<3, 1>(tiles, site, t, half);
    if (count - t == 2) block<2, 1>(tiles, site, t, half);
    if (count - t == 1) block<1, 1>(tiles, site, t, half);
  }

  // Phase 3: one block of accumulators in registers.

  template <int I>
  struct Index {
    constexpr operator int() const { return I; }
  };

  /// Calls f with Index<0> to Index<N - 1>: tile registers are named by constants.
  template <int N, class F>
  [[gnu::always_inline]] static inline void unroll(F&& f) {
    if constexpr (N > 0) {
      unroll<N - 1>(f);
      f(Index<N - 1>{});
    }
  }

  /// Row tiles [tile, tile + RT) of the part by the column tiles [half, half + CT) of the panel.
  /// Not inlined, so that the loop has the general registers to itself.
  template <int RT, int CT>
  [[gnu::noinline]] static void block(Tiles& tiles, Site& site, std::int64_t tile,
                                      std::int64_t half) {
    start<RT, CT>(tiles, site, tile, half);
    const std::byte* w = site.w + half * row_bytes;
    // Locals: the tile instructions tell the compiler that memory may change.
    const std::int64_t tile_stride = site.a_tile_stride;
    const std::int64_t step_stride = site.p.tile_bytes();
    const std::byte* a = site.a + tile * tile_stride;
    const std::byte* w_end = w + site.task.k.steps * step_bytes;
    for (; w < w_end; w += step_bytes, a += step_stride) {
      prefetch(site, w);
      unroll<CT>([&](auto column) {
        constexpr int c = column;
        tiles.template load<first_b_tile + c>(w + c * row_bytes, 2 * row_bytes);
      });
      unroll<RT>([&](auto row) {
        constexpr int r = row;
        constexpr int a_tile = first_a_tile + r % 2;
        tiles.template load<a_tile>(a + r * tile_stride, row_bytes);
        unroll<CT>([&](auto column) {
          constexpr int c = column;
          tiles.template dot<r * CT + c, a_tile, first_b_tile + c>();
        });
      });
    }
    unroll<RT * CT>([&](auto index) {
      constexpr int i = index;
      tiles.template store<i>(partial(site, site.task.slot, tile + i / CT, half + i % CT),
                              row_bytes);
    });
    for (std::int64_t r = tile; r < tile + RT; ++r) {
      for (std::int64_t c = half; c < half + CT; ++c) finish(site, r, c);
    }
  }

  template <int RT, int CT>
  static void start(Tiles& tiles, const Site& site, std::int64_t tile, std::int64_t half) {
    unroll<RT * CT>([&](auto index) {
      constexpr int i = index;
      if (site.task.first) {
        tiles.template zero<i>();
      } else {
        tiles.template load<i>(partial(site, site.task.slot, tile + i / CT, half + i % CT),
                               row_bytes);
      }
    });
  }

  /// Streaming: this far ahead the hardware keeps up; 4 kB ahead halves the bandwidth (measured).
  static constexpr std::int64_t stream_distance = 512;

  static void prefetch(Site& site, const std::byte* w) {
    if (site.p.blocking.streamed) {
      for (std::int64_t line = 0; line < step_bytes; line += 64) {
        Tiles::prefetch_l1(w + stream_distance + line);
      }
      return;
    }
    for (std::int64_t i = 0; i < site.next_lines && site.next < site.next_end; ++i) {
      Tiles::prefetch_l2(site.next);
      site.next += 64;
    }
  }

  // Phase 4: the tree of shards, the bias, the result.

  static float* partial(const Site& site, std::int64_t slot, std::int64_t tile,
                        std::int64_t column) {
    const Part& part = site.part;
    const std::int64_t panels = part.panel_end - part.panel_begin;
    const std::int64_t rows = part.tile_end - part.tile_begin;
    const std::int64_t panel = site.panel - part.panel_begin;
    return part.partials + (((slot * panels + panel) * rows + tile) * 2 + column) * tile_floats;
  }

  static void finish(const Site& site, std::int64_t tile, std::int64_t column) {
    const Task& task = site.task;
    const std::int64_t floats = site.p.blocking.tile_rows * tile_side;
    for (int slot = task.slot; slot > task.slot - task.merges; --slot) {
      add(partial(site, slot - 1, tile, column), partial(site, slot, tile, column), floats);
    }
    if (task.output >= 0) write(site, tile, column);
  }

  static void add(float* __restrict to, const float* __restrict from, std::int64_t floats) {
    for (std::int64_t i = 0; i < floats; ++i) to[i] += from[i];
  }

  static void write(const Site& site, std::int64_t tile, std::int64_t column) {
    const Product& p = site.p;
    const std::int64_t row = (site.part.tile_begin + tile) * p.blocking.tile_rows;
    const std::int64_t first = site.panel * panel_columns + column * tile_side;
    const std::int64_t rows = p.m - row < p.blocking.tile_rows ? p.m - row : p.blocking.tile_rows;
    const std::int64_t columns = p.n - first < tile_side ? p.n - first : tile_side;
    if (columns <= 0) return;
    const float* sum = partial(site, 0, tile, column);
    const float* bias = p.bias == nullptr ? nullptr : p.bias + first;
    float* y = p.outputs[site.task.output] + row * p.ldy + first;
    for (std::int64_t r = 0; r < rows; ++r, sum += tile_side, y += p.ldy) {
      if (columns == tile_side) {
        write_row(sum, bias, y, tile_side);
      } else {
        write_row(sum, bias, y, columns);
      }
    }
  }

  [[gnu::always_inline]] static inline void write_row(const float* __restrict sum,
                                                      const float* __restrict bias,
                                                      float* __restrict y, std::int64_t columns) {
    if (bias == nullptr) {
      for (std::int64_t i = 0; i < columns; ++i) y[i] = sum[i];
    } else {
      for (std::int64_t i = 0; i < columns; ++i) y[i] = sum[i] + bias[i];
    }
  }
};

}  // namespace trireme::amx
