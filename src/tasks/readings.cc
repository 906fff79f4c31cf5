#include "tasks/readings.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "core/error.h"

namespace trireme {

namespace {

/// What all results have of a reading.
template <typename Result>
Result begun(Reading& reading) {
  Result result;
  result.prompt_tokens = reading.tokens();
  result.truncated = reading.truncated;
  result.error = std::move(reading.error);
  return result;
}

std::vector<double> softmax(std::span<const float> logits) {
  const auto max = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  std::vector<double> values;
  for (const float logit : logits) values.push_back(std::exp(static_cast<double>(logit) - max));
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  for (double& value : values) value /= sum;
  return values;
}

}  // namespace

Embedding embedding_of(Reading reading) {
  auto embedding = begun<Embedding>(reading);
  embedding.values = std::move(reading.values);
  return embedding;
}

Labels::Labels(const HfConfig& config, std::int64_t count) {
  const HfConfig names = config.object("id2label");
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string key = std::to_string(i);
    if (!names.empty() && !names.has(key)) {
      config.reject("id2label", fmt::format("a label for each number from 0 to {}", count - 1));
    }
    names_.push_back(names.string_or(key, "LABEL_" + key));
  }
  const std::string problem = config.string_or("problem_type", "");
  if (problem == "regression") {
    scores_ = Scores::none;
  } else if (problem == "multi_label_classification" || count == 1) {
    scores_ = Scores::logistic;
  } else if (!problem.empty() && problem != "single_label_classification") {
    config.reject("problem_type",
                  "single_label_classification, multi_label_classification or regression");
  }
}

Classification Labels::classify(Reading reading) const {
  auto result = begun<Classification>(reading);
  if (result.error) return result;
  result.logits = std::move(reading.values);
  TRIREME_ASSERT(result.logits.size() == names_.size());
  if (scores_ == Scores::softmax) {
    for (const double score : softmax(result.logits)) {
      result.scores.push_back(static_cast<float>(score));
    }
  } else {
    for (const float logit : result.logits) {
      const double x = static_cast<double>(logit);
      result.scores.push_back(
          static_cast<float>(scores_ == Scores::logistic ? 1.0 / (1.0 + std::exp(-x)) : x));
    }
  }
  result.label =
      std::max_element(result.logits.begin(), result.logits.end()) - result.logits.begin();
  return result;
}

MaskFill fill_masks(Reading reading, const Tokenizer& tokenizer, std::int64_t vocab_size,
                    std::int64_t count) {
  auto result = begun<MaskFill>(reading);
  for (std::size_t mask = 0; mask < reading.wanted.size(); ++mask) {
    const std::span<const float> logits(
        reading.logits.data() + mask * static_cast<std::size_t>(vocab_size),
        static_cast<std::size_t>(vocab_size));
    std::vector<std::int32_t> ids(logits.size());
    std::iota(ids.begin(), ids.end(), 0);
    const auto better = [&](std::int32_t a, std::int32_t b) {
      const float x = logits[static_cast<std::size_t>(a)];
      const float y = logits[static_cast<std::size_t>(b)];
      return x != y ? x > y : a < b;
    };
    const auto kept = ids.begin() + std::min(count, vocab_size);
    std::partial_sort(ids.begin(), kept, ids.end(), better);
    const std::vector<double> probabilities = softmax(logits);
    auto& candidates = result.masks.emplace_back();
    for (auto id = ids.begin(); id != kept; ++id) {
      const std::int32_t one[] = {*id};
      candidates.push_back({*id, tokenizer.decode(one, false),
                            static_cast<float>(probabilities[static_cast<std::size_t>(*id)])});
    }
  }
  return result;
}

}  // namespace trireme
