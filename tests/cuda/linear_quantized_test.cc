// Products of i8, i4 and u4 on a GPU against the reference backend, bit for bit: every kernel,
// every number of rows, awkward groups and shards.
#include "kernels/cuda/linear_quantized.h"

#include <cmath>
#include <limits>

#include "../device/support.h"
#include "kernels/cuda/weights.h"
#include "support.h"

namespace trireme::cuda::test {
namespace {

using trireme::test::difference;
using trireme::test::Floats;
using trireme::test::Format;
using trireme::test::Matrix;
using trireme::test::Random;

constexpr int capabilities[] = {75, 90};

std::vector<std::byte> packed_for_gpu(const Matrix& matrix) {
  const MatrixShape& shape = matrix.shape;
  const std::vector<std::byte> source = trireme::test::encoded(matrix.source, DType::f32);
  const std::size_t row_bytes = static_cast<std::size_t>(shape.k()) * sizeof(float);
  std::vector<std::byte> packed(packed_bytes(shape));
  for (std::int64_t panel = 0; panel * panel_rows < shape.n; ++panel) {
    pack_panel(shape, panel,
               source.data() + static_cast<std::size_t>(panel * panel_rows) * row_bytes,
               packed.data() + static_cast<std::size_t>(panel) * panel_bytes(shape));
  }
  return packed;
}

/// One product, with room between the rows of x and of y.
struct Problem {
  Matrix matrix;
  std::int64_t m, ldx, ldy;
  Floats x;
  Floats bias;
  std::vector<Range> outputs;

  Problem(Random& random, std::int64_t n, std::vector<std::int64_t> shards, Format format,
          std::int64_t rows)
      : matrix(random, n, std::move(shards), format),
        m(rows),
        ldx(matrix.shape.k() + random.integer(0, 5)),
        ldy(n + random.integer(0, 5)),
        x(random.values(rows * ldx)),
        bias(random.values(n)),
        outputs{matrix.all_shards()} {}

  std::int64_t y_size() const { return m * ldy; }
  LinearArgs args() const {
    return {.x = x.data(),
            .m = m,
            .ldx = ldx,
            .shape = &matrix.shape,
            .w = matrix.packed.data(),
            .bias = outputs.size() == 1 ? bias.data() : nullptr,
            .ldy = ldy};
  }

  /// y of each output, one after another; what is not written stays NaN.
  Floats wanted() const {
    Floats y(outputs.size() * static_cast<std::size_t>(y_size()), std::nanf(""));
    std::vector<ShardSum> sums;
    for (const Range& shards : outputs) {
      sums.push_back({shards, y.data() + sums.size() * static_cast<std::size_t>(y_size())});
    }
    LinearArgs arguments = args();
    arguments.outputs = sums;
    ThreadPool threads(1);
    make_backend("reference")->linear(threads, arguments);
    return y;
  }
};

/// A problem's arrays on the device.
struct OnDevice {
  TestContext context;
  const Problem& problem;
  LinearArgs args;
  float* y;
  std::vector<ShardSum> sums;

  OnDevice(const Problem& its_problem, int capability, int multiprocessors = 132)
      : problem(its_problem), args(problem.args()) {
    // A real GPU runs what it can: it has no tensor cores to lose, but may do without.
    context.traits.compute_capability = std::min(context.traits.compute_capability, capability);
    context.traits.multiprocessors = multiprocessors;
    args.x = context.device(problem.x);
    args.w = context.device(packed_for_gpu(problem.matrix));
    args.bias = args.bias == nullptr ? nullptr : context.device(problem.bias);
    y = context.room<float>(static_cast<std::int64_t>(problem.outputs.size()) * problem.y_size());
    for (const Range& shards : problem.outputs) {
      sums.push_back({shards, y + static_cast<std::int64_t>(sums.size()) * problem.y_size()});
    }
    args.outputs = sums;
  }
  Floats result() {
    return context.host(y, static_cast<std::int64_t>(sums.size()) * problem.y_size());
  }
  Floats product() {
    linear_quantized(context, args);
    EXPECT_LE(context.largest_scratch,
              linear_quantized_scratch_bytes(problem.matrix.shape, problem.m));
    return result();
  }
};

class CudaLinearQuantized : public CudaTest {
 protected:
  static void expect_bits(const Problem& problem, int multiprocessors = 132) {
    const Floats wanted = problem.wanted();
    for (const int capability : capabilities) {
      OnDevice device(problem, capability, multiprocessors);
      EXPECT_EQ(difference(device.product(), wanted), "")
          << trireme::test::name_of({problem.matrix.shape.dtype, problem.matrix.shape.group})
          << " n " << problem.matrix.shape.n << " k " << problem.matrix.shape.k() << " in "
          << problem.matrix.shape.k_shards.size() << " shards, m " << problem.m << ", capability "
          << capability << ", multiprocessors " << multiprocessors;
    }
  }
};

const std::vector<Format> formats = {{DType::i8, 256}, {DType::i8, 32},  {DType::i8, 8},
                                     {DType::i4, 64},  {DType::i4, 128}, {DType::i4, 40},
                                     {DType::u4, 128}, {DType::u4, 32},  {DType::u4, 8}};

TEST_F(CudaLinearQuantized, GivesTheReferencesBitsForAnyGroup) {
  Random random(1);
  for (const Format& format : formats) {
    for (const std::int64_t m : {1, 7, 17, 40}) {
      expect_bits({random, 65, {300}, format, m});
      expect_bits({random, 33, {128, 65, 31}, format, m});
    }
  }
}

TEST_F(CudaLinearQuantized, GivesTheReferencesBitsForAnyNumberOfRows) {
  Random random(2);
  for (const Format& format : {Format{DType::i8, 128}, {DType::i4, 32}, {DType::u4, 64}}) {
    for (const std::int64_t m : {0, 1, 2, 8, 9, 16, 17, 32, 33, 64, 65, 130}) {
      expect_bits({random, 70, {96, 33}, format, m});
    }
  }
}

TEST_F(CudaLinearQuantized, GivesTheReferencesBitsForAnyNumberOfFeatures) {
  Random random(3);
  for (const Format& format : {Format{DType::i8, 64}, {DType::i4, 64}, {DType::u4, 32}}) {
    for (const std::int64_t n : {0, 1, 31, 32, 33, 63, 64, 128, 129}) {
      expect_bits({random, n, {65}, format, 3});
      expect_bits({random, n, {65}, format, 18});
    }
  }
}

/// How many multiprocessors there are decides which tiles are used, whether shards are summed one
/// by one, and how many tiles one thread block makes.
TEST_F(CudaLinearQuantized, GivesTheSameBitsHoweverTheWorkIsCut) {
  Random random(4);
  for (const Format& format : {Format{DType::i8, 64}, {DType::i4, 32}, {DType::u4, 40}}) {
    for (const std::int64_t m : {20, 50, 130, 140}) {
      const Problem problem(random, 200, {40, 33, 64, 8, 32}, format, m);
      for (const int multiprocessors : {1, 6, 132}) expect_bits(problem, multiprocessors);
    }
  }
}

/// More groups than one round holds in shared memory.
TEST_F(CudaLinearQuantized, GivesTheReferencesBitsForManyGroups) {
  Random random(5);
  for (const Format& format : {Format{DType::i8, 8}, {DType::i4, 16}, {DType::u4, 8}}) {
    for (const std::int64_t m : {1, 8, 13, 20}) expect_bits({random, 34, {1500, 40}, format, m});
  }
}

TEST_F(CudaLinearQuantized, AddsShardsUpInTheirTree) {
  Random random(6);
  for (const std::size_t count : {2u, 3u, 6u, 7u, 8u, 64u}) {
    for (const std::int64_t m : {2, 19, 130}) {
      Problem problem(random, 40, std::vector<std::int64_t>(count, 9), {DType::i4, 8}, m);
      expect_bits(problem, 1);
      expect_bits(problem);
    }
  }
}

TEST_F(CudaLinearQuantized, FillsSeveralOutputs) {
  Random random(7);
  for (const std::int64_t m : {3, 21}) {
    Problem problem(random, 35, {16, 0, 40, 33, 64, 8}, {DType::u4, 32}, m);
    problem.outputs = {{1, 5}, {0, 1}, {5, 6}};
    expect_bits(problem);
    problem.outputs = {{0, 1}, {5, 6}};
    expect_bits(problem);
    problem.outputs = {{2, 5}};
    expect_bits(problem);
    problem.outputs = {{2, 3}};
    expect_bits(problem);
    problem.outputs = {{3, 3}};
    expect_bits(problem);
  }
}

TEST_F(CudaLinearQuantized, TakesShardsWithoutWidth) {
  Random random(8);
  for (const std::int64_t m : {1, 30}) {
    expect_bits({random, 5, {0}, {DType::i8, 32}, m});
    expect_bits({random, 5, {0, 0, 40, 0, 0}, {DType::i8, 32}, m});
    expect_bits({random, 5, {40, 0}, {DType::i4, 32}, m}, 1);
  }
}

/// Without a bias, and x whose groups are all kinds of small or not numbers at all.
TEST_F(CudaLinearQuantized, RoundsOddGroupsOfXAsTheReferenceDoes) {
  Random random(9);
  for (const DType dtype : {DType::i8, DType::i4, DType::u4}) {
    for (const std::int64_t m : {6, 24}) {
      Problem problem(random, 33, {64, 64, 30}, {dtype, 32}, m);
      const auto fill = [&](std::int64_t row, std::int64_t begin, std::int64_t end, float factor) {
        for (std::int64_t k = begin; k < end; ++k) {
          problem.x[static_cast<std::size_t>(row * problem.ldx + k)] *= factor;
        }
      };
      fill(0, 0, 158, 1e-38f);    // below the smallest scale
      fill(1, 32, 64, 0.0f);      // zeros of both signs
      fill(2, 0, 158, 0x1p-98f);  // above it, with products that are denormal
      fill(3, 0, 158, 1e37f);     // some overflow to infinity
      problem.x[static_cast<std::size_t>(4 * problem.ldx + 70)] = std::nanf("");
      problem.x[static_cast<std::size_t>(5 * problem.ldx + 157)] =
          -std::numeric_limits<float>::infinity();
      std::fill(problem.bias.begin(), problem.bias.end(), -0.0f);
      expect_bits(problem);
    }
  }
}

TEST_F(CudaLinearQuantized, GroupsOfWeightsThatAreNotNumbersStayAmongThemselves) {
  Random random(10);
  for (const DType dtype : {DType::i8, DType::i4}) {
    for (const std::int64_t m : {2, 20}) {
      Problem problem(random, 40, {64, 40}, {dtype, 32}, m);
      problem.matrix.source[70] = std::numeric_limits<float>::infinity();
      problem.matrix.pack();
      expect_bits(problem);
    }
  }
}

TEST_F(CudaLinearQuantized, LeavesTheTreeToOthers) {
  Random random(11);
  for (const int capability : capabilities) {
    for (const std::int64_t m : {1, 16, 20, 128}) {
      Problem problem(random, 50, {33, 64, 20, 8, 0}, {DType::i4, 32}, m);
      problem.outputs = {{1, 5}};
      OnDevice device(problem, capability);
      ShardPartials partials;
      ASSERT_TRUE(linear_quantized_partials(device.context, device.args, partials));
      EXPECT_EQ(partials.shards, 4);
      EXPECT_EQ(partials.m, m);
      EXPECT_EQ(partials.n, 50);
      const ShardSum all{{0, 4}, device.y};
      sum_partials(device.context, partials, device.args.bias, {&all, 1}, problem.ldy);
      EXPECT_EQ(difference(device.result(), problem.wanted()), "");
    }
  }
}

TEST_F(CudaLinearQuantized, HasNothingToLeaveWhereThereIsNoTree) {
  Random random(12);
  ShardPartials partials;
  const auto leaves = [&](const Problem& problem) {
    OnDevice device(problem, 90, 1);
    return linear_quantized_partials(device.context, device.args, partials);
  };
  EXPECT_FALSE(leaves({random, 50, {64}, {DType::i4, 32}, 1}));
  EXPECT_FALSE(leaves({random, 50, {64, 64}, {DType::i4, 32}, 0}));
  EXPECT_FALSE(leaves({random, 50, {64, 64}, {DType::i4, 32}, 150}));
  Problem two(random, 50, {64, 64}, {DType::i4, 32}, 1);
  two.outputs = {{0, 1}, {1, 2}};
  EXPECT_FALSE(leaves(two));
}

}  // namespace
}  // namespace trireme::cuda::test
