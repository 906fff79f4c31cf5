// What the products over tiles share: how packed activations lie, the loops around the tiles, and
// the fetching of weights. `Tiles` is HardwareTiles (amx_hardware.cc) or EmulatedTiles.
//
// This header, amx_kernel.h, amx_integer_kernel.h and amx_integer_rows.h are compiled with AVX-512
// in amx_hardware.cc and without in amx_emulated.cc. All of it are members of templates over Tiles,
// and it uses no inline function of another header, so that the linker cannot take one build's code
// for the other's.
#pragma once

#include <cstring>

#include "kernels/cpu/amx_product.h"
#include "kernels/cpu/amx_tiles.h"

namespace trireme::amx {

template <class Tiles>
class TileLoops {
 protected:
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

  [[gnu::always_inline]] static inline std::int64_t least(std::int64_t a, std::int64_t b) {
    return a < b ? a : b;
  }
  /// Steps of a group of bytes.
  [[gnu::always_inline]] static inline std::int64_t byte_steps_of(std::int64_t columns) {
    return (columns + byte_step_depth - 1) / byte_step_depth;
  }

  /// All tiles take `rows` rows, but for those of weights.
  static TileConfig tile_config(std::int64_t rows) {
    TileConfig config;
    for (int tile = 0; tile < tile_count; ++tile) {
      config.row_bytes[tile] = row_bytes;
      config.rows[tile] = static_cast<std::uint8_t>(tile < first_b_tile ? rows : tile_side);
    }
    return config;
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

    std::int64_t tiles() const { return part.tile_end - part.tile_begin; }
  };

  /// Calls run(site) for outer steps, panels, tasks (chunks of K): the weights of a chunk stay in
  /// L1 while the row tiles pass, and the activations of the outer steps in L2 while the panels
  /// pass.
  template <class Run>
  [[gnu::always_inline]] static inline void for_sites(const Product& p, const Part& part,
                                                      const Run& run) {
    for (std::int64_t begin = 0; begin < p.task_count;) {
      const std::int64_t end = outer_end(p, begin);
      for (std::int64_t panel = part.panel_begin; panel < part.panel_end; ++panel) {
        for (std::int64_t task = begin; task < end; ++task) {
          Site site = site_of(p, part, panel, task);
          const bool last = task + 1 == end;
          if (!last || panel + 1 < part.panel_end) {
            prefetch_chunk(site, weights(p, last ? panel + 1 : panel, last ? begin : task + 1),
                           p.tasks[last ? begin : task + 1].k.bytes);
          }
          run(site);
        }
      }
      begin = end;
    }
  }

  /// Streaming: this far ahead the hardware keeps up; 4 kB ahead halves the bandwidth (measured).
  static constexpr std::int64_t stream_distance = 512;

  [[gnu::always_inline]] static inline void fetch_ahead(const std::byte* w, std::int64_t bytes) {
    for (std::int64_t line = 0; line < bytes; line += 64) {
      Tiles::prefetch_l1(w + stream_distance + line);
    }
  }

  /// A step's share of the next chunk.
  [[gnu::always_inline]] static inline void fetch_next(Site& site) {
    for (std::int64_t i = 0; i < site.next_lines && site.next < site.next_end; ++i) {
      Tiles::prefetch_l2(site.next);
      site.next += 64;
    }
  }

  static void add(float* __restrict to, const float* __restrict from, std::int64_t floats) {
    for (std::int64_t i = 0; i < floats; ++i) to[i] += from[i];
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

 private:
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

  static const std::byte* weights(const Product& p, std::int64_t panel, std::int64_t task) {
    return p.w + panel * p.panel_bytes + p.tasks[task].k.weights;
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

  /// Spreads the fetching of the next chunk, `bytes` from `next`, evenly over the steps of this
  /// one.
  static void prefetch_chunk(Site& site, const std::byte* next, std::int64_t bytes) {
    const bool tall = site.p.blocking.grid == Grid::four_by_one;
    const std::int64_t passes = tall ? (site.tiles() + 3) / 4 * 2 : (site.tiles() + 1) / 2;
    const std::int64_t own_steps = passes * site.task.k.steps;
    if (site.p.blocking.streamed || own_steps == 0) return;
    const std::int64_t lines = (bytes + 63) / 64;
    site.next = next;
    site.next_end = next + lines * 64;
    site.next_lines = (lines + own_steps - 1) / own_steps;
  }
};

}  // namespace trireme::amx
