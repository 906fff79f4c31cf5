// A model over several devices of this one process: a thread for each rank of the plan, and one
// object to call. DataParallel and ModelParallel are PyTorch's two examples in these terms.
//
//   trireme::DataParallel model({.model = "DIR"}, {"cpu:0", "cpu:1"});
//   auto outputs = model({{"input_ids", ids}});         // half of the rows on each device
//
//   trireme::ModelParallel model({.model = "DIR"}, {{"encoder", "cpu:0"}, {"decoder", "cpu:1"}});
//   auto outputs = model({{"src", src}, {"tgt", tgt}});  // each half where it was put
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "trireme/engine.h"

namespace trireme {

/// The same calls as an Engine's, over as many ranks as the plan or the device map of the options
/// has. Replicas share one copy of the weights. Used by one thread at a time.
class LocalEngine {
 public:
  /// Loads the model on every rank. Throws what an Engine would.
  explicit LocalEngine(const Options& options);
  ~LocalEngine();
  LocalEngine(LocalEngine&&) noexcept;
  LocalEngine& operator=(LocalEngine&&) noexcept;

  std::vector<Result> generate(std::span<const Request> requests);
  std::vector<Score> score(std::span<const Request> requests, bool logits = false);
  std::vector<Choice> choose(std::span<const Request> requests);
  std::vector<Embedding> embed(std::span<const Request> requests);
  std::vector<Classification> classify(std::span<const Request> requests);
  std::vector<MaskFill> fill_mask(std::span<const Request> requests, std::int64_t count = 5);
  TensorMap forward(const TensorMap& arguments);
  std::vector<std::string> labels();
  ModelKind kind();

  /// With a device map written out, and as many stages as it has devices.
  const Options& options() const;
  /// Of each rank.
  std::vector<EngineStats> stats();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// torch.nn.DataParallel: a replica on every device, the rows of a batch scattered over them and
/// the outputs gathered, in order. Batches need not divide by the number of devices.
class DataParallel {
 public:
  DataParallel(Options options, const std::vector<std::string>& devices);
  TensorMap operator()(const TensorMap& arguments) { return engine_.forward(arguments); }
  LocalEngine& engine() { return engine_; }

 private:
  LocalEngine engine_;
};

/// A model whose modules lie on the devices that a map names; what passes from one to the next is
/// moved. Rows of a batch are on their way through all devices at the same time.
class ModelParallel {
 public:
  ModelParallel(Options options, const std::vector<std::pair<std::string, std::string>>& map);
  TensorMap operator()(const TensorMap& arguments) { return engine_.forward(arguments); }
  LocalEngine& engine() { return engine_; }

 private:
  LocalEngine engine_;
};

}  // namespace trireme
