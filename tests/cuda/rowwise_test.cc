// Norms, rotary embedding, activations, additions, pooling, embedding and the sums of shards on a
// GPU: the reference's bits.
#include "kernels/cuda/rowwise.h"

#include <bit>
#include <numeric>

#include "../device/support.h"
#include "kernels/cuda/embedding.h"
#include "kernels/cuda/residual.h"
#include "kernels/cuda/weights.h"
#include "support.h"

namespace trireme::cuda::test {
namespace {

using trireme::test::difference;
using trireme::test::Floats;
using trireme::test::Random;

/// One case: fresh memory on the GPU, and the oracle.
struct Case {
  TestContext gpu;
  std::unique_ptr<Backend> reference = make_backend("reference");
  ThreadPool threads{1};

  Floats host(const float* from, std::size_t count) {
    return gpu.host(from, static_cast<std::int64_t>(count));
  }
};

/// What poisoned memory holds: a number in its place differs from it.
Floats poison(std::int64_t count) {
  return Floats(static_cast<std::size_t>(count), std::bit_cast<float>(0xffffffffu));
}

class CudaRowwise : public CudaTest {};

struct NormCase {
  std::int64_t rows, groups, dim, gap;
  bool layer, with_bias, in_place;
};

void check_norm_case(Random& random, const NormCase& c) {
  SCOPED_TRACE(fmt::format("dim {} groups {} gap {} layer {} bias {} in place {}", c.dim, c.groups,
                           c.gap, c.layer, c.with_bias, c.in_place));
  Case test;
  const std::int64_t ld = c.groups * c.dim + c.gap;
  const Floats x = random.values(c.rows * ld);
  const Floats weight = random.values(c.dim);
  const Floats bias = random.values(c.dim);
  NormArgs args{x.data(),
                nullptr,
                c.rows,
                ld,
                ld,
                c.groups,
                c.dim,
                weight.data(),
                c.with_bias ? bias.data() : nullptr,
                1e-5f};
  Floats wanted = c.in_place ? x : poison(c.rows * ld);
  args.y = wanted.data();
  c.layer ? test.reference->layer_norm(test.threads, args)
          : test.reference->rms_norm(test.threads, args);

  float* input = test.gpu.device(x);
  args.x = input;
  args.y = c.in_place ? input : test.gpu.room<float>(c.rows * ld);
  args.weight = test.gpu.device(weight);
  args.bias = c.with_bias ? test.gpu.device(bias) : nullptr;
  c.layer ? layer_norm(test.gpu, args) : rms_norm(test.gpu, args);
  EXPECT_EQ(difference(test.host(args.y, wanted.size()), wanted), "");
}

TEST_F(CudaRowwise, NormsGiveTheReferenceBits) {
  Random random(1);
  for (const std::int64_t dim : {1, 2, 15, 16, 17, 64, 100, 255, 256, 257, 260, 768, 1000, 4096}) {
    for (const bool layer : {false, true}) {
      check_norm_case(random, {3, 1, dim, 0, layer, layer, false});
      check_norm_case(random, {5, 3, dim, 3, layer, !layer, true});
    }
  }
  check_norm_case(random, {0, 1, 300, 0, false, false, false});
  check_norm_case(random, {2, 0, 300, 4, false, false, false});
}

TEST_F(CudaRowwise, NormsTakeRowsThatDoNotFitInSharedMemory) {
  Random random(2);
  for (const std::int64_t dim : {12028, 12032, 12033, 12036, 12052, 12288, 30000}) {
    for (const bool layer : {false, true}) {
      check_norm_case(random, {1, 1, dim, 0, layer, true, false});
      check_norm_case(random, {2, 1, dim, 4, layer, false, true});
    }
  }
}

TEST_F(CudaRowwise, RopeGivesTheReferenceBits) {
  Random random(3);
  for (const std::int64_t head_dim : {2, 6, 32, 34, 64, 128}) {
    for (const std::int64_t rotary : {head_dim, head_dim / 2 / 2 * 2}) {
      if (rotary == 0) continue;
      for (const std::int64_t gap : {0, 1}) {
        Case test;
        const Floats cos = random.values(100 * rotary / 2);
        const Floats sin = random.values(100 * rotary / 2);
        const std::vector<std::int32_t> positions{0, 99, 7, 7, 50};
        const std::int64_t ld = 3 * head_dim + gap;
        Floats wanted = random.values(5 * ld);
        float* x = test.gpu.device(wanted);
        RopeArgs args{wanted.data(), ld, 3, head_dim, rotary, cos.data(), sin.data(), positions};
        test.reference->rope(test.threads, args);
        args.x = x;
        args.cos = test.gpu.device(cos);
        args.sin = test.gpu.device(sin);
        rope(test.gpu, args);
        EXPECT_EQ(difference(test.host(x, wanted.size()), wanted), "") << head_dim << " " << rotary;
      }
    }
  }
}

TEST_F(CudaRowwise, ActivationsGiveTheReferenceBits) {
  Random random(4);
  for (const std::int64_t cols : {1, 3, 4, 31, 100, 768, 1500}) {
    for (const std::int64_t ld : {2 * cols, 2 * cols + 1}) {
      Case test;
      Floats x = random.values(5 * ld);
      for (std::size_t i = 0; i < x.size(); i += 7) x[i] *= 20.0f;
      x[0] = HUGE_VALF;
      x[x.size() / 2] = -HUGE_VALF;
      x[x.size() / 3] = std::nanf("");
      for (const Activation kind : {Activation::gelu_tanh, Activation::gelu_erf, Activation::relu,
                                    Activation::silu, Activation::tanh}) {
        Floats wanted = x;
        test.reference->activate(test.threads, kind, wanted.data(), 5, cols, ld);
        float* got = test.gpu.device(x);
        activate(test.gpu, kind, got, 5, cols, ld);
        EXPECT_EQ(difference(test.host(got, wanted.size()), wanted), "") << cols;

        const std::int64_t ldo = ld - cols;
        wanted = poison(5 * ldo);
        test.reference->gated_activation(test.threads, kind, x.data(), 5, cols, ld, wanted.data(),
                                         ldo);
        got = test.gpu.room<float>(5 * ldo);
        gated_activation(test.gpu, kind, test.gpu.device(x), 5, cols, ld, got, ldo);
        EXPECT_EQ(difference(test.host(got, wanted.size()), wanted), "") << cols;
      }
    }
  }
}

TEST_F(CudaRowwise, AdditionsGiveTheReferenceBits) {
  Random random(5);
  for (const std::int64_t count : {0, 1, 15, 16, 17, 20000}) {
    Case test;
    const Floats y = random.values(count);
    Floats wanted = random.values(count * 3);
    float* x = test.gpu.device(wanted);
    const float* other = test.gpu.device(y);
    test.reference->add(test.threads, wanted.data(), y.data(), count);
    test.reference->add_bias(test.threads, wanted.data(), y.data(), 3, count);
    test.reference->scale(test.threads, wanted.data(), 0.3f, count * 3);
    add(test.gpu, x, other, count);
    add_bias(test.gpu, x, other, 3, count);
    scale(test.gpu, x, 0.3f, count * 3);
    EXPECT_EQ(difference(test.host(x, wanted.size()), wanted), "") << count;
  }
}

TEST_F(CudaRowwise, RowsArePickedOut) {
  Random random(6);
  for (const std::int64_t cols : {1, 7, 8, 300}) {
    Case test;
    const std::int64_t ld = cols == 8 ? 12 : cols + 1;
    const std::vector<std::int32_t> rows{4, 0, 4, 2};
    const Floats x = random.values(5 * ld);
    const Floats table = random.values(7 * cols);
    Floats wanted;
    for (const std::int32_t row : rows) {
      wanted.insert(wanted.end(), x.begin() + row * ld, x.begin() + row * ld + cols);
    }
    float* out = test.gpu.room<float>(4 * cols);
    gather_rows(test.gpu, test.gpu.device(x), cols, ld, rows, out);
    EXPECT_EQ(difference(test.host(out, wanted.size()), wanted), "") << cols;

    wanted = x;
    for (std::int64_t row = 0; row < 4; ++row) {
      for (std::int64_t i = 0; i < cols; ++i) {
        wanted[static_cast<std::size_t>(row * ld + i)] +=
            table[static_cast<std::size_t>((rows[static_cast<std::size_t>(row)] + 2) * cols + i)];
      }
    }
    out = test.gpu.device(x);
    add_rows(test.gpu, out, 4, cols, ld, test.gpu.device(table), rows, 2);
    EXPECT_EQ(difference(test.host(out, wanted.size()), wanted), "") << cols;
  }
  Case test;
  const Floats table = random.values(1000);
  std::vector<std::int32_t> indices(777);
  Floats wanted;
  for (std::int32_t& index : indices) {
    index = static_cast<std::int32_t>(random.integer(0, 999));
    wanted.push_back(table[static_cast<std::size_t>(index)]);
  }
  float* out = test.gpu.room<float>(777);
  gather(test.gpu, test.gpu.device(table), indices, out);
  EXPECT_EQ(difference(test.host(out, 777), wanted), "");
  gather(test.gpu, nullptr, {}, nullptr);
  gather_rows(test.gpu, nullptr, 5, 5, {}, nullptr);
}

/// The tree of core/shard.h over `count` leaves: its steps, and their sum for one element.
struct Tree {
  std::vector<TreeStep> steps;
  std::int64_t next = 0;

  std::int64_t build(std::int64_t leaves, std::int64_t slot) {
    if (leaves == 1) return next++;
    const auto left_size =
        static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(leaves - 1)));
    const std::int64_t left = build(left_size, slot);
    const std::int64_t right = build(leaves - left_size, left < 0 ? slot + 1 : slot);
    steps.push_back({left, right, slot});
    return ~slot;
  }
};

float sum_of_leaves(std::span<const float> leaves) {
  if (leaves.empty()) return 0.0f;
  if (leaves.size() == 1) return leaves[0];
  const std::size_t left = std::bit_floor(leaves.size() - 1);
  return sum_of_leaves(leaves.first(left)) + sum_of_leaves(leaves.subspan(left));
}

/// Element by element over `pieces` [shards][count].
Floats tree_sums(const Floats& pieces, std::int64_t shards, std::int64_t count) {
  Floats sums;
  for (std::int64_t i = 0; i < count; ++i) {
    Floats leaves;
    for (std::int64_t s = 0; s < shards; ++s) {
      leaves.push_back(pieces[static_cast<std::size_t>(s * count + i)]);
    }
    sums.push_back(sum_of_leaves(leaves));
  }
  return sums;
}

TEST_F(CudaRowwise, TreesOfPiecesAddUpInTheirOrder) {
  Random random(7);
  for (const std::int64_t shards : {0, 1, 2, 3, 5, 7, 8, 31, 64}) {
    for (const std::int64_t count : {1, 4, 1030}) {
      for (const bool into_a_piece : {false, true}) {
        Case test;
        Tree tree;
        if (shards > 0) tree.build(shards, 0);
        const Floats values = random.values(shards * count);
        float* on_gpu = test.gpu.device(values);
        std::vector<const float*> pieces;
        for (std::int64_t s = 0; s < shards; ++s) pieces.push_back(on_gpu + s * count);
        float* out =
            into_a_piece && shards > 0 ? on_gpu + shards / 2 * count : test.gpu.room<float>(count);
        tree_sum(test.gpu, pieces, tree.steps, count, out);
        EXPECT_EQ(difference(test.host(out, static_cast<std::size_t>(count)),
                             tree_sums(values, shards, count)),
                  "")
            << shards << " pieces of " << count;
      }
    }
  }
}

TEST_F(CudaRowwise, PoolingGivesTheReferenceBits) {
  Random random(8);
  for (const std::int64_t cols : {1, 33, 384, 1025}) {
    Case test;
    const std::int64_t ld = cols + 2;
    Floats x = random.values(40 * ld);
    std::fill_n(x.begin() + 12 * ld, cols, 0.0f);  // a vector without a length
    const std::vector<SequenceSpan> sequences{
        {.row_begin = 3, .rows = 9}, {.row_begin = 12, .rows = 1}, {.row_begin = 20, .rows = 20}};
    for (const Pooling kind : {Pooling::mean, Pooling::first, Pooling::last, Pooling::max,
                               Pooling::mean_sqrt_len, Pooling::weighted_mean}) {
      for (const bool normalize : {false, true}) {
        Floats wanted(static_cast<std::size_t>(3 * cols));
        PoolArgs args{x.data(), ld, cols, kind, normalize, sequences, wanted.data()};
        test.reference->pool(test.threads, args);
        args.x = test.gpu.device(x);
        args.out = test.gpu.room<float>(3 * cols);
        pool(test.gpu, args);
        EXPECT_EQ(difference(test.host(args.out, wanted.size()), wanted), "")
            << cols << " kind " << static_cast<int>(kind) << " normalize " << normalize;
      }
    }
  }
}

void check_embedding_case(Random& random, const trireme::test::Format& format, std::int64_t tail) {
  Case test;
  const trireme::test::Matrix table(random, 70, {33, tail}, format);
  const std::vector<std::byte> source =
      trireme::test::encoded(table.source, format.group > 0 ? DType::f32 : table.shape.dtype);
  std::vector<std::byte> packed(packed_bytes(table.shape));
  const std::size_t panel_source = source.size() / 70 * panel_rows;
  for (std::int64_t panel = 0; panel < 2; ++panel) {
    pack_panel(table.shape, panel, source.data() + static_cast<std::size_t>(panel) * panel_source,
               packed.data() + static_cast<std::size_t>(panel) * panel_bytes(table.shape));
  }
  const std::vector<std::int32_t> ids{100, 169, 99, 170, -1, 0, 132, 131, 164};
  Floats wanted(ids.size() * static_cast<std::size_t>(33 + tail));
  test.reference->embedding(test.threads, ids, {100, 170}, table.shape, table.packed.data(),
                            wanted.data());
  float* out = test.gpu.room<float>(static_cast<std::int64_t>(wanted.size()));
  embedding(test.gpu, ids, {100, 170}, table.shape, test.gpu.device(packed), out);
  EXPECT_EQ(difference(test.host(out, wanted.size()), wanted), "") << name_of(format);
  embedding(test.gpu, {}, {100, 170}, table.shape, nullptr, nullptr);
}

TEST_F(CudaRowwise, EmbeddingGivesTheReferenceBits) {
  Random random(9);
  for (const trireme::test::Format& format : trireme::test::weight_formats) {
    for (const std::int64_t tail : {40, 39}) check_embedding_case(random, format, tail);
  }
}
struct ResidualCase {
  std::int64_t rows, n, shards;  ///< no shards: y is there already
  bool bias, keep_y, centered;
};

void check_residual(Random& random, const ResidualCase& c) {
  SCOPED_TRACE(fmt::format("{} rows of {}, {} shards, bias {} keep {} centered {}", c.rows, c.n,
                           c.shards, c.bias, c.keep_y, c.centered));
  Case test;
  const std::int64_t count = c.rows * c.n;
  const Floats partials = random.values(c.shards * count);
  const Floats bias = random.values(c.n);
  const Floats weight = random.values(c.n);
  const Floats norm_bias = random.values(c.n);
  const Floats before = random.values(count);
  Floats x = before;
  Floats y = c.shards > 0 ? tree_sums(partials, c.shards, count) : random.values(count);
  const Floats given = y;
  Floats h(static_cast<std::size_t>(count));
  if (c.bias) test.reference->add_bias(test.threads, y.data(), bias.data(), c.rows, c.n);
  test.reference->add(test.threads, x.data(), y.data(), count);
  const NormArgs norm{x.data(), h.data(),      c.rows,
                      c.n,      c.n,           1,
                      c.n,      weight.data(), c.centered ? norm_bias.data() : nullptr,
                      1e-6f};
  c.centered ? test.reference->layer_norm(test.threads, norm)
             : test.reference->rms_norm(test.threads, norm);

  ResidualNorm args;
  if (c.shards > 0) args.partials = {test.gpu.device(partials), c.shards, c.rows, c.n};
  if (c.shards == 0) args.y = test.gpu.device(given);
  if (c.shards > 0 && c.keep_y) args.y = test.gpu.room<float>(count);
  args.bias = c.bias ? test.gpu.device(bias) : nullptr;
  args.x = test.gpu.device(before);
  args.h = test.gpu.room<float>(count);
  args.rows = c.rows;
  args.n = c.n;
  args.centered = c.centered;
  args.weight = test.gpu.device(weight);
  args.norm_bias = c.centered ? test.gpu.device(norm_bias) : nullptr;
  args.eps = 1e-6f;
  residual_norm(test.gpu, args);
  EXPECT_EQ(difference(test.host(args.x, x.size()), x), "") << "x";
  EXPECT_EQ(difference(test.host(args.h, h.size()), h), "") << "h";
  if (args.y == nullptr) return;
  EXPECT_EQ(difference(test.host(args.y, y.size()), y), "") << "y";
}

TEST_F(CudaRowwise, ResidualNormIsItsPartsOneAfterAnother) {
  Random random(10);
  for (const std::int64_t shards : {0, 1, 2, 3, 4, 6, 7, 8, 9, 15, 21, 31, 40, 63, 64}) {
    for (const std::int64_t n : {5, 64, 300}) {
      check_residual(random, {2, n, shards, n != 64, n == 64, shards % 2 == 1});
    }
  }
  check_residual(random, {0, 64, 8, true, true, false});
  check_residual(random, {2, 13000, 8, true, false, false});
  check_residual(random, {1, 12033, 3, false, true, true});
}

}  // namespace
}  // namespace trireme::cuda::test
