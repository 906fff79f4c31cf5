// Which device holds which blocks of a model: by a policy within budgets of memory, or by a map
// that names a device per module. Pure. Every device that holds something is a stage of the
// pipeline, so all of them work at the same time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/model_spec.h"
#include "plan/memory.h"

namespace trireme {

/// What a device may hold. On a machine without GPUs "cpu:0" and "cpu:1" are groups of cores.
struct DeviceBudget {
  std::string name;
  std::int64_t bytes = 0;
};

/// Where the blocks of a model live.
struct Placement {
  struct Stage {
    std::string device;
    Range blocks;
    /// Blocks from here on are read from disk whenever they are needed; blocks.end: none.
    std::int64_t disk_begin = 0;

    Range on_disk() const { return {disk_begin, blocks.end}; }
    bool operator==(const Stage&) const = default;
  };
  std::vector<Stage> stages;   ///< in the order of the model's list
  std::int64_t kv_blocks = 0;  ///< of each one's cache; 0: not decided here

  std::vector<Range> ranges() const;
  bool uses_disk() const;
};

/// Stages of about the same cost, without devices. Throws Error(usage) when there are more than
/// blocks.
Placement by_cost(const ModelSpec& model, int stages);

enum class MapPolicy : std::uint8_t {
  balanced,        ///< `auto` too: the costliest device costs the least, within all budgets
  balanced_low_0,  ///< balanced over the other devices; the first takes what they cannot
  sequential,      ///< fills the devices one after the other
};
/// Nothing for a name that is no policy.
std::optional<MapPolicy> policy_from_name(const std::string& name);

struct MapRequest {
  MapPolicy policy = MapPolicy::balanced;
  std::vector<DeviceBudget> devices;  ///< at least one
  MemoryLimits limits;
  std::int64_t kv_blocks = 0;   ///< asked for; 0: what max_sequences want, or fewer if they must be
  std::int64_t disk_bytes = 0;  ///< that blocks may take there; 0: none may
};

/// Bytes that a device needs for `blocks`, of which those from `disk_begin` on pass through two
/// buffers: weights, cache, activations, program.
std::int64_t device_bytes(const ModelSpec& model, const MemoryLimits& limits, Range blocks,
                          std::int64_t disk_begin, std::int64_t kv_blocks);

/// device_bytes() of blocks in memory, for whoever asks about very many ranges: sums of what each
/// block takes, made once.
class RangeBytes {
 public:
  RangeBytes(const ModelSpec& model, const MemoryLimits& limits);
  std::int64_t operator()(Range blocks, std::int64_t kv_blocks) const;

 private:
  /// A table that both blocks have, kept once where they are together.
  struct Tie {
    std::int64_t first = 0;
    std::int64_t second = 0;
    std::int64_t bytes = 0;
  };
  /// Of the blocks before each one.
  struct Sums {
    std::int64_t weights = 0;
    std::int64_t kv = 0;    ///< of one cache block
    std::int64_t step = 0;  ///< layers that use the step's cache
  };
  void find_ties(const ModelSpec& model);

  std::vector<Sums> before_;
  std::vector<Tie> ties_;
  std::int64_t step_cache_ = 0;
  std::int64_t inside_ = 0;  ///< what every device needs
  std::int64_t at_end_ = 0;  ///< what the one with the last block needs in its place
};

/// Throws Error(resource) when the budgets do not hold the model, saying what is missing.
Placement place_by_policy(const ModelSpec& model, const MapRequest& request);

/// `map`: modules ("transformer.h.3", "model.layers", "" for all) and their devices, or "disk". A
/// module stands for all names that begin with it; the longest counts. Throws Error(usage) for a
/// block that has no device or several, a name that is no module, or a device whose blocks do not
/// follow one another: a block is the least that moves, and stages are consecutive blocks.
Placement place_by_map(const ModelSpec& model,
                       const std::vector<std::pair<std::string, std::string>>& map);

/// The placement as a map of blocks.
std::vector<std::pair<std::string, std::string>> map_of(const ModelSpec& model,
                                                        const Placement& placement);

}  // namespace trireme
