// What the program says about GPUs, on machines that have none too.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"

namespace trireme::testing {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

/// Finds no plug-in and no GPU, wherever it runs.
const std::map<std::string, std::string> no_gpus{{"CUDA_VISIBLE_DEVICES", ""},
                                                 {"TRIREME_PLUGIN_PATH", "/nonexistent"}};

/// The sizes of Llama-3.1-70B.
void write_70b(const TemporaryFolder& folder) {
  auto config = nlohmann::json::parse(read_file(llama() + "/config.json"));
  config["hidden_size"] = 8192;
  config["intermediate_size"] = 28672;
  config["num_hidden_layers"] = 80;
  config["num_attention_heads"] = 64;
  config["num_key_value_heads"] = 8;
  config["head_dim"] = 128;
  config["vocab_size"] = 128256;
  config["max_position_embeddings"] = 131072;
  config["tie_word_embeddings"] = false;
  config["torch_dtype"] = "bfloat16";
  config["dtype"] = "bfloat16";
  write_file(folder / "config.json", config.dump());
}

nlohmann::json plan(const Words& words, int exit_code = 0) {
  const Outcome outcome = trireme(Words{"plan", "--json", "--device", "cuda"} + words, "", no_gpus);
  EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
  return nlohmann::json::parse(outcome.out, nullptr, false);
}

TEST(Cuda, WhereThereIsNoneTheMessageSaysWhatToDo) {
  for (const char* device : {"cuda", "cuda:0"}) {
    const Outcome outcome =
        trireme({"run", "-m", llama(), "--device", device, "hello"}, "", no_gpus);
    EXPECT_EQ(outcome.exit_code, 4) << outcome.err;
    EXPECT_TRUE(contains(outcome.err, device)) << outcome.err;
    EXPECT_TRUE(contains(outcome.err, "--device cpu")) << outcome.err;
    EXPECT_EQ(outcome.out, "");
  }
  EXPECT_EQ(trireme({"plan", "-m", llama(), "--device", "cuda"}, "", no_gpus).exit_code, 4);
}

TEST(Cuda, AutoIsTheCpuWhereThereIsNoGpu) {
  const Words words{"run", "-m", llama(), "hello", "-n", "4"};
  const Outcome outcome = trireme(words + Words{"--device", "auto"}, "", no_gpus);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, trireme(words).out);
}

TEST(Cuda, WhatIsNoDeviceIsWrongUsage) {
  for (const char* device : {"gpu", "cuda1", "cpu:0"}) {
    const Outcome outcome = trireme({"run", "-m", llama(), "--device", device, "x"}, "", no_gpus);
    EXPECT_EQ(outcome.exit_code, 2) << device << ": " << outcome.err;
  }
  const Words gpus{"plan", "-m", llama(), "--gpu-memory", "80G", "--gpus", "2", "--device"};
  for (const char* device : {"gpu", "cpu", "cuda:2", "cuda:", "cuda:x", "cuda1"}) {
    EXPECT_EQ(trireme(gpus + Words{device}, "", no_gpus).exit_code, 2) << device;
  }
  EXPECT_EQ(trireme({"plan", "-m", llama(), "--gpus", "2"}, "", no_gpus).exit_code, 2);
}

TEST(PlanForGpus, EightBillionOnEight) {
  const auto json =
      plan({"-m", "shape:llama-8b", "--gpu-memory", "80G", "--gpus", "8", "-tp", "8"});
  EXPECT_EQ(json["fits"], true);
  EXPECT_EQ(json["gpus_per_host"], 8);
  EXPECT_EQ(json["gpu_memory_bytes"], std::int64_t{80} << 30);
  EXPECT_EQ(json["ranks"][7]["device"], "cuda:7");
  EXPECT_EQ(json["virtual_shards"][0]["count"], 8);
  EXPECT_TRUE(json["predicted_speed"].is_null());
  // 16 GB of weights over eight, and a cache that takes what they leave.
  EXPECT_NEAR(json["ranks"][0]["weight_bytes"].get<double>(), 2.0e9, 0.1e9);
  EXPECT_GT(json["ranks"][0]["kv_cache_bytes"], std::int64_t{60} << 30);
  EXPECT_LE(json["host_bytes"], json["available_bytes"]);
}

TEST(PlanForGpus, SeventyBillionNeedMoreThanOne) {
  const TemporaryFolder folder;
  write_70b(folder);
  const Words model{"-m", folder.path(), "--load-format", "dummy", "--gpu-memory", "80G"};
  const Words words = Words{"plan", "--device", "cuda", "--gpus", "8"} + model;
  const Outcome one = trireme(words, "", no_gpus);
  EXPECT_EQ(one.exit_code, 4);
  EXPECT_TRUE(contains(one.err, "a GPU needs")) << one.err;
  EXPECT_TRUE(contains(one.err, "--tensor-parallel-size")) << one.err;
  EXPECT_TRUE(contains(one.err, "--quantization int4")) << one.err;
  EXPECT_EQ(plan(model + Words{"--gpus", "8", "-tp", "8"})["fits"], true);
  EXPECT_EQ(plan(model + Words{"-tp", "4"})["fits"], true);
  EXPECT_EQ(plan(model + Words{"-pp", "4"})["fits"], true);
  // Four on each of two hosts.
  const auto two = plan(model + Words{"-tp", "4", "-pp", "2", "--ranks-per-host", "4"});
  EXPECT_EQ(two["gpus_per_host"], 4);
  EXPECT_EQ(two["ranks"][7]["device"], "cuda:3");
}

TEST(PlanForGpus, AsAPersonReadsIt) {
  const Outcome outcome = trireme({"plan", "-m", "shape:llama-8b", "--device", "cuda",
                                   "--gpu-memory", "80G", "--gpus", "4", "-tp", "2", "-dp", "2"},
                                  "", no_gpus);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const char* part : {"on 4 GPUs of 80.0 GiB", "0 on cuda:3", "on the fullest GPU (90 % of",
                           "Speed      not predicted"}) {
    EXPECT_TRUE(contains(outcome.out, part)) << part << " in\n" << outcome.out;
  }
  EXPECT_FALSE(contains(outcome.out, "share one copy")) << outcome.out;
}

TEST(DoctorAndGpus, SaysWhyThereAreNone) {
  const Outcome outcome = trireme({"doctor"}, "", no_gpus);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const char* part : {"GPUs", "trireme's CUDA", "NCCL"}) {
    EXPECT_TRUE(contains(outcome.out, part)) << part << " in\n" << outcome.out;
  }
}

TEST(ConfigAndGpus, TheDeviceOfAFileIsAskedForAgain) {
  const TemporaryFolder folder;
  const std::string file = folder / "config.yaml";
  write_file(file, "num_machines: 1\nnum_processes: 1\ndevice: cuda\n");
  const Outcome outcome =
      trireme({"config", "--config_file", file}, "\n\ngpu\nauto\n\n\n", no_gpus);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "expected auto, cpu, cuda")) << outcome.err;
  EXPECT_TRUE(contains(read_file(file), "device: auto")) << read_file(file);
}

}  // namespace
}  // namespace trireme::testing
