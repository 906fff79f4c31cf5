// From Options::device_map to a map of this model's blocks.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "plan/host.h"
#include "runtime/placement.h"
#include "runtime/replica.h"
#include "trireme/engine.h"

namespace trireme {

namespace {

std::string json_of(const ModelSpec& model, const Placement& placement) {
  nlohmann::ordered_json map = nlohmann::ordered_json::object();
  for (const auto& [block, device] : map_of(model, placement)) map[block] = device;
  return map.dump();
}

/// Devices by number. Without budgets there is one, with what is free.
std::vector<DeviceBudget> budgets_of(const Options& options) {
  std::map<std::pair<std::size_t, std::string>, std::int64_t> budgets;  // cpu:2 before cpu:10
  for (const auto& [name, bytes] : options.max_memory) {
    const std::string device = device_name(name);
    if (device == "disk") continue;
    if (!budgets.emplace(std::pair{device.size(), device}, bytes).second) {
      fail(ErrorKind::usage, "--max-memory gives {} twice, once as {}", device, name);
    }
  }
  std::vector<DeviceBudget> devices;
  for (const auto& [name, bytes] : budgets) devices.push_back({name.second, bytes});
  if (devices.empty()) devices.push_back({"cpu:0", available_memory()});
  return devices;
}

std::int64_t disk_budget(const Options& options) {
  if (options.offload_folder.empty()) return 0;
  for (const auto& [name, bytes] : options.max_memory) {
    if (name == "disk") return bytes;
  }
  return std::int64_t{1} << 60;
}

/// Throws Error(resource) where a map by hand is more than the budgets.
void check_budgets(const Options& options, const ModelSpec& model, const MemoryLimits& limits,
                   const Placement& placement) {
  if (options.max_memory.empty()) return;
  const std::vector<DeviceBudget> devices = budgets_of(options);
  const std::int64_t kv_blocks = kv_blocks_of_one_sequence(limits);
  for (const Placement::Stage& stage : placement.stages) {
    const auto found = std::ranges::find(devices, stage.device, &DeviceBudget::name);
    if (found == devices.end()) continue;
    const std::int64_t needed =
        device_bytes(model, limits, stage.blocks, stage.disk_begin, kv_blocks);
    if (needed <= found->bytes) continue;
    fail(ErrorKind::resource,
         "the device map gives {} what takes {} MiB with a cache for one sequence, but its budget "
         "is {} MiB (--max-memory)",
         stage.device, needed >> 20, found->bytes >> 20);
  }
}

void check_sizes(const Options& options) {
  if (options.data_parallel_size == 1 && options.tensor_parallel_size == 1 &&
      options.split_points.empty()) {
    return;
  }
  fail(ErrorKind::usage,
       "a device map decides which device holds which blocks; it does not go with -dp, -tp and "
       "split points");
}

/// Cache memory such that every device's share fits its budget.
std::int64_t cache_bytes(const ModelSpec& model, const Placement& placement) {
  const TensorShard whole = tensor_shard(model, 1, 0);
  std::int64_t most = 1;
  for (const Range blocks : placement.ranges()) {
    most = std::max(most, kv_bytes_per_block(model, whole, blocks));
  }
  return placement.kv_blocks * most;
}

}  // namespace

Options place_on_devices(const Options& options) {
  Options placed = options;
  if (placed.device_map.empty() && !placed.max_memory.empty()) placed.device_map = "auto";
  if (placed.device_map.empty()) return placed;
  check_sizes(options);
  const OpenModel files = open_model(options);
  const ModelSpec& model = files.model->spec();
  const MemoryLimits limits = memory_limits(options, model);
  Placement placement;
  if (const std::optional<MapPolicy> policy = policy_from_name(placed.device_map)) {
    MapRequest request{.policy = *policy, .devices = budgets_of(options), .limits = limits};
    request.disk_bytes = disk_budget(options);
    placement = place_by_policy(model, request);
    if (placed.kv_cache_bytes == 0) placed.kv_cache_bytes = cache_bytes(model, placement);
  } else {
    placement = place_by_map(model, read_device_map(placed.device_map));
    check_budgets(options, model, limits, placement);
  }
  placed.device_map = json_of(model, placement);
  placed.pipeline_parallel_size = static_cast<int>(placement.stages.size());
  return placed;
}

}  // namespace trireme
