#include "runtime/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>

#include "core/error.h"

namespace trireme {

namespace {

struct Candidate {
  float logit;
  std::int32_t id;
};

std::uint64_t splitmix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// Larger logits first, ties by lower id: a total order, so sorting has one outcome.
bool before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

void penalize(std::span<float> logits, float penalty, std::span<const std::int32_t> ids) {
  if (penalty == 1.0f) return;
  for (const std::int32_t id : ids) {
    float& logit = logits[static_cast<std::size_t>(id)];
    logit = logit < 0 ? logit * penalty : logit / penalty;
  }
}

/// Ascending from the best candidate to the worst; the same for zeros of either sign.
std::uint32_t sort_key(float logit) {
  const auto bits = std::bit_cast<std::uint32_t>(logit + 0.0f);
  return bits >> 31 != 0 ? bits : 0x7fffffffu - bits;
}

constexpr int digit_bits = 11;
constexpr std::size_t digits = 3;  ///< of a key
constexpr std::size_t digit_values = std::size_t{1} << digit_bits;

std::size_t digit_of(const Candidate& candidate, std::size_t digit) {
  return sort_key(candidate.logit) >> (digit * digit_bits) & (digit_values - 1);
}

/// Sorts candidates that are in the order of their ids as `before` says: digit by digit of the
/// key, each time without disturbing the order of equals. A tenth of std::sort's time for a
/// vocabulary of 50,000, which is more than a step of a small model takes.
void sort_from_best(std::vector<Candidate>& candidates) {
  std::array<std::array<std::size_t, digit_values>, digits> places{};
  for (const Candidate& candidate : candidates) {
    for (std::size_t d = 0; d < digits; ++d) ++places[d][digit_of(candidate, d)];
  }
  std::vector<Candidate> sorted(candidates.size());
  for (std::size_t d = 0; d < digits; ++d) {
    std::exclusive_scan(places[d].begin(), places[d].end(), places[d].begin(), std::size_t{0});
    for (const Candidate& candidate : candidates) {
      sorted[places[d][digit_of(candidate, d)]++] = candidate;
    }
    candidates.swap(sorted);
  }
}

/// Drops, by the first digit of their keys, candidates that are not among the best `count`.
void drop_worst(std::vector<Candidate>& candidates, std::size_t count) {
  std::array<std::size_t, digit_values> counts{};
  for (const Candidate& candidate : candidates) ++counts[digit_of(candidate, digits - 1)];
  std::size_t last = 0;
  for (std::size_t kept = counts[0]; kept < count; kept += counts[++last]) {
  }
  std::erase_if(candidates,
                [&](const Candidate& candidate) { return digit_of(candidate, digits - 1) > last; });
}

/// Candidates from the best down; with top-k only the k best and whatever ties with the last.
std::vector<Candidate> best_candidates(std::span<const float> logits, float temperature,
                                       std::int32_t top_k) {
  std::vector<Candidate> all(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float logit = std::isnan(logits[i]) ? -INFINITY : logits[i];
    all[i] = {logit / temperature, static_cast<std::int32_t>(i)};
  }
  const auto count = static_cast<std::size_t>(std::max(top_k, 0));
  const bool cut = count > 0 && count < all.size();
  if (cut) drop_worst(all, count);
  if (all.size() > digit_values) {
    sort_from_best(all);
  } else {
    std::sort(all.begin(), all.end(), before);
  }
  if (cut) {
    const float least = all[count - 1].logit;
    while (all.back().logit < least) all.pop_back();
  }
  return all;
}

std::vector<double> softmax(const std::vector<Candidate>& candidates) {
  std::vector<double> p(candidates.size());
  const double max = static_cast<double>(candidates.front().logit);
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double logit = static_cast<double>(candidates[i].logit);
    p[i] = logit == max ? 1.0 : std::exp(logit - max);
    sum += p[i];
  }
  for (double& value : p) value /= sum;
  return p;
}

/// Keeps the smallest set of best tokens whose probability reaches top_p (at least one).
void keep_top_p(std::vector<Candidate>& candidates, float top_p) {
  if (top_p >= 1.0f) return;
  const std::vector<double> p = softmax(candidates);
  double above = 0;  // probability of all better tokens
  std::size_t keep = 1;
  for (; keep < p.size(); ++keep) {
    above += p[keep - 1];
    if (above >= static_cast<double>(top_p)) break;
  }
  candidates.resize(keep);
}

void keep_min_p(std::vector<Candidate>& candidates, float min_p) {
  if (min_p <= 0.0f) return;
  const std::vector<double> p = softmax(candidates);
  std::size_t keep = 1;
  while (keep < p.size() && p[keep] >= static_cast<double>(min_p) * p[0]) ++keep;
  candidates.resize(keep);
}

/// Candidates with their probabilities, by ascending id.
std::vector<std::pair<std::int32_t, double>> by_id(const std::vector<Candidate>& candidates,
                                                   const std::vector<double>& p,
                                                   std::size_t vocabulary) {
  std::vector<std::pair<std::int32_t, double>> kept;
  kept.reserve(p.size());
  if (p.size() < vocabulary / 16) {
    for (std::size_t i = 0; i < p.size(); ++i) kept.emplace_back(candidates[i].id, p[i]);
    std::sort(kept.begin(), kept.end());
    return kept;
  }
  // So many that passing over the whole vocabulary costs less than sorting.
  std::vector<double> all(vocabulary, -1.0);
  for (std::size_t i = 0; i < p.size(); ++i) all[static_cast<std::size_t>(candidates[i].id)] = p[i];
  for (std::size_t id = 0; id < vocabulary; ++id) {
    if (all[id] >= 0.0) kept.emplace_back(static_cast<std::int32_t>(id), all[id]);
  }
  return kept;
}

}  // namespace

double uniform(std::uint64_t seed, std::uint64_t row, std::uint64_t position) {
  const std::uint64_t bits = splitmix64(splitmix64(splitmix64(seed) ^ row) ^ position);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

std::vector<std::pair<std::int32_t, double>> distribution(std::span<float> logits,
                                                          const SamplerSettings& settings,
                                                          std::span<const std::int32_t> penalized) {
  TRIREME_ASSERT(!logits.empty());
  penalize(logits, settings.repetition_penalty, penalized);
  std::vector<Candidate> candidates = best_candidates(logits, settings.temperature, settings.top_k);
  keep_top_p(candidates, settings.top_p);
  keep_min_p(candidates, settings.min_p);
  return by_id(candidates, softmax(candidates), logits.size());
}

std::int32_t choose(std::span<float> logits, const SamplerSettings& settings,
                    std::span<const std::int32_t> penalized) {
  if (settings.greedy) {
    penalize(logits, settings.repetition_penalty, penalized);
    const auto better = [](float a, float b) { return a < b || (std::isnan(a) && !std::isnan(b)); };
    const auto best = std::max_element(logits.begin(), logits.end(), better);
    return static_cast<std::int32_t>(best - logits.begin());
  }
  const auto kept = distribution(logits, settings, penalized);
  const double drawn = uniform(settings.seed, settings.row, settings.position);
  double cumulative = 0;
  for (const auto& [id, p] : kept) {
    cumulative += p;
    if (drawn < cumulative) return id;
  }
  return kept.back().first;  // rounding left the sum a hair below 1
}

}  // namespace trireme
