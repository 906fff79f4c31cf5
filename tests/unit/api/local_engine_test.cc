// An engine over threads: calls that all ranks refuse alike leave none of them waiting.
#include "trireme/local_engine.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace trireme
