// A model cut into pipeline stages, one for each process of a run, as Accelerate's prepare_pippy
// does it; for every kind of model, generation and encoder-decoders among them.
//
//   trireme::PartialState state;
//   auto model = trireme::prepare_pipeline(state, {.model = "DIR"}, {.num_chunks = 4});
//   auto outputs = model({{"input_ids", ids}});
//   if (state.is_last_process()) ...             // outputs.at("logits")
#pragma once

#include <string>
#include <vector>

#include "trireme/engine.h"
#include "trireme/partial_state.h"

namespace trireme {

struct PipelineOptions {
  /// Blocks that the stages after the first begin with; empty: stages of about the same cost.
  /// One fewer than there are processes.
  std::vector<std::string> split_points;
  /// Micro-batches that a batch is cut into; the last one may be smaller, nothing is padded. 0: as
  /// many as there are processes. 1: one stage works at a time.
  int num_chunks = 0;
  /// Results on every process, not only on the last one.
  bool gather_output = false;
};

/// Every process holds one stage, and calls it with the same arguments.
class Pipeline {
 public:
  /// Results as Engine::forward() has them: on the last process, or on all; else an empty map.
  /// Collective.
  TensorMap operator()(const TensorMap& arguments);
  /// Texts instead of arrays; answers where the results are. Collective.
  std::vector<Result> generate(std::span<const Request> requests);
  /// On which blocks the model is cut: what each stage begins with.
  const std::vector<std::string>& stages() const { return stages_; }
  /// For what else an engine can do; its results are on the first process.
  Engine& engine() { return engine_; }

 private:
  friend Pipeline prepare_pipeline(const PartialState& state, Options options,
                                   const PipelineOptions& pipeline);
  Pipeline(const PartialState& state, Engine engine, std::vector<std::string> stages, bool gather)
      : state_(state), engine_(std::move(engine)), stages_(std::move(stages)), gather_(gather) {}

  PartialState state_;
  Engine engine_;
  std::vector<std::string> stages_;
  bool gather_;
};

/// Collective: loads the model's stages, one on each process.
Pipeline prepare_pipeline(const PartialState& state, Options options,
                          const PipelineOptions& pipeline = {});

}  // namespace trireme
