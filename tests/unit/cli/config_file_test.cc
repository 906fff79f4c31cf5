#include "cli/config_file.h"

#include <gtest/gtest.h>

#include "cli/arguments.h"
#include "support/scratch.h"

namespace trireme {
namespace {

using Map = std::map<std::string, std::string>;
using List = std::vector<std::string>;

ConfigFile read(const std::string& text) {
  const Scratch scratch;
  return read_config_file(scratch.write("file", text), config_flags());
}

/// As `accelerate config` of 1.15 writes it for two machines without GPUs.
constexpr const char* accelerates = R"(compute_environment: LOCAL_MACHINE
debug: false
distributed_type: MULTI_CPU
downcast_bf16: 'no'
enable_cpu_affinity: false
ipex_config:
  ipex: true
machine_rank: 1
main_process_ip: 10.0.0.1
main_process_port: 29500
main_training_function: main
mixed_precision: bf16
mpirun_config:
  mpirun_ccl: '1'
  mpirun_hostfile: /home/me/hostfile
num_machines: 2
num_processes: 4
rdzv_backend: static
same_network: true
tpu_env: []
tpu_use_cluster: false
tpu_use_sudo: false
use_cpu: true
)";

TEST(ConfigFile, OfAccelerate) {
  const ConfigFile file = read(accelerates);
  EXPECT_EQ(file.values, (Map{{"device", "cpu"},
                              {"dtype", "bfloat16"},
                              {"hostfile", "/home/me/hostfile"},
                              {"machine_rank", "1"},
                              {"main_process_ip", "10.0.0.1"},
                              {"main_process_port", "29500"},
                              {"num_machines", "2"},
                              {"num_processes", "4"}}));
  EXPECT_EQ(file.ignored, (List{"ipex_config", "mpirun_ccl"}));
}

TEST(ConfigFile, OfAccelerateInJson) {
  const ConfigFile file = read(
      R"({"compute_environment": "LOCAL_MACHINE", "distributed_type": "NO", "mixed_precision": "no",
          "num_processes": 1, "use_cpu": false, "debug": false, "fsdp_config": {"fsdp_version": 2},
          "megatron_lm_config": {"megatron_lm_tp_degree": 2, "megatron_lm_pp_degree": 3}})");
  EXPECT_EQ(file.values, (Map{{"num_processes", "1"},
                              {"pipeline_parallel_size", "3"},
                              {"tensor_parallel_size", "2"}}));
  EXPECT_EQ(file.ignored, (List{"fsdp_config"}));
}

TEST(ConfigFile, OfTrireme) {
  const ConfigFile file =
      read("# mine\nmodel: org/name\ntensor-parallel-size: 2\nignore_eos: true\n");
  EXPECT_EQ(file.values,
            (Map{{"ignore_eos", "true"}, {"model", "org/name"}, {"tensor_parallel_size", "2"}}));
  EXPECT_TRUE(read("").values.empty());
}

TEST(ConfigFile, Mistakes) {
  const auto refused = [](const std::string& text, ErrorKind kind, const std::string& why) {
    expect_contains(message_of(kind, [&] { read(text); }), why);
  };
  refused("num_proceses: 2", ErrorKind::usage, "did you mean num_processes?");
  refused("a: [", ErrorKind::input, "file:1: ");
  refused("- 1", ErrorKind::input, "`key: value`");
  refused("{\"a\": ", ErrorKind::input, "parse error");
  refused("compute_environment: AMAZON_SAGEMAKER", ErrorKind::usage, "machines that you have");
  refused(std::string(2 << 20, '#'), ErrorKind::input, "are no settings");
  expect_contains(
      message_of(ErrorKind::input, [] { read_config_file("/no/such/file", config_flags()); }),
      "/no/such/file: cannot be read");
}

TEST(ConfigFile, FlagsThatAreNotGivenTakeItsValues) {
  const Scratch scratch;
  const std::string path = scratch.write(
      "file", "dtype: float16\ntensor_parallel_size: 2\nnum_processes: 8\nignore_eos: true\n");
  const auto parse = [&](List words) {
    Options options;
    SamplingParams sampling;
    Arguments arguments("verb", "", {});
    arguments.add_model(options);
    arguments.add_plan(options);
    arguments.add_sampling(sampling);
    words.insert(words.begin(), {"verb", "--config_file", path});
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    EXPECT_TRUE(arguments.parse(static_cast<int>(pointers.size()), pointers.data()));
    EXPECT_EQ(sampling.ignore_eos, true);
    return options;
  };
  EXPECT_EQ(parse({}).dtype, "float16");
  EXPECT_EQ(parse({}).tensor_parallel_size, 2);
  EXPECT_EQ(parse({}).data_parallel_size, 1);
  EXPECT_EQ(parse({"--dtype", "float32", "-tp", "3"}).dtype, "float32");
  EXPECT_EQ(parse({"-tp", "3"}).tensor_parallel_size, 3);
  scratch.write("file", "num_processes: 8\nignore_eos: true\n");
  EXPECT_EQ(parse({}).data_parallel_size, 8);
  EXPECT_EQ(parse({"-pp", "2"}).data_parallel_size, 1);
  scratch.write("file", "tensor_parallel_size: none\n");
  EXPECT_NE(message_of(ErrorKind::usage, [&] { parse({}); }).find(path + ": "), std::string::npos);
}

}  // namespace
}  // namespace trireme
