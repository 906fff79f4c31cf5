// The examples of pipelines and of devices in one process, over real processes and threads: the
// same numbers however a model is cut.
#include <gtest/gtest.h>

#include <sstream>

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

/// The lines that begin with `start`.
std::vector<std::string> lines_of(const std::string& text, const std::string& start) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(start)) lines.push_back(line);
  }
  return lines;
}

TEST(Pipeline, ChunksSplitPointsAndGatheringForEveryKindOfModel) {
  const struct {
    std::string model;
    std::string split;
    std::string more;
  } cases[] = {{demo("gpt2"), "transformer.h.1", "generate"},
               {demo("llama"), "model.layers.4", "generate"},
               {task("t5_gated"), "decoder.block.1", "chunks=0"},
               {task("bert_masked"), "bert.encoder.layer.0", "chunks=0"},
               {task("bert_mean"), "head", "chunks=0"}};
  for (const auto& [model, split, more] : cases) {
    const std::string worker = example("pipeline_worker");
    const Outcome alone = run(worker, {model, more});
    ASSERT_EQ(alone.exit_code, 0) << alone.err;
    const std::string result = lines_of(alone.out, "process 0:").at(0).substr(10);
    const std::vector<std::string> text = lines_of(alone.out, "generated:");
    for (const char* chunks : {"chunks=1", "chunks=2", "chunks=3", "chunks=50"}) {
      const Outcome two = launched("2", worker, {model, split, more, chunks});
      ASSERT_EQ(two.exit_code, 0) << two.err;
      EXPECT_EQ(lines_of(two.out, "stage ").at(1), "stage " + split);
      EXPECT_EQ(lines_of(two.out, "process 0:").at(0), "process 0: nothing");
      EXPECT_EQ(lines_of(two.out, "process 1:").at(0), "process 1:" + result) << chunks;
      if (text.empty()) continue;
      EXPECT_EQ(lines_of(two.out, "generated:").at(1), text[0]);
    }
    const Outcome all = launched("3", worker, {model, more, "gather"});
    ASSERT_EQ(all.exit_code, 0) << all.err;
    for (const char* process : {"process 0:", "process 1:", "process 2:"}) {
      EXPECT_EQ(lines_of(all.out, process).at(0), process + result);
    }
  }
}

TEST(Pipeline, SplitPointsThatAreNoneAreRefused) {
  const Outcome unknown =
      launched("2", example("pipeline_worker"), {task("gpt2_classify"), "transformer.h.9"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_NE(unknown.err.find("no block of this model"), std::string::npos) << unknown.err;
  const Outcome few =
      launched("3", example("pipeline_worker"), {task("gpt2_classify"), "transformer.h.1"});
  EXPECT_EQ(few.exit_code, 2);
  EXPECT_NE(few.err.find("2 stages"), std::string::npos) << few.err;
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
    return run(example("distributed_gpt2"), {"--model", demo("gpt2"), "-mt", "12", "-s",
                                             "ROMEO:", "-tk", "20", "-t", "0.7", "-w", workers});
  };
  const Outcome one = with("1");
  ASSERT_EQ(one.exit_code, 0) << one.err;
  EXPECT_TRUE(one.out.starts_with("ROMEO:")) << one.out;
  for (const char* workers : {"2", "3", "4"}) EXPECT_EQ(with(workers).out, one.out) << workers;
  EXPECT_EQ(with("5").exit_code, 2);
}

}  // namespace
}  // namespace trireme::testing
