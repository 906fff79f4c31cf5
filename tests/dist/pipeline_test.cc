// The examples of pipelines and of devices in one process, over real processes and threads: the same
// numbers however a model is cut.
#include <gtest/gtest.h>

#include "support/run_program.h"

namespace trireme::testing {
namespace {

std::string example(const std::string& name) {
  return std::string(TRIREME_BINARY_DIR) + "/" + name;
}
std::string task(const std::string& name) {
  return std::string(TRIREME_SOURCE_DIR) + "/tests/data/tasks/" + name;
}
std::string demo(const std::string& name) {
  return std::string(TRIREME_SOURCE_DIR) + "/demo/" + name;
}

Outcome launched(const std::string& processes, const std::string& program,
                 const std::vector<std::string>& arguments) {
  std::vector<std::string> all{"launch", "-n", processes, "--", program};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run(trireme_program(), all);
}

TEST(Pipeline, TheSameLogitsOverAnyNumberOfStages) {
  for (const char* model : {"gpt2_classify", "bert_classify"}) {
    const Outcome alone = run(example("pipeline"), {task(model)});
    ASSERT_EQ(alone.exit_code, 0) << alone.err;
    EXPECT_TRUE(alone.out.starts_with("float32 [5, 3]\n")) << alone.out;
    for (const char* stages : {"2", "3", "4"}) {
      const Outcome piped = launched(stages, example("pipeline"), {task(model)});
      EXPECT_EQ(piped.exit_code, 0) << piped.err;
      EXPECT_EQ(piped.out, alone.out) << model << " over " << stages;
    }
  }
}

TEST(Pipeline, StagesAreNamed) {
  const Outcome piped = launched("2", example("pipeline"), {task("gpt2_classify")});
  EXPECT_NE(piped.err.find("begins with transformer.wte"), std::string::npos) << piped.err;
  EXPECT_NE(piped.err.find("begins with transformer.h."), std::string::npos) << piped.err;
}

TEST(Pipeline, MoreStagesThanBlocksAreRefused) {
  const Outcome piped = launched("5", example("pipeline"), {task("gpt2_classify")});
  EXPECT_EQ(piped.exit_code, 2) << piped.err;
  EXPECT_NE(piped.err.find("at most"), std::string::npos) << piped.err;
}

TEST(OneProcess, DataAndModelParallelAgree) {
  const Outcome both = run(example("data_and_model_parallel"), {task("torch_transformer"), "32"});
  ASSERT_EQ(both.exit_code, 0) << both.err;
  const std::size_t end = both.out.find('\n');
  const std::string data = both.out.substr(0, end);
  const std::string model = both.out.substr(end + 1);
  EXPECT_EQ(data.substr(data.find(':')) + "\n", model.substr(model.find(':'))) << both.out;
}

TEST(OneProcess, WorkersOfTheMegatronExampleWriteTheSameText) {
  const auto with = [&](const std::string& workers) {
    return run(example("distributed_gpt2"), {"--model", demo("gpt2"), "-mt", "12", "-s", "ROMEO:",
                                             "-tk", "20", "-t", "0.7", "-w", workers});
  };
  const Outcome one = with("1");
  ASSERT_EQ(one.exit_code, 0) << one.err;
  EXPECT_TRUE(one.out.starts_with("ROMEO:")) << one.out;
  for (const char* workers : {"2", "3", "4"}) EXPECT_EQ(with(workers).out, one.out) << workers;
  EXPECT_EQ(with("5").exit_code, 2);
}

}  // namespace
}  // namespace trireme::testing
