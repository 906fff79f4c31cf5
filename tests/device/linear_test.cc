// y = x W^T: the reference against double precision, every backend against the reference, and the
// invariance of a row's bits.
#include "core/shard.h"
#include "kernels/ops.h"
#include "kernels/quantize.h"
#include "support.h"

namespace trireme::test {
namespace {

/// One call with guarded, padded strides.
struct Call {
  const Matrix& matrix;
  const Floats& x;
  std::int64_t m;
  std::int64_t ldx;
  const float* bias = nullptr;
  std::int64_t ldy_extra = 0;

  Floats run(const Backend& backend, ThreadPool& threads, std::vector<Range> shards = {}) const {
    const std::int64_t ldy = matrix.shape.n + ldy_extra;
    if (shards.empty()) shards.push_back(matrix.all_shards());
    Floats y(static_cast<std::size_t>(m * ldy) * shards.size(), -7.0f);
    std::vector<ShardSum> outputs;
    for (const Range range : shards) {
      outputs.push_back({range, y.data() + static_cast<std::int64_t>(outputs.size()) * m * ldy});
    }
    const LinearArgs args{x.data(), m,       ldx, &matrix.shape, matrix.packed.data(),
                          bias,     outputs, ldy};
    check_linear(args);
    backend.linear(threads, args);
    return y;
  }
};

double oracle(const Matrix& matrix, const float* x, std::int64_t column, double& magnitude) {
  const std::int64_t k = matrix.shape.k();
  double sum = 0;
  magnitude = 0;
  for (std::int64_t i = 0; i < k; ++i) {
    const float input = matrix.shape.dtype == DType::bf16 ? rounded(x[i], DType::bf16) : x[i];
    const double product =
        double{input} * double{matrix.plain[static_cast<std::size_t>(column * k + i)]};
    sum += product;
    magnitude += std::fabs(product);
  }
  return sum;
}

TEST(ReferenceLinear, AgreesWithDoublePrecision) {
  Random random(1);
  ThreadPool threads(2);
  const auto backend = make_backend("reference");
  for (const DType dtype : weight_dtypes) {
    const Matrix matrix(random, 45, {33, 64, 7, 32}, dtype);
    const std::int64_t k = matrix.shape.k();
    const Floats x = random.values(5 * k);
    const Floats bias = random.values(45);
    const Floats y = Call{matrix, x, 5, k, bias.data()}.run(*backend, threads);
    for (std::int64_t i = 0; i < 5 * 45; ++i) {
      double magnitude = 0;
      const double wanted = oracle(matrix, x.data() + i / 45 * k, i % 45, magnitude) +
                            double{bias[static_cast<std::size_t>(i % 45)]};
      EXPECT_NEAR(double{y[static_cast<std::size_t>(i)]}, wanted, 1e-5 * (magnitude + 1))
          << name_of(dtype) << " element " << i;
    }
  }
}

/// x as products with i8 and i4 see it: rounded to eight bits group by group.
Floats as_quantized(const MatrixShape& shape, const float* x) {
  Floats rounded;
  std::vector<std::int8_t> q(quant::widest_group);
  for (const std::int64_t width : shape.k_shards) {
    for (std::int64_t k = 0; k < width; k += shape.group) {
      const std::int64_t count = std::min(shape.group, width - k);
      const float scale = quant::quantize_activations(x, count, q.data()).scale;
      for (std::int64_t i = 0; i < count; ++i) {
        rounded.push_back(scale * static_cast<float>(q[static_cast<std::size_t>(i)]));
      }
      x += count;
    }
  }
  return rounded;
}

TEST(ReferenceLinear, QuantizedAgreesWithDoublePrecision) {
  Random random(9);
  ThreadPool threads(2);
  const auto backend = make_backend("reference");
  for (const Format& format : weight_formats) {
    if (format.group == 0) continue;
    const Matrix matrix(random, 45, {33, 0, 200, 7, 32}, format);
    const std::int64_t k = matrix.shape.k();
    const Floats x = random.values(5 * k);
    const Floats y = Call{matrix, x, 5, k}.run(*backend, threads);
    for (std::int64_t i = 0; i < 5 * 45; ++i) {
      const Floats seen = as_quantized(matrix.shape, x.data() + i / 45 * k);
      double magnitude = 0;
      const double wanted = oracle(matrix, seen.data(), i % 45, magnitude);
      EXPECT_NEAR(double{y[static_cast<std::size_t>(i)]}, wanted, 1e-5 * (magnitude + 1))
          << name_of(format) << " element " << i;
    }
  }
}

TEST(ReferenceLinear, NoShardsGiveTheBias) {
  Random random(2);
  ThreadPool threads(1);
  const Matrix matrix(random, 5, {}, DType::f32);
  const Floats bias = random.values(5);
  Floats wanted = bias;
  for (float& value : wanted) value += 0.0f;
  for (const std::string& name : available_backends()) {
    const Floats x(1);
    const Floats y = Call{matrix, x, 1, 0, bias.data()}.run(*make_backend(name), threads);
    EXPECT_EQ(difference(y, wanted), "") << name;
  }
}

class LinearTest : public DeviceTest {
 protected:
  void compare(const Call& call, const std::vector<Range>& shards, const std::string& what) {
    const Floats wanted = call.run(*reference_, threads_, shards);
    EXPECT_EQ(difference(call.run(*backend_, threads_, shards), wanted), "") << what;
  }
};

TEST_P(LinearTest, GivesTheReferenceBitsAtAwkwardSizes) {
  Random random(3);
  for (const Format& dtype : weight_formats) {
    for (const std::int64_t k : {1, 2, 31, 32, 33, 255, 256, 257, 515}) {
      for (const std::int64_t n : {1, 15, 16, 17, 31, 32, 33, 100}) {
        const Matrix matrix(random, n, {k}, dtype);
        for (const std::int64_t m : {0, 1, 2, 5, 12, 13, 31}) {
          const std::int64_t ldx = k + random.integer(0, 3);
          const Floats x = random.values(m * ldx + 1);
          const Floats bias = random.values(n);
          const Call call{matrix,
                          x,
                          m,
                          ldx,
                          random.integer(0, 1) == 0 ? nullptr : bias.data(),
                          random.integer(0, 5)};
          compare(call, {}, fmt::format("{} m {} n {} k {}", name_of(dtype), m, n, k));
        }
      }
    }
  }
}

TEST_P(LinearTest, GivesTheReferenceBitsForShardSums) {
  Random random(4);
  for (const Format& dtype : weight_formats) {
    for (std::int64_t count = 1; count <= 11; ++count) {
      std::vector<std::int64_t> shards;
      for (std::int64_t i = 0; i < count; ++i)
        shards.push_back(random.integer(1, 40) * (i % 3 + 1));
      if (count == 5) shards[2] = 600;
      const Matrix matrix(random, 70, shards, dtype);
      for (const std::int64_t m : {1, 4, 29}) {
        const Floats x = random.values(m * matrix.shape.k());
        const Call call{matrix, x, m, matrix.shape.k()};
        const std::int64_t cut = random.integer(0, count);
        compare(call, {{0, count}, {0, cut}, {cut, count}, {cut, cut}},
                fmt::format("{} shards {} m {}", name_of(dtype), count, m));
      }
    }
  }
}

TEST_P(LinearTest, GivesTheReferenceBitsForManyRowsAndColumns) {
  Random random(5);
  for (const Format& dtype : weight_formats) {
    const Matrix matrix(random, 290, {300, 300, 41}, dtype);
    const Floats x = random.values(301 * 641);
    compare(Call{matrix, x, 301, 641}, {}, std::string(name_of(dtype)));
  }
}

TEST_P(LinearTest, InfinitiesAndNaNsStayInTheirRow) {
  Random random(6);
  for (const Format& dtype : weight_formats) {
    const Matrix matrix(random, 40, {64}, dtype);
    Floats x = random.values(3 * 64);
    x[64 + 3] = HUGE_VALF;
    x[64 + 5] = -HUGE_VALF;
    x[64 + 9] = std::nanf("");
    compare(Call{matrix, x, 3, 64}, {}, std::string(name_of(dtype)));
  }
}

/// Every backend, AMX too: what follows does not compare with the reference.
class LinearInvarianceTest : public DeviceTest {};

TEST_P(LinearInvarianceTest, ARowDoesNotDependOnTheOthers) {
  Random random(7);
  constexpr std::int64_t most = 70;
  for (const Format& dtype : weight_formats) {
    const Matrix matrix(random, 67, {260, 33, 130}, dtype);
    const std::int64_t k = matrix.shape.k();
    const Floats x = random.values(most * k);
    const Floats all = Call{matrix, x, most, k}.run(*backend_, threads_);
    // The reference is slow; it takes some offsets, the others all.
    const std::int64_t step = GetParam() == "reference" ? 13 : 1;
    ThreadPool alone(1);
    for (std::int64_t m = 1; m <= most; ++m) {
      ThreadPool several(static_cast<int>(m % 3) + 1);
      for (std::int64_t offset = 0; offset <= most - m; offset += step) {
        const Floats part(x.begin() + offset * k, x.begin() + (offset + m) * k);
        const Floats y = Call{matrix, part, m, k}.run(*backend_, offset == 0 ? several : alone);
        const Floats wanted(all.begin() + offset * 67, all.begin() + (offset + m) * 67);
        ASSERT_EQ(difference(y, wanted), "")
            << name_of(dtype) << " m " << m << " offset " << offset;
      }
    }
  }
}

/// Sums what ranks contribute (the largest subtrees they hold) up the tree, as they would.
Floats tree_of(const std::vector<std::pair<Range, Floats>>& leaves, Range node) {
  for (const auto& [range, sums] : leaves) {
    if (range == node) return sums;
  }
  std::int64_t left = 1;
  while (left * 2 < node.size()) left *= 2;
  Floats sum = tree_of(leaves, {node.begin, node.begin + left});
  const Floats right = tree_of(leaves, {node.begin + left, node.end});
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += right[i];
  return sum;
}

/// The columns [elements) of a [n, k] matrix, as a rank that holds these shards packs them.
Matrix slice(const Matrix& whole, Range shards) {
  Random unused(0);
  std::vector<std::int64_t> widths;
  std::int64_t begin = 0;
  for (std::int64_t i = 0; i < shards.end; ++i) {
    const std::int64_t width = whole.shape.k_shards[static_cast<std::size_t>(i)];
    if (i < shards.begin) {
      begin += width;
    } else {
      widths.push_back(width);
    }
  }
  Matrix part(unused, whole.shape.n, widths, {whole.shape.dtype, whole.shape.group});
  const std::int64_t k = part.shape.k();
  for (std::int64_t row = 0; row < whole.shape.n; ++row) {
    std::copy_n(whole.source.begin() + row * whole.shape.k() + begin, k,
                part.source.begin() + row * k);
  }
  part.pack();
  return part;
}

TEST_P(LinearInvarianceTest, RanksAddUpToOneRank) {
  Random random(8);
  for (const Format& dtype : weight_formats) {
    const std::vector<std::int64_t> widths{64, 64, 64, 64, 64, 64, 64, 40, 64, 64, 17};
    const auto count = static_cast<std::int64_t>(widths.size());
    const Matrix whole(random, 50, widths, dtype);
    const std::int64_t k = whole.shape.k();
    constexpr std::int64_t m = 6;
    const Floats x = random.values(m * k);
    const Floats wanted = Call{whole, x, m, k}.run(*backend_, threads_);
    for (std::int64_t ranks = 1; ranks <= 5; ++ranks) {
      std::vector<std::pair<Range, Floats>> leaves;
      for (std::int64_t rank = 0; rank < ranks; ++rank) {
        const Range held = even_part(count, ranks, rank);
        const Matrix part = slice(whole, held);
        std::int64_t begin = 0;
        for (std::int64_t i = 0; i < held.begin; ++i) begin += widths[static_cast<std::size_t>(i)];
        const Floats input(x.begin() + begin, x.end());
        for (const Range tree : largest_subtrees(count, held)) {
          const Range local{tree.begin - held.begin, tree.end - held.begin};
          leaves.emplace_back(tree, Call{part, input, m, k}.run(*backend_, threads_, {local}));
        }
      }
      EXPECT_EQ(difference(tree_of(leaves, {0, count}), wanted), "")
          << name_of(dtype) << " on " << ranks << " ranks";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, LinearTest, testing::ValuesIn(exact_backends()), test_name);
INSTANTIATE_TEST_SUITE_P(Isa, LinearInvarianceTest, testing::ValuesIn(available_backends()),
                         test_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(LinearTest);

}  // namespace
}  // namespace trireme::test
