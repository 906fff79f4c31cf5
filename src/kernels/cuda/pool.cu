// One vector for the rows of a sequence, in the order of kernels/host/pool.cc.
#include "kernels/cuda/columns.h"
#include "kernels/cuda/row_sums.h"
#include "kernels/cuda/rowwise.h"

namespace trireme::cuda {

namespace {

/// A column of a sequence's vector; rows of the work are sequences.
template <Pooling Kind>
struct Pool {
  const float* x;
  std::int64_t ld;
  std::int64_t cols;
  const DeviceSequence* sequences;
  float* out;

  template <int Width>
  __device__ void run(std::int64_t sequence, std::int64_t column) const {
    const DeviceSequence span = sequences[sequence];
    const float* first = x + span.row_begin * ld + column;
    out[sequence * cols + column] = pooled(first, span.rows);
  }

  __device__ float pooled(const float* first, std::int64_t rows) const {
    const auto count = static_cast<float>(rows);
    if constexpr (Kind == Pooling::first) return first[0];
    if constexpr (Kind == Pooling::last) return first[(rows - 1) * ld];
    if constexpr (Kind == Pooling::max) return largest(first, rows);
    if constexpr (Kind == Pooling::mean) return sum(first, rows) / count;
    if constexpr (Kind == Pooling::mean_sqrt_len) return sum(first, rows) / sqrtf(count);
    if constexpr (Kind == Pooling::weighted_mean) {
      return weighted_sum(first, rows) / (count * (count + 1) / 2);
    }
  }

  __device__ float largest(const float* first, std::int64_t rows) const {
    float most = first[0];
    for (std::int64_t row = 1; row < rows; ++row) {
      const float value = first[row * ld];
      most = value > most ? value : most;
    }
    return most;
  }
  __device__ float sum(const float* first, std::int64_t rows) const {
    float total = 0;
    for (std::int64_t row = 0; row < rows; ++row) total += first[row * ld];
    return total;
  }
  __device__ float weighted_sum(const float* first, std::int64_t rows) const {
    float total = 0;
    for (std::int64_t row = 0; row < rows; ++row) {
      total += static_cast<float>(row + 1) * first[row * ld];
    }
    return total;
  }
};

/// To length one, a block per vector: the sum of squares is one chain in float64.
__global__ void normalize_vectors(float* out, std::int64_t cols) {
  __shared__ float piece[1024];
  __shared__ float length;
  float* vector = out + blockIdx.x * cols;
  double squares = 0;
  for (std::int64_t begin = 0; begin < cols; begin += 1024) {
    const std::int64_t count = cols - begin < 1024 ? cols - begin : 1024;
    for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x) piece[i] = vector[begin + i];
    __syncthreads();
    if (threadIdx.x == 0) {
      for (std::int64_t i = 0; i < count; ++i) {
        squares += static_cast<double>(piece[i]) * static_cast<double>(piece[i]);
      }
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    const auto root = static_cast<float>(sqrt(squares));
    length = root < 1e-12f ? 1e-12f : root;
  }
  __syncthreads();
  for (std::int64_t i = threadIdx.x; i < cols; i += blockDim.x) vector[i] /= length;
}

template <Pooling Kind>
void pool_as(Context& context, const PoolArgs& args) {
  const Pool<Kind> work{args.x, args.ld, args.cols, context.sequences(args.sequences).list,
                        args.out};
  for_each_column(context, work, static_cast<std::int64_t>(args.sequences.size()), args.cols, false,
                  "pool");
}

void pool_as_kind(Context& context, const PoolArgs& args) {
  switch (args.kind) {
    case Pooling::mean:
      return pool_as<Pooling::mean>(context, args);
    case Pooling::first:
      return pool_as<Pooling::first>(context, args);
    case Pooling::last:
      return pool_as<Pooling::last>(context, args);
    case Pooling::max:
      return pool_as<Pooling::max>(context, args);
    case Pooling::mean_sqrt_len:
      return pool_as<Pooling::mean_sqrt_len>(context, args);
    case Pooling::weighted_mean:
      return pool_as<Pooling::weighted_mean>(context, args);
  }
}

}  // namespace

void pool(Context& context, const PoolArgs& args) {
  const auto count = static_cast<unsigned>(args.sequences.size());
  if (count == 0 || args.cols == 0) return;
  pool_as_kind(context, args);
  if (!args.normalize) return;
  launch(normalize_vectors, dim3(count), dim3(256), 0, context.stream, args.out, args.cols);
  check_launch("pool");
}

}  // namespace trireme::cuda
