// Which pipeline stage holds which blocks: contiguous ranges of the model's list, balanced by cost.
#pragma once

#include <cstdint>
#include <vector>

#include "core/model_spec.h"

namespace trireme {

/// Cost of running a block for one token, in multiply-adds: the elements of its matrices (a look-up
/// costs nothing).
std::int64_t block_cost(const BlockSpec& block);

/// Ranges of spec.blocks for each of `stages` stages, none empty, with the least possible cost of
/// the costliest stage. Throws Error(usage) when there are more stages than blocks.
std::vector<Range> partition_stages(const ModelSpec& model, int stages);

}  // namespace trireme
