#include "cli/plan_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace trireme {
namespace {

PlanReport example(int replicas) {
  PlanReport report{.directory = "demo", .architecture = "LlamaForCausalLM", .dtype = "bfloat16"};
  report.data_parallel_size = replicas;
  report.tensor_parallel_size = 2;
  for (int rank = 0; rank < 2 * replicas; ++rank) {
    RankShare share{.rank = rank, .replica = rank / 2, .tensor_rank = rank % 2};
    share.layers = {0, 6};
    share.embedding = share.head = true;
    share.heads = {4 * (rank % 2), 4 * (rank % 2) + 4};
    share.weight_bytes = 3 << 20;
    share.kv_cache_bytes = (1 + rank % 2) << 20;
    share.activation_bytes = 1 << 10;
    report.ranks.push_back(share);
  }
  report.virtual_shards = {{"mlp", 500, 128, 4}};
  report.ranks_per_host = 2 * replicas;
  report.max_model_len = 1024;
  report.host_bytes = 10 << 20;
  report.available_bytes = 20 << 20;
  return report;
}

std::size_t widest_line(const std::string& text) {
  std::size_t widest = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    widest = std::max(widest, end - begin);
    begin = end + 1;
  }
  return widest;
}

TEST(PlanPicture, IsPlainWhereThePlaceIs) {
  const std::string text = plan_picture(example(1), {.width = 100});
  EXPECT_EQ(text.find('\033'), std::string::npos);
  for (const char c : text) EXPECT_GE(static_cast<signed char>(c), 0) << "ASCII only";
  EXPECT_NE(text.find("embed+0-5+head"), std::string::npos) << text;
  EXPECT_NE(text.find("###"), std::string::npos);
}

TEST(PlanPicture, UsesWhatTheTerminalCanShow) {
  const std::string text =
      plan_picture(example(1), {.interactive = true, .colour = true, .utf8 = true, .width = 100});
  EXPECT_NE(text.find("\u2588"), std::string::npos);
  EXPECT_NE(text.find("\033[34m"), std::string::npos);
}

TEST(PlanPicture, BarsFitTheWidthAndAreToScale) {
  for (const int width : {80, 100, 160}) {
    const std::string text = plan_picture(example(1), {.width = width});
    const auto count = [&](const char* rank) {
      const std::size_t line = text.find(rank);
      const std::size_t end = text.find('\n', line);
      const std::string bar = text.substr(line, end - line);
      return std::count_if(bar.begin(), bar.end(), [](char c) { return c == '#' || c == '='; });
    };
    EXPECT_NEAR(static_cast<double>(count("rank 0 ")) / static_cast<double>(count("rank 1 ")),
                4.0 / 5.0, 0.04)
        << text;
    EXPECT_LE(widest_line(text), static_cast<std::size_t>(std::max(width, 100))) << text;
  }
}

TEST(PlanPicture, OfManyReplicasShowsOne) {
  const std::string text = plan_picture(example(20), {.width = 100});
  EXPECT_NE(text.find("and 19 more replicas like this one"), std::string::npos);
  EXPECT_EQ(text.find("rank 2 "), std::string::npos);
}

TEST(PlanJson, HoldsTheSame) {
  const auto json = nlohmann::json::parse(plan_json(example(2)));
  EXPECT_EQ(json["ranks"].size(), 4u);
  EXPECT_EQ(json["ranks"][1]["attention_heads"], nlohmann::json::array({4, 8}));
  EXPECT_EQ(json["ranks"][1]["total_bytes"], (3 << 20) + (2 << 20) + (1 << 10));
  EXPECT_EQ(json["virtual_shards"][0]["boundaries"],
            nlohmann::json::array({0, 128, 256, 384, 500}));
  EXPECT_EQ(json["fits"], true);
}

TEST(PlanPicture, SpeedIsABoundAndSaysSo) {
  PlanReport report = example(1);
  EXPECT_EQ(plan_picture(report, {.width = 100}).find("tokens/s"), std::string::npos);
  report.memory_bandwidth = 1e10;
  report.decode_tokens_per_second = 100;
  const std::string text = plan_picture(report, {.width = 100});
  EXPECT_NE(text.find("at most 100 tokens/s"), std::string::npos) << text;
  EXPECT_NE(text.find("a bound and no prediction"), std::string::npos) << text;
  EXPECT_EQ(nlohmann::json::parse(plan_json(report))["decode_tokens_per_s_upper_bound"], 100);
}

TEST(ShortageText, NamesWhatWouldFit) {
  PlanReport report = example(1);
  report.fits = false;
  report.host_bytes = 30 << 20;
  report.suggestions = {{"--kv-cache-memory 1M", "fewer tokens", 19 << 20}};
  const std::string text = shortage_text(report);
  EXPECT_NE(text.find("30.0 MiB"), std::string::npos) << text;
  EXPECT_NE(text.find("--kv-cache-memory 1M"), std::string::npos) << text;
}

}  // namespace
}  // namespace trireme
