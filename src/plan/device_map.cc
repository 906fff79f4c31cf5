#include "plan/device_map.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "core/error.h"
#include "plan/report.h"
#include "plan/stages.h"

namespace trireme {

namespace {

constexpr std::string_view disk = "disk";

std::int64_t count(const ModelSpec& model) {
  return static_cast<std::int64_t>(model.blocks.size());
}

std::string text_of(std::int64_t bytes) {
  constexpr std::int64_t mebi = std::int64_t{1} << 20;
  return fmt::format("{} MiB", ceil_div(bytes, mebi));
}

/// Bytes of one table of the vocabulary, packed.
std::int64_t table_bytes(const ModelSpec& model, const ParameterSpec& parameter) {
  ModelSpec alone = model;
  alone.blocks = {{BlockKind::embed, "", {parameter}}};
  return weight_bytes(alone, tensor_shard(alone, 1, 0), {0, 1});
}

/// Lays blocks out over devices for one number of cache blocks.
class Layout {
 public:
  Layout(const ModelSpec& model, const MapRequest& request, const RangeBytes& bytes,
         std::int64_t kv_blocks)
      : model_(model), request_(request), bytes_(bytes), kv_blocks_(kv_blocks) {}

  /// Without a disk, if that can be.
  std::optional<Placement> in_memory() const {
    switch (request_.policy) {
      case MapPolicy::balanced:
        return balanced(0, 0);
      case MapPolicy::balanced_low_0:
        return low_first();
      case MapPolicy::sequential:
        break;
    }
    Placement placement = sequential();
    const bool all =
        !placement.stages.empty() && placement.stages.back().blocks.end == count(model_);
    return all ? std::optional(placement) : std::nullopt;
  }

  /// As much in memory as fits, in the order of the devices, and the rest on disk, read by the last
  /// device.
  std::optional<Placement> with_disk() const {
    Placement placement = sequential();
    const std::size_t last = request_.devices.size() - 1;
    // Devices before it may hold nothing, so the number of stages does not tell.
    const bool reached =
        !placement.stages.empty() && placement.stages.back().device == request_.devices[last].name;
    if (reached) placement.stages.pop_back();
    const std::int64_t begin = placement.stages.empty() ? 0 : placement.stages.back().blocks.end;
    Placement::Stage stage{request_.devices[last].name, {begin, count(model_)}, count(model_)};
    // The block that names the device stays in memory.
    while (stage.disk_begin > begin + 1 && !fits(last, stage)) --stage.disk_begin;
    const std::int64_t bytes =
        disk_weight_bytes(model_, tensor_shard(model_, 1, 0), stage.blocks, stage.disk_begin);
    if (begin == count(model_) || !fits(last, stage) || bytes > request_.disk_bytes)
      return std::nullopt;
    placement.stages.push_back(stage);
    placement.kv_blocks = kv_blocks_;
    return placement;
  }

 private:
  bool fits(std::size_t device, const Placement::Stage& stage) const {
    return device_bytes(model_, request_.limits, stage.blocks, stage.disk_begin, kv_blocks_) <=
           request_.devices[device].bytes;
  }
  bool fits(std::size_t device, Range blocks) const {
    return bytes_(blocks, kv_blocks_) <= request_.devices[device].bytes;
  }

  /// Fills the devices from the first on; may end before the last block.
  Placement sequential() const {
    Placement placement{.kv_blocks = kv_blocks_};
    std::int64_t begin = 0;
    for (std::size_t device = 0; device < request_.devices.size() && begin < count(model_);
         ++device) {
      std::int64_t end = begin;
      while (end < count(model_) && fits(device, Range{begin, end + 1})) ++end;
      if (end == begin) continue;
      placement.stages.push_back({request_.devices[device].name, {begin, end}, end});
      begin = end;
    }
    return placement;
  }

  /// Blocks from `begin` on over the devices from `first` on, as even as the budgets allow.
  std::optional<Placement> balanced(std::size_t first, std::int64_t begin) const {
    constexpr std::int64_t none = std::numeric_limits<std::int64_t>::max();
    const std::size_t devices = request_.devices.size() - first;
    const auto blocks = static_cast<std::size_t>(count(model_) - begin);
    // best[d][i]: least cost of the costliest of the first d devices, which hold i blocks.
    std::vector best(devices + 1, std::vector<std::int64_t>(blocks + 1, none));
    std::vector cut(devices + 1, std::vector<std::size_t>(blocks + 1, 0));
    best[0][0] = 0;
    for (std::size_t d = 1; d <= devices; ++d) {
      for (std::size_t i = 0; i <= blocks; ++i) {
        std::int64_t cost = 0;
        for (std::size_t from = i + 1; from-- > 0;) {
          const std::int64_t at = begin + static_cast<std::int64_t>(from);
          if (from < i) {
            cost += block_cost(model_.blocks[static_cast<std::size_t>(at)]);
            if (!fits(first + d - 1, Range{at, begin + static_cast<std::int64_t>(i)})) break;
          }
          if (best[d - 1][from] == none) continue;
          const std::int64_t worst = std::max(best[d - 1][from], cost);
          if (worst < best[d][i]) {
            best[d][i] = worst;
            cut[d][i] = from;
          }
        }
      }
    }
    if (best[devices][blocks] == none) return std::nullopt;
    return cut_up(first, begin, cut);
  }

  Placement cut_up(std::size_t first, std::int64_t begin,
                   const std::vector<std::vector<std::size_t>>& cut) const {
    Placement placement{.kv_blocks = kv_blocks_};
    std::size_t end = cut.back().size() - 1;
    for (std::size_t d = cut.size() - 1; d > 0; --d) {
      const std::size_t from = cut[d][end];
      if (from < end) {
        const Range blocks{begin + static_cast<std::int64_t>(from),
                           begin + static_cast<std::int64_t>(end)};
        placement.stages.insert(placement.stages.begin(),
                                {request_.devices[first + d - 1].name, blocks, blocks.end});
      }
      end = from;
    }
    return placement;
  }

  /// The fewest blocks on the first device that leave the others enough room.
  std::optional<Placement> low_first() const {
    if (request_.devices.size() == 1) return balanced(0, 0);
    // The more the first one has, the easier it is for the others.
    std::int64_t own = 0;
    for (std::int64_t enough = count(model_) - 1; own < enough;) {
      const std::int64_t middle = (own + enough) / 2;
      if (balanced(1, middle)) {
        enough = middle;
      } else {
        own = middle + 1;
      }
    }
    if (own > 0 && !fits(0, Range{0, own})) return std::nullopt;
    std::optional<Placement> rest = balanced(1, own);
    if (rest && own > 0) {
      rest->stages.insert(rest->stages.begin(), {request_.devices[0].name, {0, own}, own});
    }
    return rest;
  }

  const ModelSpec& model_;
  const MapRequest& request_;
  const RangeBytes& bytes_;
  std::int64_t kv_blocks_;
};

/// Caches to try: what is asked for; or what the sequences want, and ever fewer down to one.
std::vector<std::int64_t> cache_sizes(const MapRequest& request) {
  if (request.kv_blocks > 0) return {request.kv_blocks};
  const std::int64_t least = kv_blocks_of_one_sequence(request.limits);
  std::vector<std::int64_t> sizes;
  for (std::int64_t blocks = kv_blocks_wanted(request.limits); blocks > least; blocks /= 2) {
    sizes.push_back(blocks);
  }
  sizes.push_back(least);
  return sizes;
}

/// Whether a larger cache puts more on a first device that is to have little.
bool spoils(const MapRequest& request, const Placement& placement, const Placement& least) {
  if (request.policy != MapPolicy::balanced_low_0) return false;
  const auto on_first = [&](const Placement& p) {
    return p.stages.front().device == request.devices.front().name ? p.stages.front().blocks.size()
                                                                   : 0;
  };
  return on_first(placement) > on_first(least);
}

[[noreturn]] void refuse(const ModelSpec& model, const MapRequest& request) {
  std::int64_t budget = 0;
  for (const DeviceBudget& device : request.devices) budget += device.bytes;
  const std::int64_t kv_blocks = cache_sizes(request).back();
  const std::int64_t needed =
      device_bytes(model, request.limits, {0, count(model)}, count(model), kv_blocks);
  fail(ErrorKind::resource,
       "the model needs {} on one device with a cache for {} tokens, and every block must fit "
       "where it goes, but the devices' budgets come to {}; give them more (--max-memory), use "
       "--max-model-len or --max-num-seqs for a smaller cache, or let the rest stay on disk "
       "(--offload-folder DIR)",
       text_of(needed), kv_blocks * kv_block_tokens, text_of(budget));
}

}  // namespace

std::vector<Range> Placement::ranges() const {
  std::vector<Range> ranges;
  for (const Stage& stage : stages) ranges.push_back(stage.blocks);
  return ranges;
}

bool Placement::uses_disk() const {
  return std::ranges::any_of(stages, [](const Stage& s) { return !s.on_disk().empty(); });
}

Placement by_cost(const ModelSpec& model, int stages) {
  Placement placement;
  for (const Range blocks : partition_stages(model, stages)) {
    placement.stages.push_back({"", blocks, blocks.end});
  }
  return placement;
}

std::optional<MapPolicy> policy_from_name(const std::string& name) {
  if (name == "auto" || name == "balanced") return MapPolicy::balanced;
  if (name == "balanced_low_0") return MapPolicy::balanced_low_0;
  if (name == "sequential") return MapPolicy::sequential;
  return std::nullopt;
}

std::int64_t device_bytes(const ModelSpec& model, const MemoryLimits& limits, Range blocks,
                          std::int64_t disk_begin, std::int64_t kv_blocks) {
  if (blocks.empty()) return 0;
  const TensorShard whole = tensor_shard(model, 1, 0);
  return resident_weight_bytes(model, whole, blocks, disk_begin) +
         kv_bytes_per_block(model, whole, blocks) * kv_blocks +
         workspace_floats(model, whole, blocks, limits) * static_cast<std::int64_t>(sizeof(float)) +
         rotary_bytes(model, limits) + step_cache_bytes(model, whole, blocks, limits) +
         program_bytes;
}

RangeBytes::RangeBytes(const ModelSpec& model, const MemoryLimits& limits) : before_(1) {
  const TensorShard whole = tensor_shard(model, 1, 0);
  for (std::int64_t i = 0; i < count(model); ++i) {
    Sums sums = before_.back();
    sums.weights += weight_bytes(model, whole, {i, i + 1});
    sums.kv += kv_bytes_per_block(model, whole, {i, i + 1});
    sums.step += step_cache_bytes(model, whole, {i, i + 1}, limits) > 0 ? 1 : 0;
    before_.push_back(sums);
  }
  find_ties(model);
  step_cache_ = step_cache_bytes(model, whole, {0, count(model)}, limits);
  const auto activations = [&](Range blocks) {
    return workspace_floats(model, whole, blocks, limits) *
           static_cast<std::int64_t>(sizeof(float));
  };
  const std::int64_t everywhere = rotary_bytes(model, limits) + program_bytes;
  inside_ = everywhere + activations({0, 1});
  at_end_ = everywhere + activations({count(model) - 1, count(model)});
}

void RangeBytes::find_ties(const ModelSpec& model) {
  std::map<std::string, std::int64_t> last;  // block that has the table
  for (std::int64_t i = 0; i < count(model); ++i) {
    for (const ParameterSpec& parameter : model.blocks[static_cast<std::size_t>(i)].parameters) {
      if (parameter.shard.axis != ShardAxis::vocab) continue;
      const auto [found, fresh] = last.emplace(parameter.tensor, i);
      if (fresh) continue;
      ties_.push_back({found->second, i, table_bytes(model, parameter)});
      found->second = i;
    }
  }
}

std::int64_t RangeBytes::operator()(Range blocks, std::int64_t kv_blocks) const {
  if (blocks.empty()) return 0;
  const Sums& from = before_[static_cast<std::size_t>(blocks.begin)];
  const Sums& to = before_[static_cast<std::size_t>(blocks.end)];
  std::int64_t bytes = to.weights - from.weights + (to.kv - from.kv) * kv_blocks;
  for (const Tie& tie : ties_) {
    if (tie.first >= blocks.begin && tie.second < blocks.end) bytes -= tie.bytes;
  }
  if (to.step > from.step) bytes += step_cache_;
  const bool is_end = blocks.end + 1 == static_cast<std::int64_t>(before_.size());
  return bytes + (is_end ? at_end_ : inside_);
}

Placement place_by_policy(const ModelSpec& model, const MapRequest& request) {
  TRIREME_ASSERT(!request.devices.empty());
  const std::vector<std::int64_t> sizes = cache_sizes(request);
  const RangeBytes bytes(model, request.limits);
  const auto least = Layout(model, request, bytes, sizes.back()).in_memory();
  for (const std::int64_t kv_blocks : sizes) {
    auto placement = Layout(model, request, bytes, kv_blocks).in_memory();
    if (placement && !spoils(request, *placement, *least)) return *placement;
  }
  if (request.disk_bytes > 0) {
    const std::int64_t kv_blocks = cache_sizes(request).back();
    if (auto placement = Layout(model, request, bytes, kv_blocks).with_disk()) return *placement;
  }
  refuse(model, request);
}

namespace {

/// Whether `module` is `name` or one that it lies in.
bool covers(std::string_view module, std::string_view name) {
  if (module.empty() || module == name) return true;
  return name.starts_with(module) && name[module.size()] == '.';
}

/// The device of the longest module that covers `name`; null: none does.
const std::pair<std::string, std::string>* longest(
    const std::vector<std::pair<std::string, std::string>>& map, std::string_view name) {
  const std::pair<std::string, std::string>* found = nullptr;
  for (const auto& entry : map) {
    if (!covers(entry.first, name)) continue;
    if (found == nullptr || entry.first.size() > found->first.size()) found = &entry;
  }
  return found;
}

/// The device of a block: of its own name and of its parameters, which must agree. A table of the
/// vocabulary counts only where nothing else does: tied ones belong to both ends of a model, and
/// each end has a copy.
std::string device_of(const BlockSpec& block,
                      const std::vector<std::pair<std::string, std::string>>& map,
                      std::set<std::string>& used) {
  std::vector<std::string> names{block.name};
  const std::size_t no_tables = 1 + static_cast<std::size_t>(std::ranges::count_if(
                                        block.parameters, [](const ParameterSpec& parameter) {
                                          return parameter.shard.axis != ShardAxis::vocab;
                                        }));
  for (const bool tables : {false, true}) {
    for (const ParameterSpec& parameter : block.parameters) {
      if ((parameter.shard.axis == ShardAxis::vocab) == tables) names.push_back(parameter.tensor);
    }
  }
  std::string device;
  std::string by;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string& name = names[i];
    const auto* entry = longest(map, name);
    if (entry == nullptr) continue;
    used.insert(entry->first);
    if (i >= no_tables && !device.empty()) continue;
    if (device.empty()) {
      device = entry->second;
      by = entry->first;
    } else if (device != entry->second) {
      fail(ErrorKind::usage,
           "the device map puts {} (by \"{}\") on {} and {} (by \"{}\") on {}, but both belong to "
           "block {}, which is not split",
           names.front(), by, device, name, entry->first, entry->second, block.name);
    }
  }
  if (device.empty()) {
    fail(ErrorKind::usage, "the device map has no device for {}; name it, or all with \"\"",
         block.name);
  }
  return device;
}

/// Takes the next block in: it goes on with the last stage, or begins one.
void append(Placement& placement, const std::string& device, std::int64_t block,
            const std::string& name) {
  std::vector<Placement::Stage>& stages = placement.stages;
  if (device == disk) {
    if (stages.empty()) {
      fail(ErrorKind::usage,
           "the device map begins on disk; the first block needs a device that computes");
    }
    stages.back().blocks.end = block + 1;
    return;
  }
  if (!stages.empty() && stages.back().device == device) {
    if (!stages.back().on_disk().empty()) {
      fail(ErrorKind::usage,
           "the device map returns to {} with {} after blocks on disk; of each device's blocks, "
           "those on disk come last",
           device, name);
    }
    stages.back().blocks.end = stages.back().disk_begin = block + 1;
    return;
  }
  const auto seen = [&](const Placement::Stage& stage) { return stage.device == device; };
  if (std::ranges::any_of(stages, seen)) {
    fail(ErrorKind::usage,
         "the device map returns to {} with {} after other devices; each device holds consecutive "
         "blocks, so that all can work at the same time",
         device, name);
  }
  stages.push_back({device, {block, block + 1}, block + 1});
}

}  // namespace

Placement place_by_map(const ModelSpec& model,
                       const std::vector<std::pair<std::string, std::string>>& map) {
  Placement placement;
  std::set<std::string> used;
  for (std::int64_t i = 0; i < count(model); ++i) {
    const BlockSpec& block = model.blocks[static_cast<std::size_t>(i)];
    append(placement, device_of(block, map, used), i, block.name);
  }
  for (const auto& [module, device] : map) {
    if (used.contains(module)) continue;
    fail(ErrorKind::usage,
         "the device map names \"{}\", which is no module of this model (or longer names say all "
         "of it); its blocks are called {}, ..., {}",
         module, model.blocks.front().name, model.blocks.back().name);
  }
  return placement;
}

std::vector<std::pair<std::string, std::string>> map_of(const ModelSpec& model,
                                                        const Placement& placement) {
  std::vector<std::pair<std::string, std::string>> map;
  for (const Placement::Stage& stage : placement.stages) {
    for (std::int64_t i = stage.blocks.begin; i < stage.blocks.end; ++i) {
      map.emplace_back(model.blocks[static_cast<std::size_t>(i)].name,
                       i < stage.disk_begin ? stage.device : std::string(disk));
    }
  }
  return map;
}

}  // namespace trireme
