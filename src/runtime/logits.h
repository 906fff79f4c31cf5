// The end of a step: from hidden states to chosen tokens and log-probabilities, over a vocabulary
// that is cut across the tensor-parallel group.
#pragma once

#include <optional>

#include "models/model.h"
#include "runtime/step_plan.h"

namespace trireme {

struct LogitsReader {
  Forward& forward;
  const Block& head;
  const ModelSpec& model;
  const TensorShard& shard;
};

/// Computes logits for the rows of `x` [tokens, hidden] that the plan asks about, a bounded number
/// at a time. Collective over the group; its first rank returns the outputs.
std::optional<StepResult> read_outputs(const LogitsReader& reader, const StepPlan& plan, Tensor x);

}  // namespace trireme
