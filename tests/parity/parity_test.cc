// Parity with Hugging Face: float32 logits, log-probabilities and greedy continuations of tiny
// models of every family, as transformers computed them.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "comm/registry.h"
#include "golden.h"
#include "runtime/replica.h"

namespace trireme::testing {
namespace {

class Parity : public ::testing::TestWithParam<std::filesystem::path> {
 protected:
  Options options() const {
    Options options;
    options.model = GetParam();
    options.dtype = "float32";
    options.quantization = "none";  // of GPTQ and AWQ: the matrices that the codes stand for
    options.threads = 2;
    options.max_step_tokens = 48;  // the longest sequence takes two chunks
    return options;
  }
};

std::map<std::uint64_t, SequenceEvent> run(Replica& replica,
                                           std::vector<SequenceRequest> requests) {
  std::map<std::uint64_t, SequenceEvent> finished;
  for (SequenceRequest& request : requests) replica.driver().scheduler().add(std::move(request));
  while (!replica.driver().scheduler().idle()) {
    for (SequenceEvent& event : replica.driver().step()) {
      // Logits come step by step; the last event has all else.
      std::vector<float> logits = std::move(finished[event.id].logits);
      logits.resize(static_cast<std::size_t>(event.first_logits * replica.spec().vocab_size));
      logits.insert(logits.end(), event.logits.begin(), event.logits.end());
      event.logits = std::move(logits);
      finished[event.id] = std::move(event);
    }
  }
  return finished;
}

/// HF's dynamic NTK depends on the length of the forward pass, so it is compared within the trained
/// length only (see models/rope.cc).
std::size_t comparable_sequences(const GoldenCase& golden) {
  return golden.name == "llama_dynamic" ? 1 : golden.sequences.size();
}

TEST_P(Parity, LogitsAndLogprobs) {
  const GoldenCase golden = load_golden(GetParam());
  Options opts = options();
  Replica replica(opts, connect(), 1);
  std::vector<SequenceRequest> requests;
  const std::size_t count = comparable_sequences(golden);
  for (std::size_t i = 0; i < count; ++i) {
    requests.push_back({.id = i, .tokens = golden.sequences[i].ids, .score = true, .logits = true});
  }
  const auto finished = run(replica, std::move(requests));
  for (std::size_t i = 0; i < count; ++i) {
    const SequenceEvent& event = finished.at(i);
    const GoldenSequence& expected = golden.sequences[i];
    ASSERT_EQ(event.logits.size(), expected.logits.size());
    float worst = 0;
    for (std::size_t j = 0; j < expected.logits.size(); ++j) {
      worst = std::max(worst, std::abs(event.logits[j] - expected.logits[j]));
    }
    EXPECT_LE(worst, 1e-4f * golden.largest_logit) << "sequence " << i;
    ASSERT_EQ(event.logprobs.size(), expected.logprobs.size());
    for (std::size_t j = 0; j < expected.logprobs.size(); ++j) {
      EXPECT_NEAR(event.logprobs[j], expected.logprobs[j], 2e-4f * golden.largest_logit);
    }
  }
}

TEST_P(Parity, GreedyContinuation) {
  const GoldenCase golden = load_golden(GetParam());
  Replica replica(options(), connect(), 1);
  SequenceRequest request{.id = 7, .tokens = golden.greedy_prompt};
  request.max_new_tokens = static_cast<std::int64_t>(golden.greedy_tokens.size());
  replica.driver().scheduler().add(request);
  std::vector<std::int32_t> tokens;
  while (!replica.driver().scheduler().idle()) {
    for (const SequenceEvent& event : replica.driver().step()) {
      tokens.insert(tokens.end(), event.tokens.begin(), event.tokens.end());
    }
  }
  EXPECT_EQ(tokens, golden.greedy_tokens);
}

INSTANTIATE_TEST_SUITE_P(Golden, Parity, ::testing::ValuesIn(golden_directories()),
                         [](const auto& param) {
                           const bool gguf = param.param.parent_path().filename() == "models";
                           return (gguf ? "gguf_" : "") + param.param.filename().string();
                         });

}  // namespace
}  // namespace trireme::testing
