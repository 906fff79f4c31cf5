// Rotary tables against transformers' (tools/golden/rope.py), at positions so far that one unit in
// the last place of a frequency turns an angle by thousandths.
#include "models/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "kernels/registry.h"

namespace trireme {
namespace {

using Json = nlohmann::json;

Json golden() {
  std::ifstream file(std::string(TRIREME_SOURCE_DIR) + "/tests/data/golden/rope.json");
  return Json::parse(file);
}

RopeConfig config_of(const Json& rope, std::int64_t max_positions) {
  const HfConfig config = HfConfig::parse(rope.dump(), "rope.json");
  return read_rope(config, rope["head_dim"].get<std::int64_t>(), max_positions);
}

/// Frequencies that are not transformers' bits. torch's pow is not correctly rounded and differs
/// between instruction sets: one unit in one element of a case is what that may cost.
std::vector<bool> compare_frequencies(const std::string& name, const std::vector<float>& ours,
                                      const std::vector<float>& theirs) {
  std::vector<bool> differs(ours.size());
  EXPECT_EQ(ours.size(), theirs.size()) << name;
  int count = 0;
  for (std::size_t i = 0; i < theirs.size(); ++i) {
    differs[i] = ours[i] != theirs[i];
    count += differs[i] ? 1 : 0;
    const float step = std::nextafter(theirs[i], 2 * theirs[i]) - theirs[i];
    EXPECT_LE(std::abs(ours[i] - theirs[i]), step) << name << " dimension " << i;
  }
  EXPECT_LE(count, 1) << name;
  return differs;
}

const std::unique_ptr<Backend> host = make_backend("reference");

TEST(Rope, TablesAreThoseOfTransformers) {
  const Json document = golden();
  const auto max_positions = document["max_positions"].get<std::int64_t>();
  for (const auto& [name, expected] : document["cases"].items()) {
    const RopeConfig rope = config_of(expected["config"], max_positions);
    const auto frequencies = expected["frequencies"].get<std::vector<float>>();
    const std::vector<bool> differs =
        compare_frequencies(name, rope_frequencies(rope), frequencies);
    const RotaryTables tables = rope_tables(rope, max_positions, *host);
    for (std::size_t row = 0; row < document["positions"].size(); ++row) {
      const auto position = document["positions"][row].get<std::size_t>();
      const auto cos = expected["cos"][row].get<std::vector<float>>();
      const auto sin = expected["sin"][row].get<std::vector<float>>();
      for (std::size_t i = 0; i < cos.size(); ++i) {
        const std::size_t at = position * cos.size() + i;
        const float angle = static_cast<float>(position) * frequencies[i];
        const float near = 2.4e-7f + (differs[i] ? angle * 2.4e-7f : 0);
        EXPECT_NEAR(tables.cos.as<float>()[at], cos[i], near)
            << name << " " << position << " " << i;
        EXPECT_NEAR(tables.sin.as<float>()[at], sin[i], near)
            << name << " " << position << " " << i;
      }
    }
  }
}

TEST(Rope, AShorterTableIsTheBeginningOfALongerOne) {
  const Json document = golden();
  Json cases = document["cases"];
  cases["dynamic"]["config"] = {{"head_dim", 64},
                                {"rope_scaling", {{"rope_type", "dynamic"}, {"factor", 4.0}}}};
  for (const auto& [name, expected] : cases.items()) {
    const RopeConfig rope =
        config_of(expected["config"], document["max_positions"].get<std::int64_t>());
    const RotaryTables longer = rope_tables(rope, 5000, *host);
    const RotaryTables shorter = rope_tables(rope, 37, *host);
    const auto count = static_cast<std::size_t>(37 * rope.rotary_dim / 2);
    ASSERT_EQ(shorter.cos.size(), count * sizeof(float)) << name;
    const auto begins = [&](const DeviceBuffer& table, const DeviceBuffer& with) {
      return std::equal(with.as<float>(), with.as<float>() + count, table.as<float>());
    };
    EXPECT_TRUE(begins(longer.cos, shorter.cos)) << name;
    EXPECT_TRUE(begins(longer.sin, shorter.sin)) << name;
  }
}

}  // namespace
}  // namespace trireme
