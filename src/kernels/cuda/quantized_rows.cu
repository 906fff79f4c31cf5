// Few rows: weights stream from memory to registers once for 8 or 16 rows of x.
//
// A block of eight warps makes one strip (32 features) of one shard. Its warps share the blocks of
// codes evenly, whatever groups they belong to, and add the exact sums of products, group by group,
// to shared memory; then a thread per output chains the groups in their order. Where a shard has
// more groups than shared memory should hold this happens in rounds.
#include <algorithm>

#include "kernels/cuda/quantized_device.h"
#include "kernels/cuda/quantized_product.h"

namespace trireme::cuda {

namespace {

constexpr int warps = 8;
constexpr int threads = warps * 32;
/// Shared memory that a round may take: several thread blocks fit on a multiprocessor.
constexpr std::int64_t round_bytes = 24 << 10;
/// Features of a row of sums, and four more, so that lanes of different rows meet different banks.
constexpr int sum_pitch = static_cast<int>(strip_rows) + 4;

/// Shared memory of a round: of each group the scales (and zeros) of the weights, the scales (and
/// sums) of x, and the sums of products.
template <DType Kind, int Rows>
struct Round {
  static constexpr bool zeros_too = Kind == DType::u4;
  static constexpr int group_bytes = 64 + Rows * 4 + (zeros_too ? 32 + Rows * 4 : 0);

  const std::uint16_t* w_scales;  ///< [groups][32], in the strip's order
  const float* x_scales;          ///< [groups][Rows]
  const std::uint8_t* w_zeros;    ///< [groups][32]
  const std::int32_t* x_sums;     ///< [groups][Rows]
  std::int32_t* sums;             ///< [groups][rows][sum_pitch]

  __device__ Round(std::byte* memory, std::int32_t groups) {
    w_scales = reinterpret_cast<const std::uint16_t*>(memory);
    memory += groups * 64;
    x_scales = reinterpret_cast<const float*>(memory);
    memory += groups * Rows * 4;
    w_zeros = reinterpret_cast<const std::uint8_t*>(memory);
    x_sums = reinterpret_cast<const std::int32_t*>(memory + groups * 32);
    if (zeros_too) memory += groups * (32 + Rows * 4);
    sums = reinterpret_cast<std::int32_t*>(memory);
  }
};

/// Copies `bytes` (a multiple of 16) that lie together; all threads take part.
__device__ void copy_together(const void* to_shared, const void* from_global, std::int64_t bytes) {
  auto* to = static_cast<std::byte*>(const_cast<void*>(to_shared));
  const auto* from = static_cast<const std::byte*>(from_global);
  for (auto i = std::int64_t{threadIdx.x} * 16; i < bytes; i += threads * 16) {
    copy_async_16(to + i, from + i);
  }
}

/// Copies `Rows` numbers of each of `groups` groups from an array of RoundedInput.
template <int Rows, typename T>
__device__ void copy_rows(const T* to_shared, const T* from_global, std::int32_t groups,
                          std::int64_t pitch, std::int64_t rows) {
  constexpr int pieces = Rows / 4;
  for (auto i = static_cast<std::int32_t>(threadIdx.x); i < groups * pieces; i += threads) {
    const std::int32_t row = i % pieces * 4;
    if (row >= rows) continue;
    copy_async_16(const_cast<T*>(to_shared) + i / pieces * Rows + row,
                  from_global + i / pieces * pitch + row);
  }
}

/// Sums of products of one group, as tensor cores leave them in a warp's registers.
template <DType Kind, int Octets>
struct TensorSums {
  /// Thread blocks that registers should leave room for.
  static constexpr int resident = Octets == 1 ? 3 : 2;

  std::int32_t d[2][Octets][4] = {};

  /// Adds one block of codes. `x` is the lane's 8 bytes of the first octet.
  __device__ void add(const BlockCodes<Kind>& codes, const std::int8_t* x, std::int64_t octet_bytes,
                      std::int32_t rows, int lane) {
    std::uint32_t b[Octets][2];
#pragma unroll
    for (int i = 0; i < Octets; ++i) {
      const bool valid = i * 8 + lane / 4 < rows;
      const uint2 word = valid ? *reinterpret_cast<const uint2*>(x + i * octet_bytes + lane * 8)
                               : make_uint2(0, 0);
      b[i][0] = word.x;
      b[i][1] = word.y;
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      std::uint32_t a[4];
      codes.operand(half, a);
#pragma unroll
      for (int i = 0; i < Octets; ++i) mma_s8(d[half][i], a, b[i]);
    }
  }

  /// Moves them to `sums` [rows][sum_pitch].
  __device__ void flush(std::int32_t* sums, std::int32_t rows, int lane) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < Octets * 4; ++i) {
        const int row = i / 4 * 8 + lane % 4 * 2 + i % 2;
        const int feature = half * 16 + i % 4 / 2 * 8 + lane / 4;
        std::int32_t& sum = d[half][i / 4][i % 4];
        if (row < rows) {
          atomicAdd(&sums[row * sum_pitch + feature], sum >> BlockCodes<Kind>::sum_shift);
        }
        sum = 0;
      }
    }
  }
};

/// The same without tensor cores, for up to 8 rows: a lane has its own k of four features.
template <DType Kind>
struct LaneSums {
  static constexpr int resident = 2;

  std::int32_t d[4][octet] = {};

  __device__ void add(const BlockCodes<Kind>& codes, const std::int8_t* x, std::int64_t,
                      std::int32_t rows, int lane) {
#pragma unroll
    for (int row = 0; row < octet; ++row) {
      if (row >= rows) break;
      const uint2 b = *reinterpret_cast<const uint2*>(x + row * block_k + lane % 4 * 8);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        d[j][row] = __dp4a(static_cast<int>(codes.first_four(j)), static_cast<int>(b.x), d[j][row]);
        d[j][row] = __dp4a(static_cast<int>(codes.last_four(j)), static_cast<int>(b.y), d[j][row]);
      }
    }
  }

  __device__ void flush(std::int32_t* sums, std::int32_t rows, int lane) {
#pragma unroll
    for (int row = 0; row < octet; ++row) {
      if (row >= rows) break;
      std::int32_t mine = 0;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        std::int32_t sum = d[j][row];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        mine = lane % 4 == j ? sum : mine;
        d[j][row] = 0;
      }
      atomicAdd(&sums[row * sum_pitch + lane % 4 * 8 + lane / 4],
                mine >> BlockCodes<Kind>::sum_shift);
    }
  }
};

/// What one warp does of a round: the blocks [begin, end) of a strip, where `first` begins the
/// round's first group.
template <DType Kind, typename Sums>
struct WarpPart {
  /// Blocks that are loaded before the first of them is used.
  static constexpr int ahead = 4 / BlockCodes<Kind>::parts;

  const std::byte* strip;
  const std::int8_t* x;      ///< of the first octet
  std::int64_t octet_bytes;  ///< from one octet's codes to the next one's
  std::int32_t rows;
  std::int32_t group_blocks;
  int lane;

  __device__ void load(BlockCodes<Kind> (&codes)[ahead], std::int32_t block,
                       std::int32_t end) const {
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      if (block + i < end) {
        codes[i].load_streaming(strip + (block + i) * BlockCodes<Kind>::block_bytes, lane);
      }
    }
  }

  __device__ void run(std::int32_t first, std::int32_t begin, std::int32_t end,
                      BlockCodes<Kind> (&codes)[ahead], std::int32_t* sums) const {
    if (begin >= end) return;
    const std::int32_t group_sums = rows * sum_pitch;
    sums += (begin - first) / group_blocks * group_sums;
    std::int32_t left = group_blocks - (begin - first) % group_blocks;  // of the group
    Sums group;
    for (std::int32_t block = begin; block < end; block += ahead) {
      BlockCodes<Kind> next[ahead];
      load(next, block + ahead, end);
#pragma unroll
      for (int i = 0; i < ahead; ++i) {
        if (block + i >= end) break;
        group.add(codes[i], x + std::int64_t{block + i} * (octet * block_k), octet_bytes, rows,
                  lane);
        if (--left > 0 && block + i + 1 < end) continue;
        group.flush(sums, rows, lane);
        sums += group_sums;
        left = group_blocks;
      }
#pragma unroll
      for (int i = 0; i < ahead; ++i) codes[i] = next[i];
    }
  }
};

template <DType Kind, int Octets, typename Sums>
__global__ void __launch_bounds__(threads, Sums::resident)
    multiply_rows_kernel(QuantizedProduct product, std::int32_t round_groups) {
  constexpr int most_rows = Octets * static_cast<int>(octet);
  constexpr int outputs = most_rows * static_cast<int>(strip_rows) / threads;
  using Part = WarpPart<Kind, Sums>;
  const PackedLayout& layout = product.layout;
  const int thread = static_cast<int>(threadIdx.x);

  // Which strip, which shard, which rows.
  const std::byte* strip = product.w + blockIdx.x * layout.strip_bytes();
  const QuantizedOutput& output = product.outputs[blockIdx.y];
  const std::int64_t row_begin = std::int64_t{blockIdx.z} * most_rows;
  const auto rows = static_cast<std::int32_t>(
      product.rows - row_begin < most_rows ? product.rows - row_begin : most_rows);
  const std::int64_t x_row = product.x_row + row_begin;
  const std::int64_t octet_bytes = layout.blocks() * (octet * block_k);
  const Part part{strip,
                  product.x.codes + x_row / octet * octet_bytes,
                  octet_bytes,
                  rows,
                  layout.group_blocks,
                  thread % 32};
  const std::int32_t groups_end = layout.group_begin[output.shard_end];
  const std::int32_t blocks_end = layout.padded_begin[output.shard_end];
  const Round<Kind, most_rows> round(dynamic_shared<std::byte>(), round_groups);

  float y[outputs] = {};
  std::int32_t first = layout.padded_begin[output.shard_begin];
  for (std::int32_t group = layout.group_begin[output.shard_begin]; group < groups_end;
       group += round_groups) {
    const std::int32_t groups = min(round_groups, groups_end - group);
    const std::int32_t end = min(first + groups * layout.group_blocks, blocks_end);

    // 1. The first weights are on their way; scales follow; sums begin at zero.
    const std::int32_t share = (end - first + warps - 1) / warps;
    const std::int32_t my_begin = first + thread / 32 * share;
    const std::int32_t my_end = min(my_begin + share, end);
    BlockCodes<Kind> codes[Part::ahead];
    part.load(codes, my_begin, my_end);
    copy_together(round.w_scales, strip + layout.scales_offset() + group * 64, groups * 64);
    copy_rows<most_rows>(round.x_scales, product.x.scales + group * product.x.padded_rows + x_row,
                         groups, product.x.padded_rows, rows);
    if constexpr (Kind == DType::u4) {
      copy_together(round.w_zeros, strip + layout.zeros_offset() + group * 32, groups * 32);
      copy_rows<most_rows>(round.x_sums, product.x.sums + group * product.x.padded_rows + x_row,
                           groups, product.x.padded_rows, rows);
    }
    copy_async_commit();
    for (std::int32_t i = thread; i < groups * rows * sum_pitch; i += threads) round.sums[i] = 0;
    __syncthreads();

    // 2. Sums of products.
    part.run(first, my_begin, my_end, codes, round.sums);
    copy_async_wait<0>();
    __syncthreads();

    // 3. The chain over the groups.
    const int at = static_cast<int>(PackedLayout::scale_index(thread % 32));
#pragma unroll
    for (int i = 0; i < outputs; ++i) {
      const int row = i * warps + thread / 32;
      if (row >= rows) break;
      const std::int32_t* sums = round.sums + row * sum_pitch + thread % 32;
#pragma unroll 4
      for (std::int32_t j = 0; j < groups; ++j) {
        std::int32_t sum = sums[j * rows * sum_pitch];
        if constexpr (Kind == DType::u4) {
          sum -= (round.w_zeros[j * 32 + at] - 8) * round.x_sums[j * most_rows + row];
        }
        y[i] = add_group(sum, round.x_scales[j * most_rows + row],
                         f16_bits_to_float(round.w_scales[j * 32 + at]), y[i]);
      }
    }
    first = end;
    __syncthreads();
  }

  // 4. The strip's features side by side.
  const std::int64_t feature = std::int64_t{blockIdx.x} * strip_rows + thread % 32;
  if (feature >= layout.n) return;
#pragma unroll
  for (int i = 0; i < outputs; ++i) {
    const int row = i * warps + thread / 32;
    if (row >= rows) break;
    float& to = output.y[(row_begin + row) * product.ldy + feature];
    to = product.bias == nullptr ? y[i] : y[i] + product.bias[feature];
  }
}

template <DType Kind, int Octets, typename Sums>
void launch_rows(Context& context, const QuantizedProduct& product) {
  constexpr std::int64_t most_rows = Octets * octet;
  const PackedLayout& layout = product.layout;
  std::int32_t widest = 1;
  for (std::int32_t i = 0; i < product.output_count; ++i) {
    const QuantizedOutput& output = product.outputs[i];
    widest = std::max(
        widest, layout.group_begin[output.shard_end] - layout.group_begin[output.shard_begin]);
  }
  const std::int64_t rows = std::min(product.rows, most_rows);
  const std::int64_t bytes_each = Round<Kind, most_rows>::group_bytes + rows * sum_pitch * 4;
  const std::int64_t round_groups = std::clamp<std::int64_t>(round_bytes / bytes_each, 1, widest);
  const dim3 grid(static_cast<unsigned>(ceil_div(layout.n, strip_rows)),
                  static_cast<unsigned>(product.output_count),
                  static_cast<unsigned>(ceil_div(product.rows, most_rows)));
  launch(multiply_rows_kernel<Kind, Octets, Sums>, grid, dim3(threads),
         static_cast<std::size_t>(round_groups * bytes_each), context.stream, product,
         static_cast<std::int32_t>(round_groups));
  check_launch("multiply_rows");
}

template <DType Kind>
void launch_kind(Context& context, const QuantizedProduct& product) {
  if (!context.traits.tensor_cores()) {
    launch_rows<Kind, 1, LaneSums<Kind>>(context, product);
  } else if (product.rows <= octet) {
    launch_rows<Kind, 1, TensorSums<Kind, 1>>(context, product);
  } else {
    launch_rows<Kind, 2, TensorSums<Kind, 2>>(context, product);
  }
}

}  // namespace

void multiply_rows(Context& context, const QuantizedProduct& product) {
  switch (product.layout.dtype) {
    case DType::i8:
      return launch_kind<DType::i8>(context, product);
    case DType::i4:
      return launch_kind<DType::i4>(context, product);
    default:
      return launch_kind<DType::u4>(context, product);
  }
}

}  // namespace trireme::cuda
