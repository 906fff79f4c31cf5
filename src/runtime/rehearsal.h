// How long a step takes, found out by doing it: a few of a model's layers, and its head, with
// weights that mean nothing, through the same kernels on the same threads. Whatever a formula would
// have to know about a kernel or a memory bus is in the time.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/stage.h"

namespace trireme {

class Rehearsal {
 public:
  /// The shape of a step: `sequences` of which each has `tokens` new ones after `context`.
  struct Step {
    std::int64_t sequences = 1;
    std::int64_t tokens = 1;
    std::int64_t context = 0;
  };

  /// Layers of `model` that a rehearsal would run: enough to be more than the caches hold, at least
  /// two, no more than there are.
  static std::int64_t layers_for(const ModelSpec& model);
  /// Bytes that a rehearsal of these steps with so many layers takes.
  static std::int64_t bytes_for(const ModelSpec& model, std::span<const Step> steps,
                                std::int64_t layers);

  /// For steps no larger than these. Cuts `model`, which must outlive this, down to `layers`
  /// layers. A GPU works while the host goes on, so there the time of the layers cannot be told
  /// from that of the rest: take as many layers as there is room for.
  Rehearsal(Model& model, const Backend& backend, std::span<const Step> steps, std::int64_t layers);

  std::int64_t layers() const { return layers_; }

  /// Seconds of one such step through the whole model, by all of `threads`: the median of a few,
  /// after one that does not count.
  double seconds(ThreadPool& threads, const Step& step);

 private:
  std::int64_t all_layers_ = 0;
  std::int64_t layers_ = 0;
  Model& model_;
  const Backend& backend_;
  MemoryLimits limits_;
  std::int64_t cache_blocks_ = 0;
  DeviceBuffer weights_;
};

}  // namespace trireme
