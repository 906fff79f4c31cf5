// The sampler against transformers' own logits processors: the same probabilities, and drawn tokens
// that pass a chi-square test against them.
#include "runtime/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

namespace trireme {
namespace {

using Json = nlohmann::json;

Json read_goldens() {
  std::ifstream file(std::string(TRIREME_SOURCE_DIR) + "/tests/data/golden/samplers.json");
  return Json::parse(file);
}

SamplerSettings settings_of(const Json& json) {
  SamplerSettings s{.greedy = false};
  s.temperature = json.value("temperature", 1.0f);
  s.top_k = json.value("top_k", 0);
  s.top_p = json.value("top_p", 1.0f);
  s.min_p = json.value("min_p", 0.0f);
  s.repetition_penalty = json.value("repetition_penalty", 1.0f);
  return s;
}

std::vector<std::int32_t> previous_of(const Json& goldens) {
  auto ids = goldens.at("previous").get<std::vector<std::int32_t>>();
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

TEST(Sampler, GivesTheProbabilitiesOfTransformers) {
  const Json goldens = read_goldens();
  const std::vector<std::int32_t> previous = previous_of(goldens);
  for (const Json& one : goldens.at("cases")) {
    auto logits =
        goldens.at("logits").at(one.at("logits").get<std::string>()).get<std::vector<float>>();
    const auto expected = one.at("probabilities").get<std::vector<double>>();
    std::vector<double> actual(expected.size(), 0.0);
    for (const auto& [id, p] : distribution(logits, settings_of(one.at("settings")), previous)) {
      actual[static_cast<std::size_t>(id)] = p;
    }
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(actual[i], expected[i], 2e-6) << one.at("settings") << " id " << i;
      EXPECT_EQ(actual[i] == 0, expected[i] == 0) << one.at("settings") << " id " << i;
    }
  }
}

/// Chi-square statistic of `counts` against `p`, tokens expected fewer than 5 times put together;
/// returns how many standard deviations it lies above its mean.
double excess(const std::vector<int>& counts, const std::vector<double>& p, int draws) {
  double statistic = 0;
  double rest_expected = 0;
  double rest_count = 0;
  int cells = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double expected = p[i] * draws;
    if (expected < 5) {
      rest_expected += expected;
      rest_count += counts[i];
      continue;
    }
    statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
    ++cells;
  }
  if (rest_expected > 0) {
    statistic += (rest_count - rest_expected) * (rest_count - rest_expected) / rest_expected;
    ++cells;
  }
  const double freedom = std::max(1, cells - 1);
  return (statistic - freedom) / std::sqrt(2 * freedom);
}

TEST(Sampler, DrawsPassAChiSquareTestAgainstTransformers) {
  const Json goldens = read_goldens();
  const std::vector<std::int32_t> previous = previous_of(goldens);
  constexpr int draws = 20000;
  for (const Json& one : goldens.at("cases")) {
    const auto logits =
        goldens.at("logits").at(one.at("logits").get<std::string>()).get<std::vector<float>>();
    const auto p = one.at("probabilities").get<std::vector<double>>();
    SamplerSettings settings = settings_of(one.at("settings"));
    settings.seed = 11;
    std::vector<int> counts(p.size(), 0);
    for (int i = 0; i < draws; ++i) {
      settings.row = static_cast<std::uint64_t>(i % 100);
      settings.position = static_cast<std::uint64_t>(i / 100);
      std::vector<float> row = logits;
      const auto id = static_cast<std::size_t>(choose(row, settings, previous));
      ASSERT_GT(p[id], 0) << "a token that transformers rules out";
      ++counts[id];
    }
    EXPECT_LT(excess(counts, p, draws), 5.0) << one.at("logits") << " " << one.at("settings");
  }
}

TEST(Sampler, TheKeyAloneDecides) {
  const std::vector<float> logits{0.1f, 0.2f, 0.3f, 0.1f};
  SamplerSettings settings{.greedy = false, .seed = 3, .row = 5, .position = 7};
  std::vector<float> first = logits;
  std::vector<float> second = logits;
  EXPECT_EQ(choose(first, settings, {}), choose(second, settings, {}));
  EXPECT_NE(uniform(3, 5, 7), uniform(3, 5, 8));
  EXPECT_NE(uniform(3, 5, 7), uniform(3, 6, 7));
  EXPECT_NE(uniform(3, 5, 7), uniform(4, 5, 7));
}

/// A vocabulary with many ties, zeros of both signs, and logits that say nothing.
std::vector<float> awkward_logits(std::size_t count) {
  std::vector<float> logits(count);
  std::mt19937 random(5);
  for (float& logit : logits) {
    logit = static_cast<float>(static_cast<int>(random() % 4001) - 2000) * 0.01f;
    if (random() % 50 == 0) logit = random() % 2 == 0 ? 0.0f : -0.0f;
    if (random() % 99 == 0) logit = random() % 2 == 0 ? NAN : -INFINITY;
  }
  return logits;
}

/// The definition: everything sorted, sums from the best down.
std::vector<std::pair<std::int32_t, double>> plain_distribution(std::vector<float> logits,
                                                                std::int32_t top_k, float top_p) {
  for (float& logit : logits) logit = std::isnan(logit) ? -INFINITY : logit;
  std::vector<std::int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto logit_of = [&](std::int32_t id) { return logits[static_cast<std::size_t>(id)]; };
  std::ranges::stable_sort(ids, std::greater<>(), logit_of);
  if (top_k > 0) {
    const float least = logit_of(ids[static_cast<std::size_t>(top_k - 1)]);
    std::erase_if(ids, [&](std::int32_t id) { return logit_of(id) < least; });
  }
  const auto softmax = [&] {
    std::vector<double> p;
    double sum = 0;
    const double max = static_cast<double>(logit_of(ids[0]));
    for (const std::int32_t id : ids) {
      sum += p.emplace_back(std::exp(static_cast<double>(logit_of(id)) - max));
    }
    for (double& value : p) value /= sum;
    return p;
  };
  const std::vector<double> all = softmax();
  std::size_t keep = 1;
  for (double above = all[0]; keep < ids.size() && above < static_cast<double>(top_p); ++keep) {
    above += all[keep];
  }
  if (top_p < 1.0f) ids.resize(keep);
  const std::vector<double> p = softmax();
  std::vector<std::pair<std::int32_t, double>> kept;
  for (std::size_t i = 0; i < ids.size(); ++i) kept.emplace_back(ids[i], p[i]);
  std::ranges::sort(kept);
  return kept;
}

TEST(Sampler, LargeVocabulariesGiveTheBitsOfTheDefinition) {
  for (const std::size_t vocabulary : {2048, 2049, 50257}) {
    for (const auto& [top_k, top_p] :
         {std::pair{0, 1.0f}, {0, 0.9f}, {0, 0.01f}, {1, 1.0f}, {50, 1.0f}, {2040, 0.5f}}) {
      std::vector<float> logits = awkward_logits(vocabulary);
      const auto expected = plain_distribution(logits, top_k, top_p);
      const SamplerSettings settings{.greedy = false, .top_k = top_k, .top_p = top_p};
      EXPECT_EQ(distribution(logits, settings, {}), expected)
          << vocabulary << " tokens, top-k " << top_k << ", top-p " << top_p;
    }
  }
}

TEST(Sampler, ZerosOfEitherSignTie) {
  std::vector<float> logits(4096, 0.0f);
  for (std::size_t i = 0; i < logits.size(); i += 2) logits[i] = -0.0f;
  const SamplerSettings settings{.greedy = false, .top_p = 0.5f};
  const auto kept = distribution(logits, settings, {});
  ASSERT_EQ(kept.size(), 2048);
  EXPECT_EQ(kept.back().first, 2047);
}

TEST(Sampler, GreedyTiesGoToTheLowestIdAndNaNNeverWins) {
  std::vector<float> ties{1, 3, 3, 2};
  EXPECT_EQ(choose(ties, {}, {}), 1);
  std::vector<float> nan{NAN, 1, 2, NAN};
  EXPECT_EQ(choose(nan, {}, {}), 2);
}

}  // namespace
}  // namespace trireme
