// The cache holds one sequence of the longest length, or the plan and the engine refuse alike.
#include "plan/cache.h"

#include <gtest/gtest.h>

#include <array>

#include "core/error.h"
#include "models.h"
#include "plan/report.h"
#include "trireme/engine.h"

namespace trireme {
namespace {

constexpr std::int64_t kibi = 1 << 10;
constexpr std::int64_t mebi = 1 << 20;

/// Sequences of 1000 tokens (32 blocks) on two ranks of a host, blocks of 1 KiB and 2 KiB.
CacheRequest request_with(std::int64_t asked, std::int64_t free) {
  return {.limits = {.max_model_len = 1000, .max_sequences = 4},
          .asked_bytes = asked,
          .block_bytes = 2 * kibi,
          .host_block_bytes = 3 * kibi,
          .free_bytes = free,
          .ranks_per_host = 2};
}

TEST(Cache, AsManyBlocksAsAskedAndWanted) {
  EXPECT_EQ(cache_blocks(request_with(100 * kibi, 0)), 50);
  EXPECT_EQ(cache_blocks(request_with(mebi, 0)), 4 * 32);
  EXPECT_EQ(cache_blocks(request_with(kibi, 0)), 0);
}

TEST(Cache, HalfOfWhatIsFreeAmongTheRanks) {
  EXPECT_EQ(cache_blocks(request_with(0, 400 * kibi)), 50);
  EXPECT_EQ(cache_blocks(request_with(0, 400 * mebi)), 4 * 32);
}

TEST(Cache, OneSequenceMayTakeMoreThanHalf) {
  EXPECT_EQ(cache_blocks(request_with(0, 96 * kibi)), 32);
  EXPECT_EQ(cache_shortage(request_with(0, 96 * kibi)), "");
  EXPECT_EQ(cache_blocks(request_with(0, 95 * kibi)), 31);
  CacheRequest reserved = request_with(0, 96 * kibi);
  reserved.reserve_bytes = 9 * kibi;
  EXPECT_EQ(cache_blocks(reserved), 29);
  EXPECT_EQ(cache_blocks(request_with(0, -5)), 0);
}

TEST(Cache, AShortageSaysWhatIsThereWhatIsNeededAndWhatWouldFit) {
  const CacheRequest request = request_with(63 * kibi, 0);
  const std::string text = cache_shortage(request) + "; " + cache_advice(request);
  for (const char* part :
       {"992 tokens", "1000 tokens", "--kv-cache-memory 64K", "--max-model-len 990"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
  }
  EXPECT_EQ(cache_shortage(request_with(64 * kibi, 0)), "");
  EXPECT_EQ(cache_advice(request_with(kibi, 0)).find("--max-model-len"), std::string::npos);
}

TEST(Cache, LengthsAreRoundedDownToWhatOneTypes) {
  const auto length = [](std::int64_t blocks) {
    CacheRequest request = request_with(blocks * 2 * kibi, 0);
    request.limits.max_model_len = 1 << 20;
    return length_that_fits(request);
  };
  EXPECT_EQ(length(0), 0);
  EXPECT_EQ(length(1), 32);
  EXPECT_EQ(length(3), 96);
  EXPECT_EQ(length(35), 1100);      // of 1120
  EXPECT_EQ(length(64), 2048);      // a power of two is as good
  EXPECT_EQ(length(437), 13000);    // of 13984
  EXPECT_EQ(length(4097), 131072);  // of 131104
}

TEST(Cache, NoConfigOverflows) {
  CacheRequest request = request_with(kibi, 0);
  request.limits.max_model_len = std::int64_t{1} << 31;
  request.block_bytes = request.host_block_bytes = std::int64_t{1} << 46;
  EXPECT_NE(cache_shortage(request), "");
}

PlanRequest plan_request(const ModelSpec& model) {
  PlanRequest request;
  request.limits = {model.max_positions, 8, 128};
  request.available_bytes = 4000 * mebi;
  return request;
}

std::string flags_of(const std::vector<PlanSuggestion>& suggestions) {
  std::string all;
  for (const PlanSuggestion& suggestion : suggestions) all += suggestion.flags + "\n";
  return all;
}

TEST(PlannedCache, ATooSmallOneIsRefusedWithFlagsThatFit) {
  const auto model = golden_model("wide_llama", DType::f32);
  PlanRequest request = plan_request(model->spec());
  const std::int64_t needed = bytes_of_one_sequence(cache_request(model->spec(), request));
  request.kv_cache_bytes = needed;
  EXPECT_TRUE(lay_out(model->spec(), request).fits);
  request.kv_cache_bytes = needed - 1;
  const PlanReport report = lay_out(model->spec(), request);
  EXPECT_FALSE(report.fits);
  EXPECT_NE(report.shortage.find("--kv-cache-memory"), std::string::npos) << report.shortage;
  const std::string flags = flags_of(suggest_plans(model->spec(), request));
  const CacheRequest cache = cache_request(model->spec(), request);
  EXPECT_NE(flags.find("--kv-cache-memory " + memory_for_one_sequence(cache)), std::string::npos)
      << flags;
  EXPECT_NE(flags.find("--max-model-len " + std::to_string(length_that_fits(cache))),
            std::string::npos)
      << flags;
}

TEST(PlannedCache, WhereMemoryIsShortItHoldsOneSequenceOrIsRefused) {
  const auto model = golden_model("wide_llama", DType::f32);
  for (const auto& [dp, tp, pp] : {std::array{1, 1, 1}, {2, 1, 1}, {1, 3, 1}, {1, 1, 2}}) {
    PlanRequest request = plan_request(model->spec());
    request.dp = dp;
    request.tp = tp;
    request.pp = pp;
    const CacheRequest cache = cache_request(model->spec(), request);
    const std::int64_t bare = request.available_bytes - cache.free_bytes;
    const std::int64_t one = kv_blocks_of_one_sequence(request.limits) * cache.host_block_bytes;
    request.available_bytes = bare + one * 10 / 9 + 10;
    const PlanReport tight = lay_out(model->spec(), request);
    EXPECT_TRUE(tight.fits) << tight.shortage;
    EXPECT_EQ(tight.kv_cache_tokens, round_up(request.limits.max_model_len, kv_block_tokens));
    EXPECT_LE(tight.host_bytes, request.available_bytes);
    request.available_bytes = bare + one;
    const PlanReport refused = lay_out(model->spec(), request);
    EXPECT_FALSE(refused.fits);
    EXPECT_NE(refused.shortage.find("free memory"), std::string::npos) << refused.shortage;
    EXPECT_NE(flags_of(suggest_plans(model->spec(), request)).find("--max-model-len"),
              std::string::npos);
  }
}

TEST(PlannedCache, PlanAndEngineRefuseAlike) {
  Options options;
  options.model = golden_folder("llama").string();
  options.threads = 1;
  int refused = 0;
  for (const std::int64_t bytes : {kibi, 20 * kibi, 64 * kibi, 100 * kibi, mebi}) {
    options.kv_cache_bytes = bytes;
    const PlanReport report = make_plan(options);
    try {
      const Engine engine(options);
      EXPECT_TRUE(report.fits) << bytes;
      EXPECT_EQ(engine.stats().max_sequence_tokens, report.max_model_len) << bytes;
    } catch (const Error& error) {
      ++refused;
      EXPECT_FALSE(report.fits) << bytes;
      EXPECT_EQ(error.kind(), ErrorKind::resource);
      EXPECT_EQ(std::string(error.what()).rfind(report.shortage, 0), 0u)
          << error.what() << " begins with " << report.shortage;
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_LT(refused, 5);
}

}  // namespace
}  // namespace trireme
