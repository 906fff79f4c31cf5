// quantization_config: what is read, and what is refused by the name of its key.
#include "models/quantization_config.h"

#include "models/checked_tensor.h"
#include "support/packed_checkpoint.h"
#include "support/scratch.h"

namespace trireme {
namespace {

HfConfig config_with(const std::string& quantization) {
  return HfConfig::parse("{\"quantization_config\": " + quantization + "}", "config.json");
}

CheckpointQuantization read(const std::string& quantization) {
  return quantization_of(config_with(quantization)).value();
}

TEST(QuantizationConfig, NoneIsNothing) {
  EXPECT_FALSE(quantization_of(HfConfig::parse("{}", "config.json")).has_value());
  EXPECT_FALSE(quantization_of(config_with("null")).has_value());
}

TEST(QuantizationConfig, ReadsGptq) {
  const auto v1 = read(R"({"quant_method": "gptq", "bits": 4, "group_size": 64, "desc_act": true,
                           "sym": false, "dynamic": {"-:.*lm_head": {}}})");
  EXPECT_EQ(v1.method, QuantizationMethod::gptq);
  EXPECT_EQ(v1.bits, 4);
  EXPECT_EQ(v1.group_size, 64);
  EXPECT_TRUE(v1.desc_act);
  EXPECT_FALSE(v1.symmetric);
  EXPECT_TRUE(v1.zeros_less_one);
  const auto v2 = read(R"({"quant_method": "gptq", "bits": 8, "group_size": -1, "sym": true,
                           "checkpoint_format": "gptq_v2"})");
  EXPECT_EQ(v2.bits, 8);
  EXPECT_EQ(v2.group_size, -1);
  EXPECT_TRUE(v2.symmetric);
  EXPECT_FALSE(v2.zeros_less_one);
}

TEST(QuantizationConfig, ReadsAwq) {
  const auto read_awq = read(R"({"quant_method": "awq", "bits": 4, "group_size": 128,
      "zero_point": true, "version": "GEMM", "modules_to_not_convert": null})");
  EXPECT_EQ(read_awq.method, QuantizationMethod::awq);
  EXPECT_EQ(read_awq.group_size, 128);
  EXPECT_EQ(read(R"({"quant_method": "awq", "w_bit": 4, "q_group_size": 64})").group_size, 64);
}

struct Refused {
  const char* config;
  const char* key;
};
const Refused refused[] = {
    {R"({"quant_method": "bitsandbytes", "load_in_4bit": true})", "quant_method"},
    {R"({"quant_method": "compressed-tensors"})", "quant_method"},
    {R"({"quant_method": "fp8"})", "quant_method"},
    {R"({"quant_method": "hqq"})", "quant_method"},
    {R"({"bits": 4})", "quant_method is missing"},
    {R"({"quant_method": "gptq"})", "bits is missing"},
    {R"({"quant_method": "gptq", "bits": 3})", "bits is 3"},
    {R"({"quant_method": "gptq", "bits": 4, "group_size": 0})", "group_size"},
    {R"({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"})", "checkpoint_format"},
    {R"({"quant_method": "gptq", "bits": 4, "is_marlin_format": true})", "is_marlin_format"},
    {R"({"quant_method": "gptq", "bits": 4, "pack_dtype": "int64"})", "pack_dtype"},
    {R"({"quant_method": "gptq", "bits": 4, "dynamic": {".*down": {"bits": 8}}})", "dynamic"},
    {R"({"quant_method": "awq", "bits": 8})", "bits is 8"},
    {R"({"quant_method": "awq", "bits": 4, "version": "gemv"})", "version is \"gemv\""},
    {R"({"quant_method": "awq", "bits": 4, "zero_point": false})", "zero_point"},
    {R"({"quant_method": "awq", "bits": 4, "backend": "llm-awq"})", "backend"},
};

TEST(QuantizationConfig, WhatCannotBeReadIsRefusedByItsKey) {
  for (const Refused& bad : refused) {
    SCOPED_TRACE(bad.config);
    const std::string message =
        message_of(ErrorKind::input, [&] { quantization_of(config_with(bad.config)); });
    expect_contains(message, std::string("config.json: quantization_config.") + bad.key);
    expect_contains(message, "Trireme reads");
  }
  expect_contains(
      message_of(ErrorKind::input, [&] { read(R"({"quant_method": "gptq", "bits": "4"})"); }),
      "quantization_config: bits is \"4\"");
}

TEST(QuantizationConfig, WeightsAndConfigMustBelongTogether) {
  const Scratch scratch;
  PackedCheckpoint checkpoint(1);
  checkpoint.add_gptq("c_attn", 32, 32, 32);
  checkpoint.write(scratch.path() / "model.safetensors");
  const HfConfig none = HfConfig::parse("{}", "config.json");
  const std::string message =
      message_of(ErrorKind::input, [&] { open_weights(*open_model_files(scratch.path()), none); });
  expect_contains(message, "c_attn.qweight");
  expect_contains(message, "no quantization_config");
}

TEST(QuantizationConfig, MatricesThatFilesHoldTransposedAreRefused) {
  const Scratch scratch;
  PackedCheckpoint checkpoint(1);
  checkpoint.add_gptq("c_attn", 32, 32, 32);
  checkpoint.write(scratch.path() / "model.safetensors");
  const auto source =
      open_weights(*open_model_files(scratch.path()),
                   config_with(R"({"quant_method": "gptq", "bits": 4, "group_size": 32})"));
  ParameterSpec gpt2{"c_attn.weight", "c_attn.weight", 32, 32};
  EXPECT_EQ(checked_tensor(*source, gpt2).code_bits, 4);
  gpt2.transposed = true;  // square: its shape would not tell
  expect_contains(message_of(ErrorKind::input, [&] { checked_tensor(*source, gpt2); }),
                  "tensor c_attn.weight is quantised");
}

}  // namespace
}  // namespace trireme
