#include "kernels/cuda/residual.h"
#include "kernels/cuda/row_sums.h"
#include "kernels/cuda/shard_tree.h"

namespace trireme::cuda {

namespace {

/// The columns of y from `column` on.
template <int Width>
__device__ inline Floats<Width> output_of(const ResidualNorm& args, std::int64_t row,
                                          std::int64_t column) {
  const std::int64_t at = row * args.n + column;
  Floats<Width> y = args.partials.data == nullptr
                        ? load<Width>(args.y + at)
                        : sum_of_tree<Width>(args.partials.data + at, args.rows * args.n,
                                             static_cast<int>(args.partials.shards));
  if (args.bias != nullptr) y = y + load<Width>(args.bias + column);
  if (args.y != nullptr) store(args.y + at, y);
  return y;
}

/// A block per row.
template <int Width, bool Centered>
__global__ void __launch_bounds__(512) add_and_normalize(ResidualNorm args) {
  const std::int64_t row = blockIdx.x;
  float* x = args.x + row * args.n;
  BlockRow<Width> sum(x, args.n, dynamic_shared<float>());
  for (std::int64_t column = std::int64_t{threadIdx.x} * Width; column < args.n;
       column += std::int64_t{blockDim.x} * Width) {
    const Floats<Width> total = load<Width>(x + column) + output_of<Width>(args, row, column);
    store(x + column, total);
    if (sum.fits()) store(sum.piece() + column, total);
  }
  if (sum.fits()) sum.brought();
  normalize_row<Width, Centered>(sum, args.n, args.weight, args.norm_bias, args.eps,
                                 args.h + row * args.n);
}

template <int Width>
void launch_rows(const Context& context, const ResidualNorm& args) {
  launch(args.centered ? add_and_normalize<Width, true> : add_and_normalize<Width, false>,
         dim3(static_cast<unsigned>(args.rows)), dim3(row_threads(args.n)),
         row_shared_bytes(args.n), context.stream, args);
  check_launch("residual_norm");
}

}  // namespace

void residual_norm(Context& context, const ResidualNorm& args) {
  if (args.rows == 0 || args.n == 0) return;
  const bool fours = in_fours(
      args.n, {args.partials.data, args.y, args.bias, args.x, args.h, args.weight, args.norm_bias},
      {});
  fours ? launch_rows<4>(context, args) : launch_rows<1>(context, args);
}

}  // namespace trireme::cuda
