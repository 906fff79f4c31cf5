// Products of i8, i4 and u4 weights on AMX tiles, over the emulated tiles everywhere and over the
// real ones where the machine has them: the reference's bits, whatever the rows, threads and
// blocking.
#include <limits>

#include "amx_builds.h"
#include "kernels/reference/reference_backend.h"
#include "support.h"

namespace trireme::amx {
namespace {

using test::Floats;
using test::Format;
using test::Matrix;
using test::Random;
using Shards = std::vector<std::int64_t>;

const Format formats[] = {{DType::i8, 256}, {DType::i8, 64}, {DType::i8, 24},  {DType::i4, 64},
                          {DType::i4, 512}, {DType::i4, 8},  {DType::u4, 128}, {DType::u4, 32}};

/// One product, inputs and outputs wider than they need be.
struct Call {
  const Matrix& matrix;
  std::int64_t m;
  std::int64_t ldx;
  Floats x;
  Floats bias;

  Call(Random& random, const Matrix& its_matrix, std::int64_t rows)
      : matrix(its_matrix),
        m(rows),
        ldx(matrix.shape.k() + 3),
        x(random.values(m * ldx)),
        bias(random.values(matrix.shape.n)) {}

  /// [outputs][rows][n + 5]
  template <typename Run>
  Floats with(Range rows, const std::vector<Range>& outputs, const Run& run) const {
    const std::int64_t ldy = matrix.shape.n + 5;
    Floats y(static_cast<std::size_t>(std::ssize(outputs) * rows.size() * ldy), -12345.0f);
    std::vector<ShardSum> sums;
    for (const Range shards : outputs) {
      sums.push_back({shards, y.data() + std::ssize(sums) * rows.size() * ldy});
    }
    LinearArgs args;
    args.x = x.data() + rows.begin * ldx;
    args.m = rows.size();
    args.ldx = ldx;
    args.shape = &matrix.shape;
    args.w = matrix.packed.data();
    args.bias = outputs.size() == 1 ? bias.data() : nullptr;
    args.outputs = sums;
    args.ldy = ldy;
    run(args);
    return y;
  }
  Floats on(const Backend& backend, ThreadPool& threads, Range rows,
            const std::vector<Range>& outputs) const {
    return with(rows, outputs, [&](const LinearArgs& args) { backend.linear(threads, args); });
  }
  Floats reference(ThreadPool& threads, const std::vector<Range>& outputs) const {
    return on(*make_backend("reference"), threads, {0, m}, outputs);
  }
  Floats reference(ThreadPool& threads) const { return reference(threads, {matrix.all_shards()}); }
  /// Over tiles; in the blocking that is chosen, or in another.
  Floats tiles(const Kernels& kernels, ThreadPool& threads, Range rows,
               const std::vector<Range>& outputs, const Blocking* blocking = nullptr) const {
    return with(rows, outputs, [&](const LinearArgs& args) {
      Workspace workspace;
      linear(kernels, threads, args,
             blocking == nullptr ? blocking_for(args, threads.size()) : *blocking, workspace);
    });
  }
  Floats tiles(const Kernels& kernels, ThreadPool& threads) const {
    return tiles(kernels, threads, {0, m}, {matrix.all_shards()});
  }
};

std::vector<Blocking> odd_blockings() {
  std::vector<Blocking> blockings;
  for (const Grid grid : {Grid::one_by_two, Grid::two_by_two}) {
    blockings.push_back({grid, 16, 2, 1, 1, 1, false});
    blockings.push_back({grid, 7, 4, 2, 4, 3, false});
    blockings.push_back({grid, 16, 3, 16, 32, 2, true});
    blockings.push_back({grid, 1, 5, 3, 2, 2, true});
  }
  return blockings;
}

class AmxIntegers : public AmxTest {};

INSTANTIATE_TEST_SUITE_P(Tiles, AmxIntegers, all_builds(), build_name);

TEST_P(AmxIntegers, GiveTheReferenceBitsAtAwkwardSizes) {
  Random random(1);
  for (const Format& format : formats) {
    for (const Shards& shards : {Shards{1}, {63}, {65}, {256, 256, 70}, {31, 0, 33, 7}, {600}}) {
      for (const std::int64_t n : {1, 17, 33, 70}) {
        const Matrix matrix(random, n, shards, format);
        const Call call(random, matrix, random.integer(1, 40));
        EXPECT_EQ(test::difference(call.tiles(kernels(), one_), call.reference(one_)), "")
            << name_of(format) << ", m " << call.m << ", n " << n << ", " << shards.size()
            << " shards of " << shards[0];
      }
    }
  }
}

TEST_P(AmxIntegers, GiveTheReferenceBitsForEveryNumberOfRows) {
  Random random(2);
  for (const Format& format : {Format(DType::i8, 256), Format(DType::i4, 64)}) {
    const Matrix matrix(random, 40, {256, 100}, format);
    for (const std::int64_t m : {1, 2, 13, 15, 16, 17, 31, 32, 33, 48, 49, 63, 64, 65, 97, 130}) {
      const Call call(random, matrix, m);
      EXPECT_EQ(test::difference(call.tiles(kernels(), three_), call.reference(three_)), "")
          << name_of(format) << ", m " << m;
    }
  }
}

TEST_P(AmxIntegers, ARowDoesNotDependOnTheOthers) {
  Random random(3);
  const Matrix matrix(random, 40, {64, 33, 64}, {DType::u4, 64});
  const Call call(random, matrix, 70);
  const Floats all = call.tiles(kernels(), one_);
  for (std::int64_t m = 1; m <= 70; m += 3) {
    const std::int64_t begin = (m * 11) % (71 - m);
    const Floats part = call.tiles(kernels(), three_, {begin, begin + m}, {matrix.all_shards()});
    const Floats wanted(all.begin() + begin * 45, all.begin() + (begin + m) * 45);
    EXPECT_EQ(test::difference(part, wanted), "") << "m " << m << " from " << begin;
  }
}

TEST_P(AmxIntegers, BlockingDoesNotShow) {
  Random random(4);
  for (const Format& format :
       {Format(DType::i8, 128), Format(DType::i4, 64), Format(DType::u4, 40)}) {
    const Matrix matrix(random, 150, {128, 70, 256, 0, 1, 64}, format);
    for (const std::int64_t m : {5, 33, 60}) {
      const Call call(random, matrix, m);
      const Floats wanted = call.reference(three_);
      for (const Blocking& blocking : odd_blockings()) {
        const Floats y = call.tiles(kernels(), three_, {0, m}, {matrix.all_shards()}, &blocking);
        EXPECT_EQ(test::difference(y, wanted), "")
            << name_of(format) << ", m " << m << ", grid " << static_cast<int>(blocking.grid)
            << ", " << blocking.tile_rows << " rows, " << blocking.chunk_steps << " steps";
      }
    }
  }
}

TEST_P(AmxIntegers, SeveralOutputsAreTheirOwnTrees) {
  Random random(5);
  for (const Format& format : {Format(DType::i8, 64), Format(DType::u4, 32)}) {
    const Matrix matrix(random, 45, {32, 40, 128, 1, 64, 33, 96, 0, 5}, format);
    const Call call(random, matrix, 19);
    const std::vector<Range> outputs = {{0, 1}, {1, 2}, {2, 6}, {6, 9}, {0, 9}, {4, 4}, {7, 8}};
    const Floats wanted = call.reference(one_, outputs);
    for (const Blocking& blocking : odd_blockings()) {
      EXPECT_EQ(test::difference(call.tiles(kernels(), one_, {0, 19}, outputs, &blocking), wanted),
                "");
    }
  }
}

TEST_P(AmxIntegers, TheLargestSumsAreExact) {
  // 512 inputs of 127 by weights of +-127, -8, 7 and of codes far from their zeros.
  Random random(6);
  for (const Format& format :
       {Format(DType::i8, 512), Format(DType::i4, 512), Format(DType::u4, 512)}) {
    Matrix matrix(random, 32, {512, 512}, format);
    for (std::size_t i = 0; i < matrix.source.size(); ++i) {
      const bool negative = i / 1024 % 2 == 0;
      if (format.dtype == DType::u4) {
        const CodedWeight weight{static_cast<std::uint8_t>(negative ? 0 : 15),
                                 static_cast<std::uint8_t>(negative ? 15 : 0), f32_to_f16(0.5f)};
        matrix.source[i] = std::bit_cast<float>(weight);
      } else {
        matrix.source[i] = negative ? -1.0f : 1.0f;
      }
    }
    matrix.pack();
    Call call(random, matrix, 20);
    for (std::size_t i = 0; i < call.x.size(); ++i) call.x[i] = i / 1027 % 3 == 0 ? -2.0f : 3.0f;
    EXPECT_EQ(test::difference(call.tiles(kernels(), one_), call.reference(one_)), "")
        << name_of(format);
  }
}

TEST_P(AmxIntegers, WhatIsNotFiniteStaysInItsRowAndWhatIsTinyIsZero) {
  Random random(7);
  const Matrix matrix(random, 33, {100, 256}, {DType::i8, 64});
  Call call(random, matrix, 20);
  const auto x = [&](std::int64_t row, std::int64_t k) -> float& {
    return call.x[static_cast<std::size_t>(row * call.ldx + k)];
  };
  x(7, 2) = std::numeric_limits<float>::infinity();
  x(9, 99) = -std::numeric_limits<float>::quiet_NaN();
  for (std::int64_t k = 0; k < 356; ++k) x(11, k) = k % 2 == 0 ? 1e-35f : -1e-41f;
  x(12, 5) = 3e36f;
  const Floats y = call.tiles(kernels(), one_);
  EXPECT_EQ(test::difference(y, call.reference(one_)), "");
  for (std::int64_t i = 0; i < 20 * 38; ++i) {
    if (i % 38 >= 33) continue;
    const bool bad = i / 38 == 7 || i / 38 == 9;
    EXPECT_EQ(std::isfinite(y[static_cast<std::size_t>(i)]), !bad) << i;
  }
}

TEST(AmxIntegerPlan, BlockingFitsTheMachine) {
  for (std::int64_t m = 1; m < 3000; m += 7) {
    for (const std::int64_t steps : {1, 32, 448}) {
      const Blocking b = choose_integer_blocking(m, 64, steps, 2);
      EXPECT_GE(b.item_panels, 1);
      EXPECT_LE(b.tile_rows, 16);
      EXPECT_LE(b.chunk_steps, 8);  // 16 kB of weights in L1
      EXPECT_GE(b.tile_rows * b.block_tiles * ceil_div(ceil_div(m, b.tile_rows), b.block_tiles), m);
      EXPECT_TRUE(b.streamed || b.block_tiles * b.outer_steps * 1024 <= 1 << 20);
    }
  }
}

TEST(AmxIntegerTrap, CarriesOutTheRealInstructions) {
  const std::string reason = AmxTrap::why_not();
  if (!reason.empty()) GTEST_SKIP() << reason;
  const AmxTrap trap;
  ThreadPool threads(1);
  Random random(8);
  for (const Format& format : {Format(DType::i8, 256), Format(DType::i4, 64)}) {
    const Matrix matrix(random, 32, {256}, format);
    const Call call(random, matrix, 16);
    const long before = trapped_instructions();
    call.tiles(hardware_kernels(), threads);
    // LDTILECFG; four steps of two tiles of weights, one of activations and two products; of each
    // group two accumulators: TILEZERO and TILESTORED; TILERELEASE.
    const long groups = 256 / format.group;
    EXPECT_EQ(trapped_instructions() - before, 1 + 4 * (3 + 2) + groups * 2 * 2 + 1);
  }
}

/// Counts the products that come to it.
class CountingBackend : public ReferenceBackend {
 public:
  explicit CountingBackend(int& count) : count_(count) {}

  void linear(ThreadPool& threads, const LinearArgs& args) const override {
    ++count_;
    ReferenceBackend::linear(threads, args);
  }

 private:
  int& count_;
};

TEST(AmxIntegerBackend, LeavesFewRowsAndNarrowGroupsToItsBase) {
  Random random(9);
  ThreadPool threads(2);
  int count = 0;
  const auto backend = make_emulated_amx_backend(std::make_unique<CountingBackend>(count));
  const auto from_base = [&](const Format& format, std::int64_t m) {
    const Matrix matrix(random, 40, {128, 70}, format);
    const Call call(random, matrix, m);
    count = 0;
    const Floats y = call.on(*backend, threads, {0, m}, {matrix.all_shards()});
    EXPECT_EQ(test::difference(y, call.reference(threads)), "") << name_of(format) << ", m " << m;
    return count;
  };
  for (const Format& format :
       {Format(DType::i8, 256), Format(DType::i4, 64), Format(DType::u4, 128)}) {
    EXPECT_EQ(from_base(format, fewest_integer_rows - 1), 1);
    EXPECT_EQ(from_base(format, fewest_integer_rows), 0);
    EXPECT_EQ(from_base(format, 50), 0);
  }
  EXPECT_EQ(from_base({DType::u4, narrowest_integer_group / 2}, 50), 1);
  EXPECT_EQ(from_base(DType::f32, 50), 1);
}

}  // namespace
}  // namespace trireme::amx
