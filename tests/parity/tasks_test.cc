// Parity with Hugging Face and torch beyond text generation: encoders, classifiers and
// encoder-decoders of tests/data/tasks, in float32 within 1e-4 of the largest number.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "comm/registry.h"
#include "golden.h"
#include "runtime/replica.h"
#include "weights/tensor_source.h"

namespace trireme::testing {
namespace {

class TaskParity : public ::testing::TestWithParam<std::filesystem::path> {
 protected:
  TaskParity() : golden_(GetParam()) {}

  Options options() const {
    Options options;
    options.model = GetParam();
    options.dtype = "float32";
    options.threads = 2;
    options.max_step_tokens = 48;  // what is not cut into chunks makes room for itself
    options.max_sequences = 3;
    options.max_model_len = 70;
    return options;
  }

  /// Everything at once, so that texts of different lengths share steps.
  std::map<std::uint64_t, SequenceEvent> run(Replica& replica,
                                             std::vector<SequenceRequest> requests) const {
    std::map<std::uint64_t, SequenceEvent> finished;
    Scheduler& scheduler = replica.driver().scheduler();
    for (SequenceRequest& request : requests) scheduler.add(std::move(request));
    while (!scheduler.idle()) {
      for (SequenceEvent& event : replica.driver().step()) {
        SequenceEvent& all = finished[event.id];
        all.tokens.insert(all.tokens.end(), event.tokens.begin(), event.tokens.end());
        all.logits.insert(all.logits.end(), event.logits.begin(), event.logits.end());
        if (!event.values.empty()) all.values = std::move(event.values);
      }
    }
    return finished;
  }

  static void expect_near(const std::vector<float>& got, const std::vector<float>& wanted,
                          const std::string& what) {
    ASSERT_EQ(got.size(), wanted.size()) << what;
    float largest = 0;
    float worst = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      largest = std::max(largest, std::abs(wanted[i]));
      worst = std::max(worst, std::abs(got[i] - wanted[i]));
    }
    EXPECT_LE(worst, 1e-4f * largest) << what;
    EXPECT_TRUE(std::isfinite(worst)) << what;
  }

  std::vector<SequenceRequest> requests(bool hidden) const {
    std::vector<SequenceRequest> all;
    for (std::size_t i = 0; golden_.has(name("src", i)) || golden_.has(name("ids", i)); ++i) {
      all.push_back(request(i, hidden));
    }
    return all;
  }

  SequenceRequest request(std::size_t i, bool hidden) const {
    SequenceRequest request{.id = i, .whole = true, .hidden = hidden};
    if (golden_.has(name("src", i))) {
      request.source_features = golden_.floats(name("src", i));
      request.features = golden_.floats(name("tgt", i));
      request.source.resize(static_cast<std::size_t>(golden_.rows(name("src", i))));
      request.tokens.resize(static_cast<std::size_t>(golden_.rows(name("tgt", i))));
      return request;
    }
    request.tokens = golden_.ids(name("ids", i));
    if (golden_.has(name("type_ids", i))) request.type_ids = golden_.ids(name("type_ids", i));
    if (golden_.has(name("source", i))) request.source = golden_.ids(name("source", i));
    if (golden_.has(name("logits", i))) {
      for (std::size_t t = 0; t < request.tokens.size(); ++t) {
        request.logits_at.push_back(static_cast<std::int32_t>(t));
      }
    }
    return request;
  }

  static std::string name(const char* what, std::size_t i) {
    return std::string(what) + "." + std::to_string(i);
  }

  GoldenTensors golden_;
};

TEST_P(TaskParity, ValuesAndLogits) {
  Replica replica(options(), connect(), 1);
  const auto finished = run(replica, requests(false));
  ASSERT_FALSE(finished.empty());
  for (const auto& [i, event] : finished) {
    if (golden_.has(name("values", i))) {
      expect_near(event.values, golden_.floats(name("values", i)), name("values", i));
    } else {
      expect_near(event.logits, golden_.floats(name("logits", i)), name("logits", i));
    }
  }
}

class HiddenStateParity : public TaskParity {};

TEST_P(HiddenStateParity, HiddenStates) {
  Replica replica(options(), connect(), 1);
  for (const auto& [i, event] : run(replica, requests(true))) {
    expect_near(event.values, golden_.floats(name("hidden", i)), name("hidden", i));
  }
}

class SourceParity : public TaskParity {};

TEST_P(SourceParity, GreedyContinuation) {
  Replica replica(options(), connect(), 1);
  const std::vector<std::int32_t> wanted = golden_.ids("greedy.tokens");
  std::vector<SequenceRequest> requests;
  for (std::uint64_t i = 0; i < 5; ++i) {  // more than run at once
    requests.push_back({.id = i, .tokens = {0}, .source = golden_.ids("greedy.source")});
    requests.back().max_new_tokens = static_cast<std::int64_t>(wanted.size());
  }
  for (const auto& [i, event] : run(replica, std::move(requests))) {
    EXPECT_EQ(event.tokens, wanted);
  }
}

std::string case_name(const ::testing::TestParamInfo<std::filesystem::path>& param) {
  return param.param.filename().string();
}

INSTANTIATE_TEST_SUITE_P(Golden, TaskParity, ::testing::ValuesIn(task_golden_directories()),
                         case_name);
INSTANTIATE_TEST_SUITE_P(Golden, HiddenStateParity,
                         ::testing::ValuesIn(task_golden_directories("hidden.0")), case_name);
INSTANTIATE_TEST_SUITE_P(Golden, SourceParity,
                         ::testing::ValuesIn(task_golden_directories("greedy.source")), case_name);

}  // namespace
}  // namespace trireme::testing
