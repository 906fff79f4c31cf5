// Drawing tokens on a GPU against the host's sampler.
#include "kernels/cuda/draw.h"

#include <numeric>

#include "../device/support.h"
#include "runtime/sampler.h"
#include "support.h"

namespace trireme::cuda::test {
namespace {

using trireme::test::Floats;
using trireme::test::Random;

/// Logits of some rows, and how a token is to be drawn from each.
struct Batch {
  std::int64_t cols = 0;
  std::int64_t ld = 0;
  Floats logits;
  std::vector<DrawRow> rows;
  std::vector<std::vector<std::int32_t>> penalized;  ///< by row

  std::span<float> row(std::size_t i) {
    return std::span(logits).subspan(i * static_cast<std::size_t>(ld),
                                     static_cast<std::size_t>(cols));
  }
  DrawArgs args() {
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].penalized = penalized[i];
    return {nullptr, cols, ld, rows, nullptr};
  }
};

Batch batch_of(std::int64_t rows, std::int64_t cols, std::int64_t gap = 0) {
  Batch batch{.cols = cols, .ld = cols + gap};
  batch.logits.resize(static_cast<std::size_t>(rows * batch.ld));
  batch.rows.assign(static_cast<std::size_t>(rows), DrawRow{.greedy = false});
  batch.penalized.resize(static_cast<std::size_t>(rows));
  return batch;
}

std::vector<std::int32_t> drawn_on_gpu(Batch& batch) {
  TestContext gpu;
  DrawArgs args = batch.args();
  const auto rows = static_cast<std::int64_t>(batch.rows.size());
  args.logits = gpu.device(batch.logits);
  args.tokens = gpu.room<std::int32_t>(rows);
  draw(gpu, args);
  std::size_t ids = 0;
  for (const auto& some : batch.penalized) ids += some.size();
  EXPECT_LE(gpu.largest_scratch, draw_scratch_bytes(rows, batch.cols) + 4 * ids);
  return gpu.host(args.tokens, rows);
}

SamplerSettings sampler_of(const DrawRow& row) {
  SamplerSettings settings;
  settings.greedy = row.greedy;
  settings.temperature = row.temperature;
  settings.top_k = row.top_k;
  settings.top_p = row.top_p;
  settings.min_p = row.min_p;
  settings.repetition_penalty = row.repetition_penalty;
  return settings;
}

/// As runtime/sampler.cc's choose, but with the row's own random number.
std::int32_t drawn_on_host(Batch& batch, std::size_t i) {
  Floats logits(batch.row(i).begin(), batch.row(i).end());
  const SamplerSettings settings = sampler_of(batch.rows[i]);
  if (settings.greedy) return choose(logits, settings, batch.penalized[i]);
  double cumulative = 0;
  const auto kept = distribution(logits, settings, batch.penalized[i]);
  for (const auto& [id, p] : kept) {
    cumulative += p;
    if (batch.rows[i].uniform < cumulative) return id;
  }
  return kept.back().first;
}

float one_of(Random& random, std::initializer_list<float> values) {
  return values.begin()[random.integer(0, static_cast<std::int64_t>(values.size()) - 1)];
}

void fill(Random& random, std::span<float> logits) {
  const float spread = one_of(random, {0.001f, 0.3f, 2.0f, 5.0f, 100.0f});
  const float middle = one_of(random, {0.0f, -20.0f, 7.0f});
  const bool in_steps = random.integer(0, 3) == 0;  // many ties
  for (float& logit : logits) {
    logit = middle + spread * random.value();
    if (in_steps) logit = std::round(logit);
  }
  if (random.integer(0, 3) > 0) return;
  for (int i = 0; i < 10; ++i) {
    logits[static_cast<std::size_t>(
        random.integer(0, static_cast<std::int64_t>(logits.size()) - 1))] =
        one_of(random, {-HUGE_VALF, std::nanf(""), middle});
  }
}

void set(Random& random, DrawRow& row, std::vector<std::int32_t>& penalized, std::int64_t cols) {
  row.greedy = random.integer(0, 9) == 0;
  row.temperature = one_of(random, {1.0f, 1.0f, 0.7f, 0.2f, 1.7f});
  row.top_k = static_cast<std::int32_t>(one_of(random, {0, 0, 0, 1, 2, 20, 50, 3000}));
  row.top_p = one_of(random, {1.0f, 1.0f, 0.95f, 0.8f, 0.3f, 1e-6f, 0.9999f});
  row.min_p = one_of(random, {0.0f, 0.0f, 0.0f, 0.05f, 0.6f, 1.0f});
  row.repetition_penalty = one_of(random, {1.0f, 1.0f, 1.3f, 0.8f});
  row.uniform = uniform(static_cast<std::uint64_t>(random.integer(0, 1 << 30)), 1, 2);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(std::min<std::int64_t>(cols, 40)));
  for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random.integer(0, cols - 1));
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  penalized = ids;
}

Batch random_batch(Random& random, std::int64_t rows, std::int64_t cols, std::int64_t gap = 0) {
  Batch batch = batch_of(rows, cols, gap);
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    fill(random, batch.row(i));
    set(random, batch.rows[i], batch.penalized[i], cols);
  }
  return batch;
}

/// Draws a batch on both sides; returns how many tokens differ.
int differing(Batch& batch) {
  const std::vector<std::int32_t> got = drawn_on_gpu(batch);
  int count = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const std::int32_t wanted = drawn_on_host(batch, i);
    if (got[i] == wanted) continue;
    ++count;
    const DrawRow& row = batch.rows[i];
    std::printf(
        "%d instead of %d: cols %d temperature %g top_k %d top_p %g min_p %g uniform %.17g\n",
        got[i], wanted, static_cast<int>(batch.cols), double{row.temperature}, row.top_k,
        double{row.top_p}, double{row.min_p}, row.uniform);
  }
  return count;
}

class CudaDraw : public CudaTest {};

TEST_F(CudaDraw, TokensAreThoseOfTheHostsSampler) {
  Random random(1);
  int differ = 0;
  int all = 0;
  for (const std::int64_t cols : {1, 2, 3, 31, 32, 33, 300, 2049}) {
    for (int i = 0; i < 3; ++i) {
      Batch batch = random_batch(random, 130, cols, i);
      differ += differing(batch);
      all += static_cast<int>(batch.rows.size());
    }
  }
  for (const std::int64_t cols : {8191, 8192, 8193, 20000, 50257}) {
    Batch batch = random_batch(random, 20, cols);
    differ += differing(batch);
    all += static_cast<int>(batch.rows.size());
  }
  EXPECT_LT(differ * 10000, all) << differ << " of " << all << " tokens differ";
}

TEST_F(CudaDraw, WholeRowsAreDrawnFromByTheirWeights) {
  Random random(2);
  Batch batch = batch_of(60, 30000);
  for (std::size_t i = 0; i < 60; ++i) {
    if (i % 20 == 0) fill(random, batch.row(i));
    if (i % 20 != 0) std::ranges::copy(batch.row(i - i % 20), batch.row(i).begin());
    batch.rows[i].uniform = (static_cast<double>(i % 20) + 0.3) / 20.0;
  }
  EXPECT_EQ(differing(batch), 0);
}

TEST_F(CudaDraw, ARowsTokenDoesNotDependOnItsBatch) {
  Random random(3);
  Batch batch = random_batch(random, 70, 9000);
  const std::vector<std::int32_t> together = drawn_on_gpu(batch);
  for (const std::size_t i : {0u, 1u, 33u, 63u, 64u, 69u}) {
    Batch alone = batch_of(1, 9000, 3);
    std::ranges::copy(batch.row(i), alone.row(0).begin());
    alone.rows[0] = batch.rows[i];
    alone.penalized[0] = batch.penalized[i];
    EXPECT_EQ(drawn_on_gpu(alone)[0], together[i]);
  }
  EXPECT_EQ(drawn_on_gpu(batch), together);
}

/// What is drawn from one row for some random numbers.
std::vector<std::int32_t> tokens(const Floats& logits, DrawRow row,
                                 std::initializer_list<double> uniforms) {
  Batch batch = batch_of(static_cast<std::int64_t>(uniforms.size()),
                         static_cast<std::int64_t>(logits.size()));
  row.greedy = false;
  for (std::size_t i = 0; i < uniforms.size(); ++i) {
    std::ranges::copy(logits, batch.row(i).begin());
    batch.rows[i] = row;
    batch.rows[i].uniform = uniforms.begin()[i];
  }
  EXPECT_EQ(differing(batch), 0);
  return drawn_on_gpu(batch);
}

using Ids = std::vector<std::int32_t>;
constexpr double nearly_one = 1.0 - 0x1p-53;

TEST_F(CudaDraw, TiesOfTopKStayAndThoseOfTopPGoToTheLowestIds) {
  const Floats equal(64, 1.5f);  // probabilities that add up without rounding
  EXPECT_EQ(tokens(equal, {}, {0.0, 0.5, nearly_one}), (Ids{0, 32, 63}));
  EXPECT_EQ(tokens(equal, {.top_k = 1}, {0.0, 0.5, nearly_one}), (Ids{0, 32, 63}));
  EXPECT_EQ(tokens(equal, {.top_p = 0.25f}, {0.0, 0.5, nearly_one}), (Ids{0, 8, 15}));
  EXPECT_EQ(tokens(equal, {.top_p = 1e-9f}, {0.0, 0.5, nearly_one}), (Ids{0, 0, 0}));
  EXPECT_EQ(tokens(equal, {.min_p = 1.0f}, {0.0, nearly_one}), (Ids{0, 63}));
  const Floats steps{0.0f, 3.0f, -0.0f, 3.0f, 2.0f, 0.0f, 2.0f};
  EXPECT_EQ(tokens(steps, {.top_k = 3}, {0.0, nearly_one}), (Ids{1, 6}));
  EXPECT_EQ(tokens(steps, {.top_k = 2}, {0.0, nearly_one}), (Ids{1, 3}));
  EXPECT_EQ(tokens(steps, {.top_k = 5}, {0.0, nearly_one}), (Ids{0, 6}));
  EXPECT_EQ(tokens(steps, {.top_k = 100}, {0.0, nearly_one}), (Ids{0, 6}));
  EXPECT_EQ(tokens(steps, {.top_p = 0.4f}, {0.0, nearly_one}), (Ids{1, 3}));
  EXPECT_EQ(tokens(steps, {.top_p = 0.3f}, {0.0, nearly_one}), (Ids{1, 1}));
}

TEST_F(CudaDraw, LogitsThatAreNotFinite) {
  const float low = -HUGE_VALF;
  const float nan = std::nanf("");
  EXPECT_EQ(tokens({low, nan, 2.0f, low}, {}, {0.0, nearly_one}), (Ids{2, 2}));
  EXPECT_EQ(tokens({low, nan, low}, {}, {0.0, 0.5, nearly_one}), (Ids{0, 1, 2}));
  EXPECT_EQ(tokens({low, nan, low}, {.top_k = 1}, {0.0, nearly_one}), (Ids{0, 2}));
  EXPECT_EQ(tokens({low, nan, low}, {.top_p = 0.5f}, {0.0, nearly_one}), (Ids{0, 1}));
  EXPECT_EQ(tokens({1.0f, HUGE_VALF, 3e38f, HUGE_VALF}, {.min_p = 0.5f}, {0.0, nearly_one}),
            (Ids{1, 3}));
  EXPECT_EQ(tokens({3e38f, -3e38f, 3e38f}, {.temperature = 0.01f}, {0.0, nearly_one}), (Ids{0, 2}));
  EXPECT_EQ(tokens({5.0f}, {.top_k = 1, .top_p = 0.5f}, {0.0, nearly_one}), (Ids{0, 0}));
}

TEST_F(CudaDraw, ManyCandidatesOfOneBin) {
  Random random(4);
  Batch batch = batch_of(12, 20000);
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    for (float& logit : batch.row(i)) logit = 3.0f + 1e-4f * random.value();
    batch.rows[i].top_k = i % 3 == 0 ? 0 : 7000;
    batch.rows[i].top_p = i % 3 == 1 ? 1.0f : 0.8f;
    batch.rows[i].uniform = uniform(i, 0, 0);
  }
  EXPECT_EQ(differing(batch), 0);
}

TEST_F(CudaDraw, TheWidestVocabulary) {
  Random random(5);
  Batch batch = batch_of(3, most_draw_columns);
  for (std::size_t i = 0; i < 3; ++i) {
    for (float& logit : batch.row(i)) logit = i == 0 ? 0.25f : random.value();
    batch.rows[i].uniform = i == 0 ? nearly_one : 0.7;
  }
  batch.rows[2].top_p = 0.9f;
  EXPECT_EQ(differing(batch), 0);
}

TEST_F(CudaDraw, NothingToDraw) {
  TestContext gpu;
  draw(gpu, {nullptr, 10, 10, {}, nullptr});
  gpu.synchronize();
}

}  // namespace
}  // namespace trireme::cuda::test
