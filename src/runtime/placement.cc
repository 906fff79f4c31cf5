#include "runtime/placement.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/read_file.h"

namespace trireme {

namespace {

Placement by_split_points(const std::vector<std::string>& points, const ModelSpec& model) {
  Placement placement;
  std::int64_t begin = 0;
  const auto end_stage = [&](std::int64_t end) {
    placement.stages.push_back({"", {begin, end}, end});
    begin = end;
  };
  for (const std::string& point : points) {
    const auto is_it = [&](const BlockSpec& block) { return block.name == point; };
    const auto found = std::ranges::find_if(model.blocks, is_it);
    if (found == model.blocks.end()) {
      fail(ErrorKind::usage,
           "split point \"{}\" is no block of this model; they are called {}, ..., {}", point,
           model.blocks[0].name, model.blocks.back().name);
    }
    const auto at = static_cast<std::int64_t>(found - model.blocks.begin());
    if (at <= begin) {
      fail(ErrorKind::usage,
           "split point \"{}\": each stage needs a block; name them in the model's order, the "
           "first block not among them",
           point);
    }
    end_stage(at);
  }
  end_stage(static_cast<std::int64_t>(model.blocks.size()));
  return placement;
}

nlohmann::ordered_json parse_map(const std::string& text) {
  const bool inline_json = text.find('{') != std::string::npos;
  const std::string json = inline_json ? text : read_file(text);
  nlohmann::ordered_json map = nlohmann::ordered_json::parse(json, nullptr, false);
  if (!map.is_object()) {
    fail(
        ErrorKind::input,
        "--device-map {}: expected auto, balanced, balanced_low_0, sequential, or a JSON object of "
        "modules and devices, {{\"model.embed_tokens\": \"cpu:0\", ...}}",
        inline_json ? "" : text);
  }
  return map;
}

}  // namespace

std::string device_name(const std::string& name) {
  const bool number =
      !name.empty() && std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
  if (number) return "cpu:" + name;
  if (name == "cpu") return "cpu:0";
  const bool group = name.starts_with("cpu:") && name.size() > 4 && name.size() < 10 &&
                     name.find_first_not_of("0123456789", 4) == std::string::npos;
  if (group || name == "disk") return name;
  fail(ErrorKind::usage,
       "device \"{}\": this host has groups of cores, cpu:0, cpu:1, ... (or 0, 1, ...), and disk",
       name);
}

std::vector<std::pair<std::string, std::string>> read_device_map(const std::string& text) {
  std::vector<std::pair<std::string, std::string>> map;
  const nlohmann::ordered_json json = parse_map(text);
  for (const auto& [module, device] : json.items()) {
    if (!device.is_string() && !device.is_number_unsigned()) {
      fail(ErrorKind::input, "--device-map: \"{}\" is on {}; expected a device's name or number",
           module, device.dump());
    }
    map.emplace_back(module,
                     device_name(device.is_string() ? device.get<std::string>() : device.dump()));
  }
  return map;
}

Placement one_stage(const ModelSpec& model) { return by_cost(model, 1); }

Placement placement_of(const Options& options, const ModelSpec& model) {
  const int stages = options.pipeline_parallel_size;
  if (options.device_map.empty()) {
    if (options.split_points.empty()) return by_cost(model, stages);
    Placement placement = by_split_points(options.split_points, model);
    if (static_cast<int>(placement.stages.size()) == stages) return placement;
    fail(ErrorKind::usage, "{} split points make {} stages, but there are {} (-pp)",
         options.split_points.size(), placement.stages.size(), stages);
  }
  if (policy_from_name(options.device_map)) {
    fail(ErrorKind::usage,
         "device_map \"{}\" has not been written out; call place_on_devices() first",
         options.device_map);
  }
  Placement placement = place_by_map(model, read_device_map(options.device_map));
  if (static_cast<int>(placement.stages.size()) == stages) return placement;
  fail(ErrorKind::usage,
       "the device map has {} devices, but there are {} pipeline stages; start one rank for each "
       "device",
       placement.stages.size(), stages);
}

}  // namespace trireme
