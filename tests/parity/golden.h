// The golden cases of tests/data/golden: tiny models and what transformers computed with them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace trireme::testing {

struct GoldenSequence {
  std::vector<std::int32_t> ids;
  std::vector<float> logits;    ///< [ids, vocab]
  std::vector<float> logprobs;  ///< [ids - 1]
};

struct GoldenCase {
  std::string name;
  std::filesystem::path directory;
  std::vector<GoldenSequence> sequences;
  std::vector<std::int32_t> greedy_prompt;
  std::vector<std::int32_t> greedy_tokens;
  float largest_logit = 0;
};

std::filesystem::path golden_directory();

/// Names of all cases that hold HF's numbers.
std::vector<std::string> golden_names();

GoldenCase load_golden(const std::string& name);

}  // namespace trireme::testing
