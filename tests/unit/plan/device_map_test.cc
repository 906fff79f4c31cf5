// Device maps: policies within budgets, maps by hand, and what is refused.
#include "plan/device_map.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "core/error.h"
#include "models/registry.h"
#include "models/shapes.h"

namespace trireme {
namespace {

using Map = std::vector<std::pair<std::string, std::string>>;

constexpr std::int64_t mebi = std::int64_t{1} << 20;

std::unique_ptr<Model> shape(const char* name) {
  return make_model(HfConfig::parse(shape_config(name), "config.json"), DType::f32);
}

class DeviceMap : public testing::Test {
 protected:
  MapRequest request(MapPolicy policy, std::vector<std::int64_t> budgets) const {
    MapRequest request{.policy = policy};
    for (std::size_t i = 0; i < budgets.size(); ++i) {
      request.devices.push_back({"cpu:" + std::to_string(i), budgets[i]});
    }
    request.limits = {.max_model_len = 128, .max_sequences = 4, .max_step_tokens = 128};
    return request;
  }

  std::int64_t bytes(const MapRequest& request, const Placement& placement, std::size_t i) const {
    const Placement::Stage& stage = placement.stages[i];
    return device_bytes(spec(), request.limits, stage.blocks, stage.disk_begin,
                        placement.kv_blocks);
  }

  void expect_covers(const MapRequest& request, const Placement& placement) const {
    std::int64_t next = 0;
    for (std::size_t i = 0; i < placement.stages.size(); ++i) {
      const Placement::Stage& stage = placement.stages[i];
      EXPECT_EQ(stage.blocks.begin, next);
      EXPECT_LT(stage.blocks.begin, stage.blocks.end);
      next = stage.blocks.end;
      for (const DeviceBudget& device : request.devices) {
        if (device.name != stage.device) continue;
        EXPECT_LE(bytes(request, placement, i), device.bytes);
      }
    }
    EXPECT_EQ(next, static_cast<std::int64_t>(spec().blocks.size()));
  }

  std::string error_of(const Map& map) const {
    try {
      place_by_map(spec(), map);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "";
  }

  const ModelSpec& spec() const { return model_->spec(); }
  std::unique_ptr<Model> model_ = shape("gpt2");  // 12 layers of 27 MiB, tables of 147 MiB
};

TEST_F(DeviceMap, BalancedIsEven) {
  const MapRequest asked = request(MapPolicy::balanced, {1000 * mebi, 1000 * mebi, 1000 * mebi});
  const Placement placement = place_by_policy(spec(), asked);
  ASSERT_EQ(placement.stages.size(), 3u);
  expect_covers(asked, placement);
  EXPECT_EQ(placement.kv_blocks, 16);
  EXPECT_FALSE(placement.uses_disk());
}

TEST_F(DeviceMap, BalancedKeepsToUnequalBudgets) {
  const MapRequest asked = request(MapPolicy::balanced, {260 * mebi, 1000 * mebi});
  const Placement placement = place_by_policy(spec(), asked);
  ASSERT_EQ(placement.stages.size(), 2u);
  expect_covers(asked, placement);
  EXPECT_LT(placement.stages[0].blocks.size(), placement.stages[1].blocks.size());
}

TEST_F(DeviceMap, LowFirstLeavesTheFirstDeviceWhatTheOthersCannotTake) {
  const MapRequest roomy =
      request(MapPolicy::balanced_low_0, {1000 * mebi, 1000 * mebi, 1000 * mebi});
  const Placement rest = place_by_policy(spec(), roomy);
  ASSERT_EQ(rest.stages.size(), 2u);
  EXPECT_EQ(rest.stages[0].device, "cpu:1");
  expect_covers(roomy, rest);
  const MapRequest tight = request(MapPolicy::balanced_low_0, {1000 * mebi, 400 * mebi});
  const Placement some = place_by_policy(spec(), tight);
  ASSERT_EQ(some.stages.size(), 2u);
  EXPECT_EQ(some.stages[0].device, "cpu:0");
  expect_covers(tight, some);
  // One block fewer on the first device would not fit the second.
  const Range more{some.stages[1].blocks.begin - 1, some.stages[1].blocks.end};
  EXPECT_GT(device_bytes(spec(), tight.limits, more, more.end, some.kv_blocks), 400 * mebi);
}

TEST_F(DeviceMap, SequentialFillsOneAfterTheOther) {
  const MapRequest asked = request(MapPolicy::sequential, {400 * mebi, 400 * mebi, 400 * mebi});
  const Placement placement = place_by_policy(spec(), asked);
  expect_covers(asked, placement);
  const Range more{0, placement.stages[0].blocks.end + 1};
  EXPECT_GT(device_bytes(spec(), asked.limits, more, more.end, placement.kv_blocks), 400 * mebi);
}

TEST_F(DeviceMap, ACacheShrinksBeforeBlocksGoToDisk) {
  MapRequest asked = request(MapPolicy::balanced, {760 * mebi});
  asked.limits.max_sequences = 4096;
  asked.disk_bytes = 1000 * mebi;
  const Placement placement = place_by_policy(spec(), asked);
  EXPECT_FALSE(placement.uses_disk());
  EXPECT_GE(placement.kv_blocks, 4);
  EXPECT_LT(placement.kv_blocks, 4096 * 4);
  expect_covers(asked, placement);
}

TEST_F(DeviceMap, WhatFitsNowhereGoesToDisk) {
  MapRequest asked = request(MapPolicy::balanced, {250 * mebi, 420 * mebi});
  EXPECT_THROW(place_by_policy(spec(), asked), Error);
  asked.disk_bytes = 1000 * mebi;
  const Placement placement = place_by_policy(spec(), asked);
  expect_covers(asked, placement);
  EXPECT_TRUE(placement.uses_disk());
  EXPECT_TRUE(placement.stages[0].on_disk().empty());
  asked.disk_bytes = 1;
  EXPECT_THROW(place_by_policy(spec(), asked), Error);
}

TEST_F(DeviceMap, AShortageSaysWhatIsNeeded) {
  try {
    place_by_policy(spec(), request(MapPolicy::balanced, {10 * mebi}));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::resource);
    EXPECT_NE(std::string(error.what()).find("--max-memory"), std::string::npos) << error.what();
  }
}

TEST_F(DeviceMap, AMapByHandGoesByTheLongestName) {
  const Placement placement = place_by_map(spec(), {{"transformer", "cpu:0"},
                                                    {"transformer.h.5", "cpu:1"},
                                                    {"transformer.h.6", "cpu:1"},
                                                    {"transformer.h.7", "cpu:1"},
                                                    {"transformer.h.8", "cpu:1"},
                                                    {"transformer.h.9", "cpu:1"},
                                                    {"transformer.h.10", "disk"},
                                                    {"transformer.h.11", "disk"},
                                                    {"transformer.ln_f", "disk"},
                                                    {"lm_head", "disk"}});
  ASSERT_EQ(placement.stages.size(), 2u);
  EXPECT_EQ(placement.stages[0], (Placement::Stage{"cpu:0", {0, 6}, 6}));
  EXPECT_EQ(placement.stages[1], (Placement::Stage{"cpu:1", {6, 14}, 11}));
  const Placement again = place_by_map(spec(), map_of(spec(), placement));
  EXPECT_EQ(again.stages, placement.stages);
}

TEST_F(DeviceMap, HuggingFacesOwnMapsAreRead) {
  Map map{{"transformer.wte", "0"}, {"transformer.wpe", "0"}};
  for (int i = 0; i < 12; ++i) {
    map.emplace_back("transformer.h." + std::to_string(i), i < 4 ? "0" : "1");
  }
  map.emplace_back("transformer.ln_f", "1");
  map.emplace_back("lm_head", "1");
  const Placement placement = place_by_map(spec(), map);
  ASSERT_EQ(placement.stages.size(), 2u);
  EXPECT_EQ(placement.stages[0].blocks, (Range{0, 5}));
}

TEST_F(DeviceMap, MapsThatCannotBeMeantAreRefused) {
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(has(error_of({{"transformer.wte", "cpu:0"}}), "no device for transformer.h.0"));
  EXPECT_TRUE(has(error_of({{"", "cpu:0"}, {"transformer.h.3", "cpu:1"}}), "returns to cpu:0"));
  EXPECT_TRUE(has(error_of({{"", "cpu:0"}, {"transformer.h.99", "cpu:1"}}), "no module"));
  EXPECT_TRUE(has(error_of({{"", "cpu:0"}, {"transformer.h.1.ln_1", "cpu:1"}}), "not split"));
  EXPECT_TRUE(has(error_of({{"", "cpu:0"}, {"transformer.h.3", "disk"}}), "come last"));
  EXPECT_TRUE(has(error_of({{"", "disk"}}), "needs a device"));
  // A name is covered whole: h.1 is not h.11.
  EXPECT_TRUE(has(error_of({{"transformer.h.1", "cpu:0"}}), "no device for transformer.wte"));
}

TEST_F(DeviceMap, TheRestGoesToDiskOnceBehindADeviceThatHoldsNothing) {
  MapRequest with_disk = request(MapPolicy::sequential, {0, 0});
  with_disk.kv_blocks = kv_blocks_of_one_sequence(with_disk.limits);
  with_disk.disk_bytes = std::int64_t{1} << 40;
  const auto blocks = static_cast<std::int64_t>(spec().blocks.size());
  with_disk.devices[1].bytes =
      device_bytes(spec(), with_disk.limits, {0, blocks}, blocks, with_disk.kv_blocks) - mebi;
  const Placement placement = place_by_policy(spec(), with_disk);
  ASSERT_EQ(placement.stages.size(), 1u);
  EXPECT_EQ(placement.stages[0].device, "cpu:1");
  EXPECT_TRUE(placement.uses_disk());
  expect_covers(with_disk, placement);
}

TEST(RangeBytesTest, AreThoseOfDeviceBytes) {
  const std::filesystem::path tasks =
      std::filesystem::path(TRIREME_SOURCE_DIR) / "tests/data/tasks";
  for (const char* name : {"bert_masked", "bert_mean", "gpt2_classify", "t5", "t5_gated",
                           "torch_transformer", "../golden/llama3", "../golden/gpt2_untied"}) {
    const auto model = make_model(HfConfig::read(tasks / name / "config.json"), DType::bf16);
    const ModelSpec& spec = model->spec();
    const MemoryLimits limits{.max_model_len = 64,
                              .max_sequences = 4,
                              .max_step_tokens = 64,
                              .max_source_len = spec.is_encoder_decoder() ? 64 : 0};
    const RangeBytes bytes(spec, limits);
    const auto blocks = static_cast<std::int64_t>(spec.blocks.size());
    for (std::int64_t begin = 0; begin < blocks; ++begin) {
      for (std::int64_t end = begin; end <= blocks; ++end) {
        ASSERT_EQ(bytes({begin, end}, 7), device_bytes(spec, limits, {begin, end}, end, 7))
            << name << " " << begin << " to " << end;
      }
    }
  }
}

/// A config.json may say 4096 layers; what a plan takes may not grow with their cube.
TEST(DeepDeviceMap, ManyLayersAreLaidOutInNoTime) {
  std::string config(shape_config("tiny"));
  const std::string four = "\"num_hidden_layers\": 4";
  config.replace(config.find(four), four.size(), "\"num_hidden_layers\": 1000");
  const auto model = make_model(HfConfig::parse(config, "config.json"), DType::bf16);
  MapRequest request;
  for (int i = 0; i < 8; ++i) {
    request.devices.push_back({"cpu:" + std::to_string(i), 4000 * mebi});
  }
  request.limits = {.max_model_len = 128, .max_sequences = 64, .max_step_tokens = 128};
  const auto start = std::chrono::steady_clock::now();
  for (const MapPolicy policy : {MapPolicy::balanced, MapPolicy::balanced_low_0}) {
    request.policy = policy;
    EXPECT_GT(place_by_policy(model->spec(), request).stages.size(), 1u);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

}  // namespace
}  // namespace trireme
