// What each pipeline stage of a run holds: as Options::device_map, split_points or the sizes say.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "plan/device_map.h"
#include "trireme/options.h"

namespace trireme {

/// The entries of Options::device_map, which is JSON or the name of a JSON file; devices are spelt
/// out ("0" is "cpu:0"). Throws Error(input) for what is no map of names.
std::vector<std::pair<std::string, std::string>> read_device_map(const std::string& text);

/// A device as a map or a budget names it, spelt out: "0" is "cpu:0", "cpu" too. Throws
/// Error(usage) for what this host does not have.
std::string device_name(const std::string& name);

/// Everything in one stage, in memory.
Placement one_stage(const ModelSpec& model);

/// Stages and what of them stays on disk. Throws Error(usage) where a policy has not been made a
/// map (place_on_devices), or the stages are not pipeline_parallel_size.
Placement placement_of(const Options& options, const ModelSpec& model);

}  // namespace trireme
