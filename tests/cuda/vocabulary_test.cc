// The reductions over the vocabulary on a GPU: the reference's bits.
#include "kernels/cuda/vocabulary.h"

#include "../device/support.h"
#include "support.h"

namespace trireme::cuda::test {
namespace {

using trireme::test::difference;
using trireme::test::Floats;
using trireme::test::Random;

/// Rows of logits with ties, infinities and NaNs; the second is all -infinity, the third all NaN.
Floats awkward_logits(Random& random, std::int64_t rows, std::int64_t cols, std::int64_t ld) {
  Floats logits = random.values(rows * ld);
  const auto last = static_cast<std::int64_t>(logits.size()) - 1;
  for (std::int64_t i = 0; i < 40; ++i) {
    logits[static_cast<std::size_t>(random.integer(0, last))] = i % 3 == 0   ? -HUGE_VALF
                                                                : i % 3 == 1 ? 2.5f
                                                                             : std::nanf("");
  }
  if (rows > 1) std::fill_n(logits.begin() + ld, cols, -HUGE_VALF);
  if (rows > 2) std::fill_n(logits.begin() + 2 * ld, cols, std::nanf(""));
  return logits;
}

class CudaVocabulary : public CudaTest {
 protected:
  std::unique_ptr<Backend> reference_ = make_backend("reference");
  ThreadPool threads_{1};
};

TEST_F(CudaVocabulary, ArgmaxGivesTheReferenceBits) {
  Random random(1);
  for (const std::int64_t cols : {1, 3, 4, 255, 256, 1000, 8191, 8192, 8193, 8196, 50257}) {
    for (const std::int64_t gap : {0, 1}) {
      TestContext gpu;
      const std::int64_t rows = cols > 9000 ? 4 : 11;
      const Floats logits = awkward_logits(random, rows, cols, cols + gap);
      std::vector<Top> wanted(static_cast<std::size_t>(rows));
      reference_->argmax(threads_, logits.data(), rows, cols, cols + gap, wanted.data());
      Top* out = gpu.room<Top>(rows);
      argmax(gpu, gpu.device(logits), rows, cols, cols + gap, out);
      const std::vector<Top> got = gpu.host(out, rows);
      for (std::size_t i = 0; i < got.size(); ++i) {
        EXPECT_EQ(got[i].index, wanted[i].index) << "cols " << cols << " row " << i;
        EXPECT_EQ(difference({got[i].value}, {wanted[i].value}), "");
      }
      EXPECT_LE(gpu.largest_scratch, argmax_scratch_bytes(rows, cols));
    }
  }
  TestContext gpu;
  argmax(gpu, nullptr, 0, 5, 5, nullptr);
}

TEST_F(CudaVocabulary, ArgmaxBreaksTiesDownwardsAndSkipsNaN) {
  const float nan = std::nanf("");
  const float low = -HUGE_VALF;
  const std::pair<Floats, std::int32_t> cases[] = {
      {{1, 3, 3, 2}, 1},    {{nan, 1, nan, 2}, 3}, {{nan, nan}, 0},    {{low, low}, 0},
      {{nan, low, low}, 1}, {{0.0f, -0.0f}, 0},    {{-0.0f, 0.0f}, 0}, {{-0.0f, 0.0f, 1e-45f}, 2}};
  for (const auto& [x, index] : cases) {
    TestContext gpu;
    const auto cols = static_cast<std::int64_t>(x.size());
    Top* out = gpu.room<Top>(1);
    argmax(gpu, gpu.device(x), 1, cols, cols, out);
    const Top top = gpu.host(out, 1)[0];
    EXPECT_EQ(top.index, index);
    EXPECT_EQ(difference({top.value}, {x[static_cast<std::size_t>(index)]}), "");
  }
}

TEST_F(CudaVocabulary, ExpSumsGiveTheReferenceBits) {
  Random random(2);
  for (const std::int64_t cols : {1, 2, 15, 16, 17, 100, 768, 5000}) {
    for (const std::int64_t block : {1, 16, 100, 512}) {
      TestContext gpu;
      const std::int64_t rows = 5;
      const Floats logits = awkward_logits(random, rows, cols, cols + 2);
      const std::int64_t count = rows * ceil_div(cols, block);
      std::vector<ExpSum> wanted(static_cast<std::size_t>(count));
      reference_->exp_sums(threads_, logits.data(), rows, cols, cols + 2, block, wanted.data());
      ExpSum* out = gpu.room<ExpSum>(count);
      exp_sums(gpu, gpu.device(logits), rows, cols, cols + 2, block, out);
      const std::vector<ExpSum> got = gpu.host(out, count);
      for (std::size_t i = 0; i < got.size(); ++i) {
        EXPECT_EQ(difference({got[i].max, got[i].sum}, {wanted[i].max, wanted[i].sum}), "")
            << "cols " << cols << " block " << block;
      }
    }
  }
}

}  // namespace
}  // namespace trireme::cuda::test
