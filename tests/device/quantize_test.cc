// Rounding to eight and four bits: how far off, at what scale, and at the edges.
#include "kernels/quantize.h"

#include "support.h"

namespace trireme::test {
namespace {

std::vector<int> integers(const std::vector<std::uint8_t>& stored, DType dtype) {
  std::vector<int> q;
  for (const std::uint8_t value : stored) q.push_back(value - quant::zero_of(dtype));
  return q;
}

TEST(QuantizeWeights, EightBitsAreOffByHalfAStepAtMost) {
  Random random(1);
  for (const std::int64_t count : {1, 2, 31, 64, 128, 512}) {
    for (int turn = 0; turn < 50; ++turn) {
      const Floats w = random.values(count);
      std::vector<std::uint8_t> q(w.size());
      const float scale = f16_to_f32(quant::quantize_weights(w.data(), count, DType::i8, q.data()));
      const std::vector<int> values = integers(q, DType::i8);
      for (std::size_t i = 0; i < w.size(); ++i) {
        EXPECT_LE(std::abs(values[i]), 127);
        EXPECT_NEAR(w[i], scale * static_cast<float>(values[i]), scale * 0.5001f);
      }
    }
  }
}

TEST(QuantizeWeights, FourBitsAreNoWorseThanThePlainScale) {
  Random random(2);
  for (int turn = 0; turn < 200; ++turn) {
    const Floats w = random.values(64);
    std::vector<std::uint8_t> q(w.size());
    const float scale = f16_to_f32(quant::quantize_weights(w.data(), 64, DType::i4, q.data()));
    const std::vector<int> values = integers(q, DType::i4);
    float extreme = 0;
    for (const float value : w) extreme = std::max(extreme, std::fabs(value));
    double error = 0;
    double plain_error = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      EXPECT_GE(values[i], -8);
      EXPECT_LE(values[i], 7);
      error += std::pow(w[i] - scale * static_cast<float>(values[i]), 2);
      const float step = extreme / 7;
      plain_error += std::pow(w[i] - step * std::nearbyint(w[i] / step), 2);
    }
    EXPECT_LE(error, plain_error * 1.001) << "turn " << turn;
  }
}

TEST(QuantizeWeights, EdgesAreKept) {
  for (const DType dtype : {DType::i8, DType::i4}) {
    std::vector<std::uint8_t> q(3);
    const Floats zeros{0.0f, -0.0f, 0.0f};
    EXPECT_EQ(quant::quantize_weights(zeros.data(), 3, dtype, q.data()), 0);
    EXPECT_EQ(integers(q, dtype), (std::vector<int>{0, 0, 0}));
    const Floats infinite{1.0f, HUGE_VALF, 0.0f};
    EXPECT_TRUE(
        std::isnan(f16_to_f32(quant::quantize_weights(infinite.data(), 3, dtype, q.data()))));
    const Floats huge{3e38f, -3e38f, 1.0f};
    EXPECT_TRUE(
        std::isfinite(f16_to_f32(quant::quantize_weights(huge.data(), 3, dtype, q.data()))));
    const Floats tiny{1e-12f, 0.0f, -1e-12f};
    quant::quantize_weights(tiny.data(), 3, dtype, q.data());
  }
}

TEST(QuantizeActivations, TheLargestBecomes127) {
  Random random(3);
  for (const std::int64_t count : {1, 7, 64, 128}) {
    Floats x = random.values(count);
    x[0] = -40.0f * (1.0f + std::fabs(x[0]));
    for (std::int64_t i = 1; i < count; ++i) x[static_cast<std::size_t>(i)] /= 100;
    std::vector<std::int8_t> q(x.size());
    const quant::Activations group = quant::quantize_activations(x.data(), count, q.data());
    EXPECT_EQ(q[0], -127);
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      sum += q[i];
      EXPECT_NEAR(x[i], group.scale * static_cast<float>(q[i]), group.scale * 0.5001f);
    }
    EXPECT_EQ(group.sum, sum);
  }
}

TEST(QuantizeActivations, NothingFiniteOverflowsAndNothingInfiniteHides) {
  std::vector<std::int8_t> q(2);
  const Floats largest{3.4e38f, -1e30f};
  EXPECT_TRUE(std::isfinite(quant::quantize_activations(largest.data(), 2, q.data()).scale));
  EXPECT_EQ(q[0], 127);
  const Floats denormal{1e-40f, -1e-42f};
  EXPECT_EQ(quant::quantize_activations(denormal.data(), 2, q.data()).scale, 0.0f);
  for (const float bad : {HUGE_VALF, -HUGE_VALF, std::nanf("")}) {
    const Floats x{1.0f, bad};
    EXPECT_TRUE(std::isnan(quant::quantize_activations(x.data(), 2, q.data()).scale));
  }
}

}  // namespace
}  // namespace trireme::test
