// y = x W^T of floats: without tensor cores against the reference, bit by bit; on tensor cores
// against double precision, and any number of rows, any tile against any other, bit by bit.
#include "kernels/cuda/linear.h"

#include "../device/support.h"
#include "kernels/cuda/weights.h"
#include "support.h"

namespace trireme::cuda::test {
namespace {

using trireme::test::difference;
using trireme::test::encoded;
using trireme::test::Floats;
using trireme::test::Matrix;
using trireme::test::Random;
using trireme::test::rounded;
using trireme::test::weight_dtypes;

/// A matrix on the device beside the plain one.
struct DeviceMatrix : Matrix {
  const std::byte* on_device = nullptr;

  DeviceMatrix(TestContext& context, Random& random, std::int64_t n,
               std::vector<std::int64_t> shards, DType dtype)
      : Matrix(random, n, std::move(shards), dtype) {
    upload(context);
  }

  void upload(TestContext& context) {
    const DType dtype = shape.dtype;
    const std::vector<std::byte> rows = encoded(source, dtype);
    const std::size_t one_panel = panel_bytes(shape);
    const auto row_bytes = static_cast<std::size_t>(shape.k()) * size_of(dtype);
    std::vector<std::byte> bytes(packed_bytes(shape));
    for (std::int64_t panel = 0; panel * panel_rows < shape.n; ++panel) {
      pack_panel(shape, panel,
                 rows.data() + static_cast<std::size_t>(panel * panel_rows) * row_bytes,
                 bytes.data() + static_cast<std::size_t>(panel) * one_panel);
    }
    on_device = context.device(std::span<const std::byte>(bytes));
  }
};

/// One call, with padded strides if wanted.
struct Call {
  const DeviceMatrix& matrix;
  Floats x;
  std::int64_t m;
  std::int64_t ldx;
  const Floats* bias = nullptr;
  std::int64_t ldy_extra = 0;
  std::vector<Range> shards = {};

  std::int64_t ldy() const { return matrix.shape.n + ldy_extra; }
  std::vector<Range> ranges() const {
    return shards.empty() ? std::vector<Range>{matrix.all_shards()} : shards;
  }
  std::vector<ShardSum> outputs(float* y) const {
    std::vector<ShardSum> all;
    for (const Range range : ranges()) {
      all.push_back({range, y});
      y += m * ldy();
    }
    return all;
  }
  std::int64_t size() const { return m * ldy() * static_cast<std::int64_t>(ranges().size()); }

  Floats run(TestContext& context) const {
    float* const y = context.room<float>(size());
    const std::vector<ShardSum> sums = outputs(y);
    const float* on_device = context.device(std::span<const float>(x));
    const float* bias_on_device =
        bias == nullptr ? nullptr : context.device(std::span<const float>(*bias));
    const LinearArgs args{on_device,      m,    ldx,  &matrix.shape, matrix.on_device,
                          bias_on_device, sums, ldy()};
    linear(context, args);
    return context.host(y, size());
  }

  /// The reference's. What lies between the rows of y stays as `run` leaves it: poison.
  Floats wanted() const {
    Floats y(static_cast<std::size_t>(size()));
    std::memset(y.data(), 0xff, y.size() * sizeof(float));
    const std::vector<ShardSum> sums = outputs(y.data());
    const LinearArgs args{x.data(),
                          m,
                          ldx,
                          &matrix.shape,
                          matrix.packed.data(),
                          bias == nullptr ? nullptr : bias->data(),
                          sums,
                          ldy()};
    ThreadPool threads(1);
    make_backend("reference")->linear(threads, args);
    return y;
  }
};

/// Numbers of multiprocessors that make the launchers choose small tiles and large ones, shards
/// apart and together.
constexpr int processor_counts[] = {1, 6, 1000};

class CudaLinearTest : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (!IsSkipped()) start_afresh();
  }
  /// Frees what the calls so far have left on the device.
  void start_afresh() { context_ = std::make_unique<TestContext>(); }
  /// The GPU is one without tensor cores, or has `processors`, as far as launchers can see.
  void pretend(int capability, int processors) {
    context_->traits.compute_capability = capability;
    context_->traits.multiprocessors = processors;
  }
  void compare(const Call& call, const std::string& what) {
    EXPECT_EQ(difference(call.run(*context_), call.wanted()), "") << what;
  }

  std::unique_ptr<TestContext> context_;
  Random random_{testing::UnitTest::GetInstance()->current_test_info()->line() + 0u};
};

TEST_F(CudaLinearTest, PlainHasTheReferenceBits) {
  for (const DType dtype : weight_dtypes) {
    for (const std::int64_t k : {1, 5, 64, 100}) {
      for (const std::int64_t n : {1, 63, 65}) {
        start_afresh();
        const DeviceMatrix matrix(*context_, random_, n, {k}, dtype);
        for (const std::int64_t m : {1, 2, 9, 17}) {
          pretend(75, processor_counts[random_.integer(0, 2)]);
          const std::int64_t ldx = k + random_.integer(0, 3);
          const Floats x = random_.values(m * ldx);
          const Floats bias = random_.values(n);
          compare(Call{matrix, x, m, ldx, random_.integer(0, 1) == 0 ? nullptr : &bias,
                       random_.integer(0, 5)},
                  fmt::format("{} m {} n {} k {}", name_of(dtype), m, n, k));
        }
      }
    }
  }
}

TEST_F(CudaLinearTest, PlainHasTheReferenceBitsInEveryTileAndSumOfShards) {
  const std::vector<std::int64_t> widths{5, 40, 64, 100, 0, 64, 1};
  for (const DType dtype : weight_dtypes) {
    start_afresh();
    const DeviceMatrix matrix(*context_, random_, 200, widths, dtype);
    const std::int64_t k = matrix.shape.k();
    for (const std::int64_t m : {3, 15, 65, 130}) {
      const Floats x = random_.values(m * k);
      for (const int processors : processor_counts) {
        pretend(75, processors);
        const std::string what = fmt::format("{} m {} on {}", name_of(dtype), m, processors);
        compare(Call{matrix, x, m, k}, what);
        compare(Call{matrix, x, m, k, nullptr, 2, {{0, 4}, {4, 6}, {6, 7}, {4, 5}, {2, 2}}}, what);
      }
    }
  }
}

/// Products and sums among the denormals, which pairs of bfloat16 flush.
TEST_F(CudaLinearTest, PlainHasTheReferenceBitsAmongTheSmallestNumbers) {
  pretend(75, 6);
  for (const DType dtype : weight_dtypes) {
    DeviceMatrix matrix(*context_, random_, 64, {3, 5, 8}, dtype);
    for (float& value : matrix.source) value = rounded(value * 0x1p-12f, dtype);
    matrix.pack();
    matrix.upload(*context_);
    Floats x = random_.values(20 * 16);
    for (float& value : x) value *= 0x1p-114f;
    compare(Call{matrix, x, 20, 16}, std::string(name_of(dtype)));
    compare(Call{matrix, x, 2, 16, nullptr, 0, {{0, 1}, {1, 2}, {2, 3}}},
            std::string(name_of(dtype)));
  }
}

/// 2^-126 - 1.5 * 2^-151: rounds up to a number that is normal, but is tiny all the same.
TEST_F(CudaLinearTest, PairsAreTinyAsIfExponentsHadNoBound) {
  pretend(75, 6);
  DeviceMatrix matrix(*context_, random_, 1, {2}, DType::bf16);
  matrix.source = {0x1p-76f, 0x1p-63f};
  matrix.pack();
  matrix.upload(*context_);
  for (const float factor : {1.0f, 1.5f, 2.0f, 3.0f}) {
    compare(Call{matrix, {-factor * 0x1p-75f, 0x1p-63f}, 1, 2}, std::to_string(factor));
  }
}

TEST_F(CudaLinearTest, PlainReadsAlignedInputWhereItLies) {
  pretend(90, 6);
  const DeviceMatrix matrix(*context_, random_, 70, {128, 64}, DType::f32);
  for (const std::int64_t m : {1, 20}) {
    const Floats x = random_.values(m * 196);
    compare(Call{matrix, x, m, 196}, fmt::format("m {}", m));
  }
}

double oracle(const Matrix& matrix, const float* x, std::int64_t column, double& magnitude) {
  const std::int64_t k = matrix.shape.k();
  double sum = 0;
  magnitude = 0;
  for (std::int64_t i = 0; i < k; ++i) {
    const double product = double{rounded(x[i], matrix.shape.dtype)} *
                           double{matrix.plain[static_cast<std::size_t>(column * k + i)]};
    sum += product;
    magnitude += std::fabs(product);
  }
  return sum;
}

constexpr DType tensor_dtypes[] = {DType::bf16, DType::f16};

TEST_F(CudaLinearTest, TensorCoresAgreeWithDoublePrecision) {
  for (const DType dtype : tensor_dtypes) {
    for (const std::vector<std::int64_t>& widths :
         {std::vector<std::int64_t>{5}, {64}, {100}, {40, 64, 5, 0, 100}}) {
      for (const std::int64_t n : {1, 65}) {
        const DeviceMatrix matrix(*context_, random_, n, widths, dtype);
        const std::int64_t k = matrix.shape.k();
        const Floats bias = random_.values(n);
        for (const std::int64_t m : {1, 12, 20}) {
          pretend(80, processor_counts[random_.integer(0, 2)]);
          const std::int64_t ldx = k + random_.integer(0, 3);
          const Floats x = random_.values(m * ldx);
          const Floats y = Call{matrix, x, m, ldx, &bias}.run(*context_);
          for (std::int64_t i = 0; i < m * n; ++i) {
            double magnitude = 0;
            const double wanted = oracle(matrix, x.data() + i / n * ldx, i % n, magnitude) +
                                  double{bias[static_cast<std::size_t>(i % n)]};
            ASSERT_NEAR(double{y[static_cast<std::size_t>(i)]}, wanted, 1e-5 * (magnitude + 1))
                << name_of(dtype) << " m " << m << " n " << n << " k " << k << " element " << i;
          }
        }
      }
    }
  }
}

/// The rows of y, each cut off at n.
Floats rows_of(const Floats& y, std::int64_t ldy, std::int64_t n, std::int64_t begin,
               std::int64_t end) {
  Floats rows;
  for (std::int64_t row = begin; row < end; ++row) {
    rows.insert(rows.end(), y.begin() + row * ldy, y.begin() + row * ldy + n);
  }
  return rows;
}

TEST_F(CudaLinearTest, TensorCoresGiveARowItsBitsWhateverTheOthers) {
  constexpr std::int64_t most = 129;
  constexpr std::int64_t n = 70;
  for (const DType dtype : tensor_dtypes) {
    start_afresh();
    pretend(90, 1);
    const DeviceMatrix matrix(*context_, random_, n, {700, 33, 64}, dtype);
    const std::int64_t k = matrix.shape.k();
    const Floats x = random_.values(most * k);
    const Floats bias = random_.values(n);
    const Floats all = Call{matrix, x, most, k, &bias}.run(*context_);
    std::vector<std::int64_t> counts{128, most};
    for (std::int64_t m = 1; m <= 40; ++m) counts.push_back(m);
    for (const std::int64_t m : counts) {
      pretend(90, processor_counts[m % 3]);
      const std::int64_t offset = random_.integer(0, most - m);
      const Floats part(x.begin() + offset * k, x.begin() + (offset + m) * k);
      const Call call{matrix, part, m, k, &bias, m % 4};
      EXPECT_EQ(difference(rows_of(call.run(*context_), call.ldy(), n, 0, m),
                           rows_of(all, n, n, offset, offset + m)),
                "")
          << name_of(dtype) << " m " << m << " offset " << offset;
    }
  }
}

/// Sizes and numbers of multiprocessors for which each of the tiles is the cheapest once.
TEST_F(CudaLinearTest, TensorCoresGiveTheSameBitsInEveryTile) {
  const std::vector<std::int64_t> widths{100, 64, 30};
  constexpr std::int64_t k = 194;
  for (const DType dtype : tensor_dtypes) {
    for (const auto& [n, m] : {std::pair{300, 150}, std::pair{120, 120}}) {
      const DeviceMatrix matrix(*context_, random_, n, widths, dtype);
      const Floats x = random_.values(m * k);
      Floats first;
      for (const int processors : {1, 4, 12, 1000}) {
        for (const std::size_t shared : {227u << 10, 99u << 10}) {
          pretend(90, processors);
          context_->traits.shared_bytes_per_block = shared;
          const Floats y = Call{matrix, x, m, k}.run(*context_);
          if (first.empty()) first = y;
          EXPECT_EQ(difference(y, first), "") << name_of(dtype) << " on " << processors;
        }
        for (const std::int64_t rows : {3, 12}) {
          const Floats few(x.begin() + 100 * k, x.begin() + (100 + rows) * k);
          EXPECT_EQ(difference(Call{matrix, few, rows, k}.run(*context_),
                               rows_of(first, n, n, 100, 100 + rows)),
                    "")
              << name_of(dtype) << " rows " << rows << " on " << processors;
        }
      }
    }
  }
}

/// What ranks contribute adds up, along the tree, to what one rank computes.
TEST_F(CudaLinearTest, SubtreesAddUpToTheWhole) {
  constexpr std::int64_t n = 65;
  for (const DType dtype : tensor_dtypes) {
    const DeviceMatrix matrix(*context_, random_, n, {64, 40, 64, 17, 64, 0, 100}, dtype);
    const std::int64_t k = matrix.shape.k();
    for (const std::int64_t m : {2, 33}) {
      const Floats x = random_.values(m * k);
      for (const int processors : processor_counts) {
        pretend(90, processors);
        const Floats whole = Call{matrix, x, m, k}.run(*context_);
        const Floats parts =
            Call{matrix, x, m, k, nullptr, 0, {{0, 4}, {4, 6}, {6, 7}}}.run(*context_);
        const auto size = static_cast<std::size_t>(m * n);
        Floats sum(size);
        for (std::size_t i = 0; i < size; ++i) {
          sum[i] = parts[i] + (parts[size + i] + parts[2 * size + i]);
        }
        EXPECT_EQ(difference(sum, whole), "") << name_of(dtype) << " m " << m;
      }
    }
  }
}

TEST_F(CudaLinearTest, PartialsAreTheShardsSums) {
  for (const DType dtype : weight_dtypes) {
    for (const std::int64_t n : {65, 640}) {
      pretend(90, 6);
      const DeviceMatrix matrix(*context_, random_, n, {64, 40, 5}, dtype);
      const Floats x = random_.values(3 * 109);
      const float* on_device = context_->device(std::span<const float>(x));
      std::vector<ShardSum> outputs{{{0, 3}, context_->room<float>(n * 3)}};
      const LinearArgs args{on_device,        3,       109,     &matrix.shape,
                            matrix.on_device, nullptr, outputs, n};
      ShardPartials partials;
      ASSERT_TRUE(linear_partials(*context_, args, partials));
      EXPECT_EQ(partials.shards, 3);
      EXPECT_EQ(partials.m, 3);
      EXPECT_EQ(partials.n, n);
      const Floats sums = context_->host(partials.data, 9 * n);
      const Floats wanted =
          Call{matrix, x, 3, 109, nullptr, 0, {{0, 1}, {1, 2}, {2, 3}}}.run(*context_);
      EXPECT_EQ(difference(sums, wanted), "") << name_of(dtype);
      outputs[0].shards = {0, 2};
      EXPECT_FALSE(linear_partials(*context_, args, partials));
    }
  }
}

TEST_F(CudaLinearTest, InfinitiesAndNaNsStayInTheirRow) {
  for (const DType dtype : weight_dtypes) {
    const DeviceMatrix matrix(*context_, random_, 40, {64, 20}, dtype);
    for (const std::int64_t m : {3, 20}) {
      for (const int capability : {75, 90}) {
        pretend(capability, 6);
        Floats x = random_.values(m * 84);
        const Floats before = Call{matrix, x, m, 84}.run(*context_);
        x[84 + 3] = HUGE_VALF;
        x[84 + 5] = -HUGE_VALF;
        x[84 + 79] = std::nanf("");
        const Floats y = Call{matrix, x, m, 84}.run(*context_);
        for (std::int64_t i = 0; i < m * 40; ++i) {
          const float value = y[static_cast<std::size_t>(i)];
          if (i / 40 == 1) {
            EXPECT_TRUE(std::isnan(value));
          } else {
            EXPECT_EQ(std::bit_cast<std::uint32_t>(value),
                      std::bit_cast<std::uint32_t>(before[static_cast<std::size_t>(i)]));
          }
        }
      }
    }
  }
}

TEST_F(CudaLinearTest, NothingToDoAndNothingToAdd) {
  for (const DType dtype : weight_dtypes) {
    pretend(90, 6);
    const DeviceMatrix none(*context_, random_, 0, {64}, dtype);
    const Floats x = random_.values(20 * 64);
    EXPECT_TRUE((Call{none, x, 2, 64}.run(*context_).empty()));
    const DeviceMatrix some(*context_, random_, 5, {64}, dtype);
    EXPECT_TRUE((Call{some, x, 0, 64}.run(*context_).empty()));
    const DeviceMatrix no_shards(*context_, random_, 5, {}, dtype);
    const DeviceMatrix no_width(*context_, random_, 5, {0, 0}, dtype);
    const Floats bias = random_.values(5);
    for (const std::int64_t m : {2, 20}) {
      compare(Call{no_shards, x, m, 64, &bias}, std::string(name_of(dtype)));
      compare(Call{no_width, x, m, 64, &bias}, std::string(name_of(dtype)));
    }
  }
}

TEST_F(CudaLinearTest, ScratchStaysWithinWhatIsForetold) {
  for (const DType dtype : weight_dtypes) {
    const DeviceMatrix matrix(*context_, random_, 130, {64, 40, 64}, dtype);
    for (const int capability : {75, 90}) {
      for (const int processors : processor_counts) {
        pretend(capability, processors);
        for (const std::int64_t m : {1, 16, 17, 70}) {
          context_->largest_scratch = 0;
          const Floats x = random_.values(m * 168);
          Call{matrix, x, m, 168}.run(*context_);
          EXPECT_LE(context_->largest_scratch,
                    linear_scratch_bytes(matrix.shape, m, capability >= 80));
          EXPECT_LE(context_->largest_scratch,
                    linear_scratch_bytes(matrix.shape, 70, capability >= 80));
        }
      }
    }
  }
}

}  // namespace
}  // namespace trireme::cuda::test
