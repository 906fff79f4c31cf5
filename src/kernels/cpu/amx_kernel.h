// The AMX kernels of bf16 weights: packing of activations, tile loops, the tree of shards, and the
// result's way out. `Tiles` is HardwareTiles (amx_hardware.cc) or EmulatedTiles: the source is the
// same.
//
// What fixes the bits: a shard is accumulated in one tile, in steps of 32 k from the shard's begin
// (accumulators that are stored and reloaded between chunks lose nothing); finished shards are
// added in float32 in the order of the binary tree; the bias comes last. Rows of a tile do not
// meet. So neither the number of rows nor any member of Blocking can show.
//
// What this source must not use: amx_loops.h.
#pragma once

#include <cstring>

#include "kernels/cpu/amx_loops.h"

namespace trireme::amx {

template <class Tiles>
class Kernel : TileLoops<Tiles> {
 public:
  static constexpr Routines routines() { return {&Kernel::pack, &Kernel::compute}; }

 private:
  using Loops = TileLoops<Tiles>;
  using typename Loops::Site;

  // Phase 1: activations.

  static void pack(const Product& p, std::int64_t tile, const KChunk& chunk) {
    const std::int64_t rows = p.blocking.tile_rows;
    std::byte* out = Loops::packed_tile(p, tile, chunk);
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

  // Phase 2: the row tiles of a chunk of one panel.

  static void compute(const Product& p, const Part& part) {
    Tiles tiles(Loops::tile_config(p.blocking.tile_rows));
    Loops::for_sites(p, part, [&](Site& site) { run(tiles, site); });
  }

  static void run(Tiles& tiles, Site& site) {
    const std::int64_t count = site.tiles();
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
      Loops::template unroll<CT>([&](auto column) {
        constexpr int c = column;
        tiles.template load<first_b_tile + c>(w + c * row_bytes, 2 * row_bytes);
      });
      Loops::template unroll<RT>([&](auto row) {
        constexpr int r = row;
        constexpr int a_tile = first_a_tile + r % 2;
        tiles.template load<a_tile>(a + r * tile_stride, row_bytes);
        Loops::template unroll<CT>([&](auto column) {
          constexpr int c = column;
          tiles.template dot<r * CT + c, a_tile, first_b_tile + c>();
        });
      });
    }
    Loops::template unroll<RT * CT>([&](auto index) {
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
    Loops::template unroll<RT * CT>([&](auto index) {
      constexpr int i = index;
      if (site.task.first) {
        tiles.template zero<i>();
      } else {
        tiles.template load<i>(partial(site, site.task.slot, tile + i / CT, half + i % CT),
                               row_bytes);
      }
    });
  }

  static void prefetch(Site& site, const std::byte* w) {
    if (site.p.blocking.streamed) {
      Loops::fetch_ahead(w, step_bytes);
    } else {
      Loops::fetch_next(site);
    }
  }

  // Phase 4: the tree of shards, the bias, the result.

  static float* partial(const Site& site, std::int64_t slot, std::int64_t tile,
                        std::int64_t column) {
    const Part& part = site.part;
    const std::int64_t panels = part.panel_end - part.panel_begin;
    const std::int64_t rows = site.tiles();
    const std::int64_t panel = site.panel - part.panel_begin;
    return part.partials + (((slot * panels + panel) * rows + tile) * 2 + column) * tile_floats;
  }

  static void finish(const Site& site, std::int64_t tile, std::int64_t column) {
    const Task& task = site.task;
    const std::int64_t floats = site.p.blocking.tile_rows * tile_side;
    for (int slot = task.slot; slot > task.slot - task.merges; --slot) {
      Loops::add(partial(site, slot - 1, tile, column), partial(site, slot, tile, column), floats);
    }
    if (task.output >= 0) write(site, tile, column);
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
        Loops::write_row(sum, bias, y, tile_side);
      } else {
        Loops::write_row(sum, bias, y, columns);
      }
    }
  }
};

}  // namespace trireme::amx
