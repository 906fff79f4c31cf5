#include "plan/stages.h"

#include <algorithm>
#include <limits>

#include "core/error.h"

namespace trireme {

std::int64_t block_cost(const BlockSpec& block) {
  if (block.kind == BlockKind::embed) return 0;
  std::int64_t cost = 0;
  for (const ParameterSpec& parameter : block.parameters) {
    if (!parameter.is_vector()) cost += parameter.elements();
  }
  return cost;
}

std::vector<Range> partition_stages(const ModelSpec& model, int stages) {
  const std::size_t blocks = model.blocks.size();
  const auto parts = static_cast<std::size_t>(stages);
  if (stages < 1 || parts > blocks) {
    fail(ErrorKind::usage,
         "--pipeline-parallel-size {}: the model has {} blocks ({} layers, the embedding and the "
         "head), so it can be cut into at most {} stages",
         stages, blocks, model.num_layers(), blocks);
  }
  std::vector<std::int64_t> prefix(blocks + 1, 0);
  for (std::size_t i = 0; i < blocks; ++i) prefix[i + 1] = prefix[i] + block_cost(model.blocks[i]);

  // best[p][i]: least cost of the costliest of p stages over the first i blocks; cut[p][i]: where
  // its last stage begins.
  constexpr std::int64_t none = std::numeric_limits<std::int64_t>::max();
  std::vector best(parts + 1, std::vector<std::int64_t>(blocks + 1, none));
  std::vector cut(parts + 1, std::vector<std::size_t>(blocks + 1, 0));
  best[0][0] = 0;
  for (std::size_t p = 1; p <= parts; ++p) {
    for (std::size_t i = p; i <= blocks; ++i) {
      for (std::size_t begin = p - 1; begin < i; ++begin) {
        if (best[p - 1][begin] == none) continue;
        const std::int64_t cost = std::max(best[p - 1][begin], prefix[i] - prefix[begin]);
        if (cost < best[p][i]) {
          best[p][i] = cost;
          cut[p][i] = begin;
        }
      }
    }
  }
  std::vector<Range> ranges(parts);
  std::size_t end = blocks;
  for (std::size_t p = parts; p > 0; --p) {
    const std::size_t begin = cut[p][end];
    ranges[p - 1] = {static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end)};
    end = begin;
  }
  return ranges;
}

}  // namespace trireme
