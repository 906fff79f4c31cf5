// Norms, rotary embedding, activations, additions, embedding and the reductions over the
// vocabulary.
#include <algorithm>

#include "kernels/ops.h"
#include "kernels/reference/scalar.h"
#include "support.h"

namespace trireme::test {
namespace {

constexpr std::int64_t awkward[] = {1, 2, 15, 16, 17, 31, 32, 33, 100, 768, 5000};

Floats norm(const Backend& backend, ThreadPool& threads, bool layer, const Floats& x,
            std::int64_t rows, std::int64_t groups, std::int64_t dim, const Floats& weight,
            const float* bias) {
  const std::int64_t ld = groups * dim + 3;
  Floats y(x.size(), -7.0f);
  const NormArgs args{x.data(), y.data(), rows, ld, ld, groups, dim, weight.data(), bias, 1e-5f};
  check_norm(args);
  layer ? backend.layer_norm(threads, args) : backend.rms_norm(threads, args);
  return y;
}

TEST(ReferenceRowwise, NormsAgreeWithDoublePrecision) {
  Random random(21);
  ThreadPool threads(1);
  const auto backend = make_backend("reference");
  for (const bool layer : {false, true}) {
    const std::int64_t dim = 777;
    const Floats x = random.values(dim + 3);
    const Floats weight = random.values(dim);
    const Floats bias = random.values(dim);
    const Floats y = norm(*backend, threads, layer, x, 1, 1, dim, weight, bias.data());
    double mean = 0;
    for (std::int64_t i = 0; i < dim; ++i) mean += double{x[static_cast<std::size_t>(i)]};
    mean = layer ? mean / static_cast<double>(dim) : 0.0;
    double square = 0;
    for (std::int64_t i = 0; i < dim; ++i) {
      square += std::pow(double{x[static_cast<std::size_t>(i)]} - mean, 2);
    }
    const double scale = 1 / std::sqrt(square / static_cast<double>(dim) + 1e-5);
    for (std::size_t i = 0; i < static_cast<std::size_t>(dim); ++i) {
      const double normal = (double{x[i]} - mean) * scale;
      EXPECT_NEAR(double{y[i]}, normal * double{weight[i]} + double{bias[i]},
                  3e-7 * (std::fabs(normal * double{weight[i]}) + std::fabs(double{bias[i]}) + 1));
    }
  }
}

float activated(const Backend& backend, Activation kind, float x) {
  ThreadPool threads(1);
  backend.activate(threads, kind, &x, 1, 1, 1);
  return x;
}

double exact(Activation kind, double x) {
  switch (kind) {
    case Activation::gelu_tanh: {
      const double u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
      return x / (1 + std::exp(-2 * u));
    }
    case Activation::gelu_erf:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::relu:
      return std::max(x, 0.0);
    default:
      return x / (1 + std::exp(-x));
  }
}

TEST(ReferenceRowwise, ActivationsAreAccurateFarOut) {
  const auto backend = make_backend("reference");
  for (const Activation kind :
       {Activation::gelu_tanh, Activation::gelu_erf, Activation::relu, Activation::silu}) {
    for (double x = -12; x <= 12; x += 0.0137) {
      const auto input = static_cast<float>(x);
      const double wanted = exact(kind, double{input});
      // Far out the exponent's own rounding is multiplied; there the result is below 1e-4 anyway.
      const double tolerance = (x < -4 ? 1e-5 : 1e-6) * std::fabs(wanted) + 1e-37;
      EXPECT_NEAR(double{activated(*backend, kind, input)}, wanted, tolerance)
          << static_cast<int>(kind) << " at " << x;
    }
    EXPECT_EQ(activated(*backend, kind, 0.0f), 0.0f);
    EXPECT_EQ(activated(*backend, kind, 1e6f), 1e6f);
    EXPECT_EQ(activated(*backend, kind, 3e38f), 3e38f);
    EXPECT_EQ(activated(*backend, kind, -3e38f), 0.0f);
    EXPECT_TRUE(std::isnan(activated(*backend, kind, std::nanf(""))));
  }
}

TEST(ReferenceRowwise, TanhIsAccurateEverywhere) {
  const auto backend = make_backend("reference");
  for (double x = -30; x <= 30; x += 0.0037) {
    const auto input = static_cast<float>(x);
    EXPECT_NEAR(double{activated(*backend, Activation::tanh, input)}, std::tanh(double{input}),
                2.5e-7)
        << "at " << x;
  }
  EXPECT_EQ(activated(*backend, Activation::tanh, 0.0f), 0.0f);
  EXPECT_EQ(activated(*backend, Activation::tanh, 3e38f), 1.0f);
  EXPECT_EQ(activated(*backend, Activation::tanh, -3e38f), -1.0f);
  EXPECT_TRUE(std::isnan(activated(*backend, Activation::tanh, std::nanf(""))));
}

TEST(ReferenceRowwise, ExpIsWithinTwoUlp) {
  for (float x = -87.3f; x < 88.7f; x += 0.00093f) {
    const double wanted = std::exp(double{x});
    const double ulp = double{std::nextafterf(static_cast<float>(wanted), HUGE_VALF)} -
                       double{static_cast<float>(wanted)};
    ASSERT_NEAR(double{reference::exp_of(x)}, wanted, 2 * ulp) << "at " << x;
  }
  EXPECT_EQ(reference::exp_of(0.0f), 1.0f);
  EXPECT_EQ(reference::exp_of(-HUGE_VALF), 0.0f);
  EXPECT_EQ(reference::exp_of(HUGE_VALF), HUGE_VALF);
  EXPECT_NEAR(double{reference::exp_of(-100.0f)}, std::exp(-100.0), 1.5e-45);  // subnormal
}

TEST(ReferenceRowwise, ArgmaxBreaksTiesDownwardsAndSkipsNaN) {
  const float nan = std::nanf("");
  const float low = -HUGE_VALF;
  struct Case {
    Floats x;
    std::int32_t index;
  };
  const Case cases[] = {{{1, 3, 3, 2}, 1},         {{nan, 1, nan, 2}, 3}, {{nan, nan}, 0},
                        {{low, low}, 0},           {{nan, low, low}, 1},  {{0.0f, -0.0f}, 0},
                        {{-0.0f, 0.0f, 1e-45f}, 2}};
  ThreadPool threads(1);
  for (const std::string& name : available_backends()) {
    const auto backend = make_backend(name);
    for (const Case& one : cases) {
      Top top;
      const auto cols = static_cast<std::int64_t>(one.x.size());
      backend->argmax(threads, one.x.data(), 1, cols, cols, &top);
      EXPECT_EQ(top.index, one.index) << name;
      const float value = one.x[static_cast<std::size_t>(one.index)];
      EXPECT_TRUE(std::memcmp(&top.value, &value, 4) == 0 || std::isnan(value)) << name;
    }
  }
}

TEST(ReferenceRowwise, EmbeddingLooksUpItsRangeOnly) {
  Random random(22);
  ThreadPool threads(2);
  for (const std::string& name : available_backends()) {
    for (const Format& dtype : weight_formats) {
      const Matrix table(random, 50, {33, 40}, dtype);
      const std::vector<std::int32_t> ids{100, 149, 99, 150, -1, 0, 132, 131};
      Floats out(ids.size() * 73, -7.0f);
      check_embedding(ids, {100, 150}, table.shape, table.packed.data(), out.data());
      make_backend(name)->embedding(threads, ids, {100, 150}, table.shape, table.packed.data(),
                                    out.data());
      Floats wanted;
      for (const std::int32_t id : ids) {
        for (std::int64_t i = 0; i < 73; ++i) {
          const bool inside = id >= 100 && id < 150;
          wanted.push_back(
              inside ? table.plain[static_cast<std::size_t>((id - 100) * 73 + i)] + 0.0f : 0.0f);
        }
      }
      EXPECT_EQ(difference(out, wanted), "") << name << " " << name_of(dtype);
    }
  }
}

class RowwiseTest : public DeviceTest {};

TEST_P(RowwiseTest, NormsGiveTheReferenceBits) {
  Random random(23);
  for (const std::int64_t dim : awkward) {
    for (const std::int64_t groups : {1, 3}) {
      const Floats x = random.values(7 * (groups * dim + 3));
      const Floats weight = random.values(dim);
      const Floats bias = random.values(dim);
      for (const bool layer : {false, true}) {
        for (const float* its_bias : {static_cast<const float*>(nullptr), bias.data()}) {
          const Floats wanted =
              norm(*reference_, threads_, layer, x, 7, groups, dim, weight, its_bias);
          const Floats got = norm(*backend_, threads_, layer, x, 7, groups, dim, weight, its_bias);
          EXPECT_EQ(difference(got, wanted), "") << "dim " << dim;
        }
      }
    }
  }
}

TEST_P(RowwiseTest, RopeGivesTheReferenceBits) {
  Random random(24);
  for (const std::int64_t head_dim : {2, 6, 32, 34, 64, 128}) {
    const std::int64_t rotary = head_dim > 6 ? head_dim - 2 : head_dim;
    const Floats cos = random.values(100 * rotary / 2);
    const Floats sin = random.values(100 * rotary / 2);
    const std::vector<std::int32_t> positions{0, 99, 7, 7, 50};
    const Floats x = random.values(5 * (3 * head_dim + 1));
    Floats got = x;
    Floats wanted = x;
    for (auto [backend, data] : {std::pair{backend_.get(), &got}, {reference_.get(), &wanted}}) {
      const RopeArgs args{data->data(), 3 * head_dim + 1, 3,          head_dim,
                          rotary,       cos.data(),       sin.data(), positions};
      check_rope(args);
      backend->rope(threads_, args);
    }
    EXPECT_EQ(difference(got, wanted), "") << "head_dim " << head_dim;
  }
}

TEST_P(RowwiseTest, ActivationsGiveTheReferenceBits) {
  Random random(25);
  for (const std::int64_t cols : awkward) {
    const std::int64_t ld = 2 * cols + 1;
    Floats x = random.values(5 * ld);
    for (std::size_t i = 0; i < x.size(); i += 7) x[i] *= 20.0f;
    x[0] = HUGE_VALF;
    x[x.size() / 2] = -HUGE_VALF;
    x[x.size() / 3] = std::nanf("");
    for (const Activation kind : {Activation::gelu_tanh, Activation::gelu_erf, Activation::relu,
                                  Activation::silu, Activation::tanh}) {
      Floats got = x;
      Floats wanted = x;
      backend_->activate(threads_, kind, got.data(), 5, cols, ld);
      reference_->activate(threads_, kind, wanted.data(), 5, cols, ld);
      EXPECT_EQ(difference(got, wanted), "") << "cols " << cols << " " << static_cast<int>(kind);
      Floats gated(static_cast<std::size_t>(5 * cols), -7.0f);
      Floats gated_wanted = gated;
      backend_->gated_activation(threads_, kind, x.data(), 5, cols, ld, gated.data(), cols);
      reference_->gated_activation(threads_, kind, x.data(), 5, cols, ld, gated_wanted.data(),
                                   cols);
      EXPECT_EQ(difference(gated, gated_wanted), "") << "cols " << cols;
    }
  }
}

TEST_P(RowwiseTest, AdditionsGiveTheReferenceBits) {
  Random random(26);
  for (const std::int64_t count : {0, 1, 15, 16, 17, 20000}) {
    const Floats y = random.values(count);
    Floats got = random.values(count * 3);
    Floats wanted = got;
    backend_->add(threads_, got.data(), y.data(), count);
    reference_->add(threads_, wanted.data(), y.data(), count);
    backend_->add_bias(threads_, got.data(), y.data(), 3, count);
    reference_->add_bias(threads_, wanted.data(), y.data(), 3, count);
    EXPECT_EQ(difference(got, wanted), "") << count;
  }
}

TEST_P(RowwiseTest, VocabularyReductionsGiveTheReferenceBits) {
  Random random(27);
  for (const std::int64_t cols : awkward) {
    Floats logits = random.values(4 * (cols + 2));
    for (std::int64_t i = 0; i < 40; ++i) {
      logits[static_cast<std::size_t>(random.integer(
          0, static_cast<std::int64_t>(logits.size()) - 1))] = i % 3 == 0   ? -HUGE_VALF
                                                               : i % 3 == 1 ? 2.5f
                                                                            : std::nanf("");
    }
    std::fill_n(logits.begin() + cols + 2, cols, -HUGE_VALF);
    std::vector<Top> got(4);
    std::vector<Top> wanted(4);
    backend_->argmax(threads_, logits.data(), 4, cols, cols + 2, got.data());
    reference_->argmax(threads_, logits.data(), 4, cols, cols + 2, wanted.data());
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(got[i].index, wanted[i].index) << "cols " << cols;
      EXPECT_EQ(difference({got[i].value}, {wanted[i].value}), "");
    }
    for (const std::int64_t block : {1, 16, 100, 512}) {
      const std::int64_t blocks = ceil_div(cols, block);
      std::vector<ExpSum> sums(static_cast<std::size_t>(4 * blocks));
      std::vector<ExpSum> sums_wanted(sums.size());
      backend_->exp_sums(threads_, logits.data(), 4, cols, cols + 2, block, sums.data());
      reference_->exp_sums(threads_, logits.data(), 4, cols, cols + 2, block, sums_wanted.data());
      for (std::size_t i = 0; i < sums.size(); ++i) {
        EXPECT_EQ(difference({sums[i].max, sums[i].sum}, {sums_wanted[i].max, sums_wanted[i].sum}),
                  "")
            << "cols " << cols << " block " << block;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, RowwiseTest, testing::ValuesIn(exact_backends()), test_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RowwiseTest);

}  // namespace
}  // namespace trireme::test
