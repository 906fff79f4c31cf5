// The fixed tree of core/shard.h over the pieces that the ranks of a group contribute.
#include "kernels/cuda/columns.h"
#include "kernels/cuda/rowwise.h"

namespace trireme::cuda {

namespace {

constexpr int most_pieces = 64;
constexpr unsigned threads = 256;

/// Pieces and steps, by value: the kernel's parameters.
struct Tree {
  const float* pieces[most_pieces];
  std::int8_t left[most_pieces];
  std::int8_t right[most_pieces];
  std::int8_t slot[most_pieces];
  std::int32_t piece_count;
  std::int32_t step_count;
};

Tree tree_of(std::span<const float* const> pieces, std::span<const TreeStep> steps) {
  if (pieces.size() > most_pieces || steps.size() >= most_pieces) {
    check(cudaErrorInvalidValue, "tree_sum of more than 64 pieces");
  }
  Tree tree{};
  tree.piece_count = static_cast<std::int32_t>(pieces.size());
  tree.step_count = static_cast<std::int32_t>(steps.size());
  std::copy(pieces.begin(), pieces.end(), tree.pieces);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    tree.left[i] = static_cast<std::int8_t>(steps[i].left);
    tree.right[i] = static_cast<std::int8_t>(steps[i].right);
    tree.slot[i] = static_cast<std::int8_t>(steps[i].slot);
  }
  return tree;
}

/// Bytes of the sums in between, of one block: [slots][threads][width].
std::size_t slot_bytes(std::span<const TreeStep> steps, int width) {
  std::int64_t slots = 0;
  for (const TreeStep& step : steps) slots = std::max(slots, step.slot + 1);
  return static_cast<std::size_t>(slots * threads * width) * sizeof(float);
}

template <int Width>
__global__ void add_up(Tree tree, std::int64_t count, float* out) {
  const std::int64_t column =
      (std::int64_t{blockIdx.x} * threads + std::int64_t{threadIdx.x}) * Width;
  if (column >= count) return;
  Floats<Width>* slots = dynamic_shared<Floats<Width>>() + threadIdx.x;
  const auto operand = [&](int index) {
    return index >= 0 ? load<Width>(tree.pieces[index] + column) : slots[~index * int{threads}];
  };
  // `out` may be a piece: nothing is stored there before every piece has been read.
  Floats<Width> sum = tree.piece_count == 1 ? operand(0) : Floats<Width>{};
  for (int step = 0; step < tree.step_count; ++step) {
    sum = operand(tree.left[step]);
    const Floats<Width> right = operand(tree.right[step]);
    for (int i = 0; i < Width; ++i) sum.at[i] += right.at[i];
    slots[tree.slot[step] * int{threads}] = sum;
  }
  store(out + column, sum);
}

}  // namespace

void tree_sum(Context& context, std::span<const float* const> pieces,
              std::span<const TreeStep> steps, std::int64_t count, float* out) {
  if (count == 0) return;
  bool fours = in_fours(count, {out}, {});
  for (const float* piece : pieces) fours = fours && in_fours(count, {piece}, {});
  const int width = fours ? 4 : 1;
  launch(fours ? add_up<4> : add_up<1>,
         dim3(static_cast<unsigned>(ceil_div(count, std::int64_t{threads} * width))), dim3(threads),
         slot_bytes(steps, width), context.stream, tree_of(pieces, steps), count, out);
  check_launch("tree_sum");
}

}  // namespace trireme::cuda
