// Sums over a row in the reference's order: element i goes to lane i mod 16, each lane is one chain
// in ascending order, and the lanes meet in one tree. Sixteen threads run the chains; where a row
// has a block for itself, the others bring it to shared memory first.
#pragma once

#include "kernels/cuda/columns.h"

namespace trireme::cuda {

inline constexpr int row_lanes = 16;
/// Of a row, so many floats are in shared memory at a time: 47 KB, which with the kernels' own
/// variables are less than the 48 KB that no GPU has to be asked for.
inline constexpr std::int64_t piece_floats = 12032;
static_assert(piece_floats % row_lanes == 0);

#if defined(__CUDACC__) || defined(TRIREME_CUDA_EMULATED)

/// What an element adds to its lane.
struct PlainTerm {
  __device__ float add(float sum, float x) const { return sum + x; }
};
struct SquareTerm {
  float center;
  __device__ float add(float sum, float x) const {
    const float offset = x - center;
    return fmaf(offset, offset, sum);
  }
};

/// Adds x[lane], x[lane + 16], ... below `count` to `sum`.
template <typename Term>
__device__ inline float lane_chain(const float* x, std::int64_t count, std::int64_t lane, float sum,
                                   const Term& term) {
#pragma unroll 8
  for (std::int64_t i = lane; i < count; i += row_lanes) sum = term.add(sum, x[i]);
  return sum;
}

/// The sum of the sixteen lanes of this half of a warp, in every one of them.
__device__ inline float sum_of_lanes(float lane) {
  for (int apart = row_lanes / 2; apart > 0; apart /= 2) {
    lane += __shfl_xor_sync(0xffffffffu, lane, apart);
  }
  return lane;
}

/// A row of `dim` floats at `x`, `Width` of them loaded at a time, that a whole block sums over.
template <int Width>
class BlockRow {
 public:
  /// `piece` is shared memory, [min(dim, piece_floats)].
  __device__ BlockRow(const float* x, std::int64_t dim, float* piece)
      : x_(x), dim_(dim), piece_(piece) {}

  __device__ bool fits() const { return dim_ <= piece_floats; }
  /// Where a row that fits is to be put by whoever makes it; then all call brought().
  __device__ float* piece() { return piece_; }
  __device__ void brought() {
    __syncthreads();
    begin_ = 0;
  }

  /// All threads of the block call this, and get the sum.
  template <typename Term>
  __device__ float sum(const Term& term) {
    float lane = 0;
    for (std::int64_t begin = 0; begin < dim_; begin += piece_floats) {
      bring(begin);
      if (threadIdx.x < row_lanes) {
        lane = lane_chain(piece_, width(begin), threadIdx.x, lane, term);
      }
    }
    return told(lane);
  }

  /// The columns from `column` on: this thread's, who need not have a piece brought.
  __device__ Floats<Width> at(std::int64_t column) const {
    return load<Width>((fits() ? piece_ : x_) + column);
  }

 private:
  __device__ std::int64_t width(std::int64_t begin) const {
    return dim_ - begin < piece_floats ? dim_ - begin : piece_floats;
  }

  __device__ void bring(std::int64_t begin) {
    if (begin == begin_) return;
    __syncthreads();  // whoever still reads the piece before
    const std::int64_t count = width(begin);
    for (std::int64_t i = std::int64_t{threadIdx.x} * Width; i < count;
         i += std::int64_t{blockDim.x} * Width) {
      store(piece_ + i, load<Width>(x_ + begin + i));
    }
    __syncthreads();
    begin_ = begin;
  }

  /// The first half warp's lanes, added up, to everybody.
  __device__ float told(float lane) {
    __shared__ float sum;
    __syncthreads();  // whoever still reads the sum before
    if (threadIdx.x < 32) lane = sum_of_lanes(lane);
    if (threadIdx.x == 0) sum = lane;
    __syncthreads();
    return sum;
  }

  const float* x_;
  std::int64_t dim_;
  float* piece_;
  std::int64_t begin_ = -1;  ///< of the piece in shared memory
};

/// 1 / sqrt(mean square + eps).
__device__ inline float scale_of(float squares, std::int64_t dim, float eps) {
  return 1.0f / sqrtf(squares / static_cast<float>(dim) + eps);
}

/// x = norm(x) * weight (+ bias) of the columns from `column` on; weight and bias are [dim].
template <int Width>
__device__ inline void normalize(Floats<Width>& x, float center, float scale, const float* weight,
                                 const float* bias, std::int64_t column) {
  const Floats<Width> w = load<Width>(weight + column);
  const Floats<Width> b = bias == nullptr ? Floats<Width>{} : load<Width>(bias + column);
  for (int i = 0; i < Width; ++i) {
    const float normal = (x.at[i] - center) * scale;
    x.at[i] = bias == nullptr ? normal * w.at[i] : fmaf(normal, w.at[i], b.at[i]);
  }
}

/// y = norm(row) * weight (+ bias), by a whole block. `y` may be the row.
template <int Width, bool Centered>
__device__ inline void normalize_row(BlockRow<Width>& row, std::int64_t dim, const float* weight,
                                     const float* bias, float eps, float* y) {
  const float center = Centered ? row.sum(PlainTerm{}) / static_cast<float>(dim) : 0.0f;
  const float scale = scale_of(row.sum(SquareTerm{center}), dim, eps);
  for (std::int64_t column = std::int64_t{threadIdx.x} * Width; column < dim;
       column += std::int64_t{blockDim.x} * Width) {
    Floats<Width> values = row.at(column);
    normalize(values, center, scale, weight, bias, column);
    store(y + column, values);
  }
}

#endif

/// Threads of a block that has one row of `dim` floats, and the shared memory that it needs.
inline unsigned row_threads(std::int64_t dim) {
  return static_cast<unsigned>(std::clamp<std::int64_t>(round_up(ceil_div(dim, 8), 32), 64, 512));
}
inline std::size_t row_shared_bytes(std::int64_t dim) {
  return static_cast<std::size_t>(std::min(dim, piece_floats)) * sizeof(float);
}

}  // namespace trireme::cuda
