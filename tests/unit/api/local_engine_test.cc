// An engine over threads: calls that all ranks refuse alike leave none of them waiting.
#include "trireme/local_engine.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "core/error.h"

namespace trireme {
namespace {

Options classifier() {
  Options options;
  options.model = TRIREME_SOURCE_DIR "/tests/data/tasks/bert_classify";
  options.threads = 1;
  return options;
}

TEST(LocalEngine, AModelOfAnotherKindLeavesNoRankWaiting) {
  Options options = classifier();
  options.pipeline_parallel_size = 2;
  LocalEngine engine(options);
  const std::vector<Request> requests(1, Request{.token_ids = std::vector<std::int32_t>{5, 6}});
  EXPECT_THROW(engine.generate(requests), Error);
  EXPECT_THROW(engine.score(requests), Error);
  EXPECT_EQ(engine.classify(requests).size(), 1u);
}

TEST(LocalEngine, SizesThatAreNoneAreRefused) {
  for (const auto& [dp, tp, pp] : {std::tuple{0, 1, 1}, {1, -1, 1}, {1, 1, 0}, {-2, -2, 1}}) {
    Options options = classifier();
    options.data_parallel_size = dp;
    options.tensor_parallel_size = tp;
    options.pipeline_parallel_size = pp;
    try {
      LocalEngine engine(options);
      ADD_FAILURE() << dp << tp << pp;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    }
  }
}

TEST(LocalEngine, NoCandidatesForAMaskCannotBeMeant) {
  Options options;
  options.model = TRIREME_SOURCE_DIR "/tests/data/tasks/bert_masked";
  options.threads = 1;
  options.pipeline_parallel_size = 2;
  LocalEngine engine(options);
  for (const std::int64_t count : {0, -1}) {
    EXPECT_THROW(engine.fill_mask({}, count), Error) << count;
  }
}

TEST(Alone, AMapOfSeveralDevicesIsRefused) {
  Options options = classifier();
  options.device_map = R"({"": 1, "bert.embeddings": 0})";
  try {
    Engine engine(Ranks::alone(options));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("1 are running"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace trireme
