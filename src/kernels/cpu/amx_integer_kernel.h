// The AMX kernels of i8, i4 and u4 weights (kernels/quantize.h): tile loops over bytes, scales, the
// tree of shards, and the result's way out.
//
// What fixes the bits: a group's products are integers and their sums exact; each group's sum joins
// the float32 sum of its shard by one fused multiply-add, in ascending order; shards and bias as in
// amx_kernel.h. So these are the bits of every other backend, whatever Blocking says.
//
// Eight bits lie in the panel as the tiles take them, without a sign (TDPBSUD); what their zero
// adds is taken away when a sum becomes a float, which is exact. Four bits are taken apart once per
// row block, and their zeros off them, into bytes with a sign (TDPBSSD), which stay in L2.
//
// Scaling takes the vector units nearly as long as the products take the tiles. So the sums of a
// group are put away, and scaled row by row between the products of the next group.
//
// What this source must not use: amx_loops.h.
#pragma once

#include <cstring>

#include "kernels/cpu/amx_integer_rows.h"
#include "kernels/cpu/amx_loops.h"

namespace trireme::amx {

template <class Tiles>
class IntegerKernel : TileLoops<Tiles> {
 public:
  static constexpr Routines routines() {
    return {&IntegerRows<Tiles>::pack, &IntegerKernel::compute};
  }

 private:
  using Loops = TileLoops<Tiles>;
  using typename Loops::Site;

  [[gnu::always_inline]] static inline std::int64_t steps_of(std::int64_t columns) {
    return Loops::byte_steps_of(columns);
  }

  // Phase 1: the groups of a chunk of one panel, and the row tiles.

  /// Sums of one group that have yet to join the float32 sums.
  struct Pending {
    const std::int32_t* sums = nullptr;  ///< [rows][32]
    const float* x_scales = nullptr;     ///< [rows]
    const float* x_starts = nullptr;     ///< [rows]
    const float* w_scales = nullptr;     ///< [32]
    float* y = nullptr;                  ///< [rows][32]
    bool first = false;                  ///< of its shard: y begins at zero
    std::int64_t rows = 0;
    std::int64_t row = 0;  ///< the next
  };

  /// What a work item keeps in Part::room (IntegerRoom).
  struct Item {
    explicit Item(const Product& p, const Part& part)
        : tiles(Loops::tile_config(p.blocking.tile_rows)),
          sums(reinterpret_cast<std::int32_t*>(part.room)),
          w_scales(reinterpret_cast<float*>(part.room + IntegerRoom::sums)),
          bytes(part.room + IntegerRoom::bytes_at(p.chunk_steps)) {}

    Tiles tiles;
    std::int32_t* sums;  ///< those that pend, of two by two tiles
    float* w_scales;     ///< twice the groups of a chunk, for those that pend
    std::byte* bytes;    ///< a chunk of weights, taken apart
    Pending pending;
    bool second_scales = false;
  };

  /// One group of a chunk.
  struct Group {
    const std::byte* packed;  ///< where its scales are
    std::int64_t columns;
    std::int64_t step;      ///< first of the chunk
    std::int64_t number;    ///< counted over all the shards
    const float* w_scales;  ///< [32]
    bool first;             ///< of its shard

    std::int64_t steps() const { return steps_of(columns); }
  };

  static void compute(const Product& p, const Part& part) {
    switch (p.weights) {
      case Weights::i4:
        return compute_as<Weights::i4>(p, part);
      case Weights::u4:
        return compute_as<Weights::u4>(p, part);
      default:
        return compute_as<Weights::i8>(p, part);
    }
  }

  template <Weights W>
  static void compute_as(const Product& p, const Part& part) {
    Item item(p, part);
    Loops::for_sites(p, part, [&](Site& site) { run<W>(item, site); });
  }

  template <Weights W>
  static void run(Item& item, Site& site) {
    const Task& task = site.task;
    if (task.k.steps == 0) {
      if (task.first) clear(site);
    } else if (site.p.blocking.grid == Grid::one_by_two) {
      for (std::int64_t tile = 0; tile < site.tiles(); ++tile) add_groups<W, 1>(item, site, tile);
    } else {
      std::int64_t tile = 0;
      for (; tile + 2 <= site.tiles(); tile += 2) add_groups<W, 2>(item, site, tile);
      if (tile < site.tiles()) add_groups<W, 1>(item, site, tile);
    }
    item.second_scales = !item.second_scales;
    if (task.merges == 0 && task.output < 0) return;
    scale<W>(item.pending, item.pending.rows);
    finish(site);
  }

  /// All groups of the chunk by the row tiles [tile, tile + RT) of the part. The first tiles bring
  /// the groups' weights into the form that all take.
  template <Weights W, int RT>
  static void add_groups(Item& item, Site& site, std::int64_t tile) {
    const KChunk& chunk = site.task.k;
    Group group{site.w, 0, 0, chunk.group, nullptr, site.task.first};
    float* w_scales = item.w_scales + (item.second_scales ? site.p.chunk_steps * panel_columns : 0);
    for (std::int64_t begin = 0; begin < chunk.columns; begin += site.p.group) {
      group.columns = Loops::least(site.p.group, chunk.columns - begin);
      group.w_scales = w_scales;
      if (tile == 0) {
        Tiles::widen(group.packed, w_scales);
        if constexpr (W != Weights::i8) expand<W>(item, site, group);
      }
      block<W, RT>(item, site, group, tile);
      group.packed += packed_bytes<W>(group.columns);
      group.step += group.steps();
      ++group.number;
      group.first = false;
      w_scales += panel_columns;
    }
  }

  // Phase 2: weights (kernels/packed.h).

  template <Weights W>
  static constexpr std::int64_t header_bytes = panel_columns*(W == Weights::u4 ? 4 : 2);

  /// Two quads of four bits of each row of the panel.
  static constexpr std::int64_t octet_bytes = panel_columns * 4;

  /// Of a group of four bits.
  template <Weights W>
  [[gnu::always_inline]] static inline std::int64_t octets_of(std::int64_t columns) {
    return W == Weights::u4 ? (columns + 7) / 8 : steps_of(columns) * (byte_step_depth / 8);
  }

  template <Weights W>
  [[gnu::always_inline]] static inline std::int64_t packed_bytes(std::int64_t columns) {
    const std::int64_t integers =
        W == Weights::i8 ? steps_of(columns) * step_bytes : octets_of<W>(columns) * octet_bytes;
    return header_bytes<W> + integers;
  }

  /// Steps that the group does not fill keep what is there: it meets zeros of x.
  template <Weights W>
  static void expand(Item& item, const Site& site, const Group& group) {
    alignas(64) std::uint8_t zeros[octet_bytes];
    find_zeros<W>(group.packed, zeros);
    const std::byte* from = group.packed + header_bytes<W>;
    std::byte* to = item.bytes + group.step * step_bytes;
    const std::int64_t octets = octets_of<W>(group.columns);
    for (std::int64_t i = 0; i < octets; ++i, from += octet_bytes, to += 2 * octet_bytes) {
      if (site.p.blocking.streamed) Loops::fetch_ahead(from, octet_bytes);
      expand_octet(reinterpret_cast<const std::uint8_t*>(from), zeros,
                   reinterpret_cast<std::uint8_t*>(to));
    }
  }

  /// The zero of each row of the panel, in each byte of its quads.
  template <Weights W>
  static void find_zeros(const std::byte* packed, std::uint8_t* zeros) {
    if constexpr (W == Weights::i4) {
      std::memset(zeros, 8, octet_bytes);
    } else {
      float values[panel_columns];
      Tiles::widen(packed + panel_columns * 2, values);
      std::uint32_t quads[panel_columns];
      for (std::int64_t i = 0; i < panel_columns; ++i) {
        quads[i] = static_cast<std::uint32_t>(static_cast<std::int32_t>(values[i])) * 0x01010101u;
      }
      std::memcpy(zeros, quads, sizeof(quads));
    }
  }

  [[gnu::always_inline]] static inline void expand_octet(const std::uint8_t* __restrict from,
                                                         const std::uint8_t* __restrict zeros,
                                                         std::uint8_t* __restrict to) {
    for (std::int64_t i = 0; i < octet_bytes; ++i) {
      to[i] = static_cast<std::uint8_t>((from[i] & 15) - zeros[i]);
    }
    for (std::int64_t i = 0; i < octet_bytes; ++i) {
      to[octet_bytes + i] = static_cast<std::uint8_t>((from[i] >> 4) - zeros[i]);
    }
  }

  // Phase 3: one group in registers, and between its products the scaling of the one before.

  /// Not inlined, so that the loop has the general registers to itself.
  template <Weights W, int RT>
  [[gnu::noinline]] static void block(Item& item, Site& site, const Group& group,
                                      std::int64_t tile) {
    constexpr bool in_place = W == Weights::i8;
    Tiles& tiles = item.tiles;
    Loops::template unroll<RT * 2>([&](auto index) { tiles.template zero<index>(); });
    // Locals: the tile instructions tell the compiler that memory may change.
    Pending pending = item.pending;
    const std::int64_t tile_stride = site.a_tile_stride;
    const std::int64_t step_stride = site.p.tile_bytes();
    const std::byte* a = site.a + tile * tile_stride + group.step * step_stride;
    const std::byte* w =
        in_place ? group.packed + header_bytes<W> : item.bytes + group.step * step_bytes;
    const std::int64_t steps = group.steps();
    const std::byte* w_end = w + steps * step_bytes;
    const std::int64_t share = (pending.rows + steps * RT - 1) / (steps * RT);
    for (; w < w_end; w += step_bytes, a += step_stride) {
      if (!site.p.blocking.streamed) {
        Loops::fetch_next(site);
      } else if constexpr (in_place) {
        Loops::fetch_ahead(w, step_bytes);
      }
      tiles.template load<first_b_tile>(w, 2 * row_bytes);
      tiles.template load<first_b_tile + 1>(w + row_bytes, 2 * row_bytes);
      Loops::template unroll<RT>([&](auto row) {
        constexpr int r = row;
        tiles.template load<first_a_tile + r>(a + r * tile_stride, row_bytes);
        Loops::template unroll<2>([&](auto column) {
          constexpr int c = column;
          dot<in_place, r * 2 + c, first_a_tile + r, first_b_tile + c>(tiles);
        });
        scale<W>(pending, share);
      });
    }
    item.pending = put_away<RT>(item, site, group, tile);
  }

  template <bool in_place, int C, int A, int B>
  [[gnu::always_inline]] static inline void dot(Tiles& tiles) {
    if constexpr (in_place) {
      tiles.template dot_unsigned<C, A, B>();
    } else {
      tiles.template dot_signed<C, A, B>();
    }
  }

  template <int RT>
  [[gnu::always_inline]] static inline Pending put_away(Item& item, const Site& site,
                                                        const Group& group, std::int64_t tile) {
    const Product& p = site.p;
    const std::int64_t rows = p.blocking.tile_rows;
    Loops::template unroll<RT * 2>([&](auto index) {
      constexpr int i = index;
      item.tiles.template store<i>(item.sums + i / 2 * rows * panel_columns + i % 2 * tile_side,
                                   2 * row_bytes);
    });
    const std::int64_t row = (site.part.tile_begin + tile) * rows;
    const std::int64_t at = group.number * p.m + row;
    return {item.sums,
            p.x_scales + at,
            p.x_starts + at,
            group.w_scales,
            partial(site, site.task.slot, tile * rows),
            group.first,
            Loops::least(RT * rows, p.m - row)};
  }

  /// y = fma(products, x's scale * w's scale, y) for up to `count` rows of those that pend.
  template <Weights W>
  [[gnu::always_inline]] static inline void scale(Pending& pending, std::int64_t count) {
    const std::int64_t begin = pending.row;
    pending.row = Loops::least(begin + count, pending.rows);
    if (pending.first) {
      scale_rows<W, true>(pending, begin, pending.y + begin * panel_columns);
    } else {
      scale_rows<W, false>(pending, begin, pending.y + begin * panel_columns);
    }
  }

  /// Rows from `row` to pending.row.
  template <Weights W, bool first>
  [[gnu::always_inline]] static inline void scale_rows(const Pending& pending, std::int64_t row,
                                                       float* __restrict y) {
    const float* w_scales = pending.w_scales;
    for (const std::int64_t end = pending.row; row < end; ++row, y += panel_columns) {
      const std::int32_t* sums = pending.sums + row * panel_columns;
      const float start = W == Weights::i8 ? pending.x_starts[row] : 0.0f;
      const float x_scale = pending.x_scales[row];
      for (std::int64_t i = 0; i < panel_columns; ++i) {
        auto products = static_cast<float>(sums[i]);
        if constexpr (W == Weights::i8) products += start;  // whole numbers below 2^24
        y[i] = __builtin_fmaf(products, x_scale * w_scales[i], first ? 0.0f : y[i]);
      }
    }
  }

  // Phase 4: the tree of shards, the bias, the result. Sums are row by row here.

  /// [slots][panels of the part][rows of its tiles][32]
  static float* partial(const Site& site, std::int64_t slot, std::int64_t row) {
    const Part& part = site.part;
    const std::int64_t panels = part.panel_end - part.panel_begin;
    const std::int64_t rows = site.tiles() * site.p.blocking.tile_rows;
    const std::int64_t panel = site.panel - part.panel_begin;
    return part.partials + ((slot * panels + panel) * rows + row) * panel_columns;
  }

  /// Rows of x in the part.
  static std::int64_t rows_of(const Site& site) {
    const std::int64_t rows = site.p.blocking.tile_rows;
    return Loops::least(site.tiles() * rows, site.p.m - site.part.tile_begin * rows);
  }

  static void clear(const Site& site) {
    std::memset(partial(site, site.task.slot, 0), 0,
                static_cast<std::size_t>(rows_of(site) * panel_columns) * sizeof(float));
  }

  static void finish(const Site& site) {
    const Task& task = site.task;
    const std::int64_t floats = rows_of(site) * panel_columns;
    for (int slot = task.slot; slot > task.slot - task.merges; --slot) {
      Loops::add(partial(site, slot - 1, 0), partial(site, slot, 0), floats);
    }
    if (task.output >= 0) write(site);
  }

  static void write(const Site& site) {
    const Product& p = site.p;
    const std::int64_t first = site.panel * panel_columns;
    const std::int64_t columns = Loops::least(panel_columns, p.n - first);
    const std::int64_t rows = rows_of(site);
    const float* sum = partial(site, 0, 0);
    const float* bias = p.bias == nullptr ? nullptr : p.bias + first;
    float* y =
        p.outputs[site.task.output] + site.part.tile_begin * p.blocking.tile_rows * p.ldy + first;
    for (std::int64_t r = 0; r < rows; ++r, sum += panel_columns, y += p.ldy) {
      if (columns == panel_columns) {
        Loops::write_row(sum, bias, y, panel_columns);
      } else {
        Loops::write_row(sum, bias, y, columns);
      }
    }
  }
};

}  // namespace trireme::amx
