#include "plan/report.h"

#include <gtest/gtest.h>

#include "models.h"
#include "trireme/engine.h"

namespace trireme {
namespace {

constexpr std::int64_t mebi = 1 << 20;

PlanRequest request_for(const ModelSpec& model, std::int64_t available) {
  PlanRequest request;
  request.limits = {model.max_positions, 8, 128};
  request.available_bytes = available;
  return request;
}

TEST(PlanReport, RanksCoverTheModel) {
  const auto model = golden_model("wide_llama", DType::f32);
  const ModelSpec& spec = model->spec();
  PlanRequest request = request_for(spec, 1000 * mebi);
  request.dp = 2;
  request.tp = 3;
  request.pp = 2;
  const PlanReport report = lay_out(spec, request);
  ASSERT_EQ(report.ranks.size(), 12u);
  std::int64_t heads = 0;
  std::int64_t vocab = 0;
  for (int tp = 0; tp < 3; ++tp) {
    const RankShare& rank = report.ranks[static_cast<std::size_t>(tp)];
    EXPECT_EQ(rank.tensor_rank, tp);
    EXPECT_EQ(rank.heads.begin, heads);
    EXPECT_EQ(rank.vocab.begin, vocab);
    EXPECT_GE(rank.kv_heads.size(), 1);
    heads = rank.heads.end;
    vocab = rank.vocab.end;
    EXPECT_TRUE(rank.embedding);
    EXPECT_FALSE(rank.head);
  }
  EXPECT_EQ(heads, spec.num_attention_heads);
  EXPECT_EQ(vocab, spec.vocab_size);
  EXPECT_EQ(report.ranks[0].layers.end, report.ranks[3].layers.begin);
  EXPECT_EQ(report.ranks[3].layers.end, spec.num_layers());
  EXPECT_TRUE(report.ranks[3].head);
  EXPECT_EQ(report.ranks[6].replica, 1);
}

TEST(PlanReport, ReplicasOnAHostShareWeights) {
  const auto model = golden_model("wide_llama", DType::f32);
  PlanRequest request = request_for(model->spec(), 1000 * mebi);
  request.kv_cache_bytes = mebi;
  const PlanReport one = lay_out(model->spec(), request);
  request.dp = 2;
  const PlanReport two = lay_out(model->spec(), request);
  const RankShare& rank = one.ranks[0];
  EXPECT_EQ(two.host_bytes - one.host_bytes, one.host_bytes - rank.weight_bytes);
  request.ranks_per_host = 1;
  EXPECT_EQ(lay_out(model->spec(), request).host_bytes, one.host_bytes);
}

TEST(PlanReport, ImpossibleSizesAreWrongUsage) {
  const auto model = golden_model("llama", DType::f32);
  const auto complain = [&](int dp, int tp, int pp) {
    PlanRequest request = request_for(model->spec(), 1000 * mebi);
    request.dp = dp;
    request.tp = tp;
    request.pp = pp;
    try {
      lay_out(model->spec(), request);
      ADD_FAILURE() << dp << tp << pp;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
    }
  };
  complain(0, 1, 1);
  complain(1, 0, 1);
  complain(1, 1, 0);
  complain(1, 1000, 1);
  complain(1, 1, 1000);
}

TEST(PlanReport, ACacheOnlyAsLargeAsWanted) {
  const auto model = golden_model("llama", DType::f32);
  PlanRequest request = request_for(model->spec(), 4000 * mebi);
  const PlanReport report = lay_out(model->spec(), request);
  EXPECT_TRUE(report.fits);
  EXPECT_EQ(report.kv_cache_tokens, 8 * round_up(model->spec().max_positions, kv_block_tokens));
}

TEST(PlanReport, WhatDoesNotFitComesWithFlagsThatDo) {
  const auto model = golden_model("wide_llama", DType::f32);
  PlanRequest request = request_for(model->spec(), 4000 * mebi);
  const std::int64_t bare = lay_out(model->spec(), request).ranks[0].weight_bytes;
  request.available_bytes = bare + 2 * program_bytes;
  request.kv_cache_bytes = 300 * mebi;
  request.limits.max_sequences = 100000;
  const PlanReport report = lay_out(model->spec(), request);
  EXPECT_FALSE(report.fits);
  EXPECT_FALSE(report.shortage.empty());
  const std::vector<PlanSuggestion> suggestions = suggest_plans(model->spec(), request);
  ASSERT_FALSE(suggestions.empty());
  EXPECT_EQ(suggestions[0].flags.rfind("--kv-cache-memory", 0), 0u);
  for (const PlanSuggestion& suggestion : suggestions) {
    EXPECT_LE(suggestion.host_bytes, request.available_bytes) << suggestion.flags;
  }
}

TEST(PlanReport, AModelBeyondTheHostWantsMoreHosts) {
  const auto model = golden_model("wide_llama", DType::bf16);
  PlanRequest request = request_for(model->spec(), 0);
  request.available_bytes = 4000 * mebi;
  const std::int64_t weights = lay_out(model->spec(), request).ranks[0].weight_bytes;
  request.available_bytes = weights * 3 / 4 + program_bytes;
  ASSERT_FALSE(lay_out(model->spec(), request).fits);
  std::string all;
  for (const auto& s : suggest_plans(model->spec(), request)) all += s.flags + " ";
  EXPECT_NE(all.find("parallel-size"), std::string::npos) << all;
}

TEST(PlanReport, RotaryTablesCountAsActivations) {
  const auto model = golden_model("llama3", DType::f32);
  PlanRequest request = request_for(model->spec(), 4000 * mebi);
  request.limits.max_model_len = 1000;
  const std::int64_t shorter = lay_out(model->spec(), request).ranks[0].activation_bytes;
  request.limits.max_model_len = 5000;
  const std::int64_t longer = lay_out(model->spec(), request).ranks[0].activation_bytes;
  EXPECT_EQ(longer - shorter, 4000 * model->spec().rotary_dim * 4);
}

TEST(MakePlan, IsWhatTheEngineThenTakes) {
  Options options;
  options.model = golden_folder("llama").string();
  options.max_sequences = 3;
  const PlanReport report = make_plan(options);
  const Engine engine(options);
  const EngineStats stats = engine.stats();
  constexpr double pages = 4096 * 64;  // a page for each of the tiny model's parameters
  EXPECT_NEAR(static_cast<double>(report.ranks[0].weight_bytes),
              static_cast<double>(stats.weight_bytes), pages);
  EXPECT_EQ(report.kv_cache_tokens, stats.kv_blocks * kv_block_tokens);
  EXPECT_EQ(report.ranks[0].blocks.size(), stats.model_blocks);
}

TEST(MakePlan, RefusesAContextBeyondTheModels) {
  Options options;
  options.model = golden_folder("llama").string();
  options.max_model_len = 1 << 30;
  EXPECT_THROW(make_plan(options), Error);
}

}  // namespace
}  // namespace trireme
