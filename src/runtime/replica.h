// One rank of a replica, from options to a model that is ready to run.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "models/hf_config.h"
#include "models/model.h"
#include "runtime/driver.h"
#include "trireme/options.h"
#include "weights/tensor_source.h"

namespace trireme {

/// A model's files, read but not loaded.
struct ModelFiles {
  std::filesystem::path directory;
  HfConfig config;
  std::unique_ptr<TensorSource> source;
  std::unique_ptr<Model> model;
};

/// Finds the model, reads config.json, resolves the dtype and opens the weights (headers only),
/// checking that they are what config.json says.
ModelFiles open_model(const Options& options);

/// Refuses sizes that the model cannot be cut into. Throws Error(usage) naming flags that work.
void check_plan(const ModelSpec& model, const ParallelSizes& sizes);

class Replica {
 public:
  /// Collective over `ranks`, the tp * pp ranks of this replica: loads this rank's share.
  /// `local_ranks`: ranks of the whole run on this host, which share its cores and memory.
  Replica(const Options& options, std::unique_ptr<Communicator> ranks, int local_ranks);
  ~Replica();

  bool is_driver() const { return ranks_->rank() == 0; }
  /// Drivers only.
  Driver& driver() { return *driver_; }
  /// Other ranks: executes steps until the driver is gone.
  void follow();
  /// Drivers: lets the other ranks return from follow(). Also done on destruction.
  void stop() { driver_->stop(); }

  const ModelFiles& files() const { return files_; }
  const ModelSpec& spec() const { return files_.model->spec(); }
  const Backend& backend() const { return *backend_; }
  Communicator& ranks() { return *ranks_; }
  /// Tokens of the longest sequence (prompt and output) that can run.
  std::int64_t max_sequence_tokens() const;

  /// What this rank holds and did: evidence that weights and work really were split.
  struct Counters {
    std::int64_t checkpoint_bytes_read = 0;
    std::int64_t weight_bytes = 0;
    std::int64_t kv_blocks = 0;
    std::int64_t blocks = 0;  ///< of the model, on this rank
  };
  Counters counters() const;

 private:
  std::int64_t agree_on_kv_blocks(const Options& options, int local_ranks);

  ModelFiles files_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Communicator> ranks_;
  ParallelSizes sizes_;
  MemoryLimits limits_;
  std::unique_ptr<ThreadPool> threads_;
  std::unique_ptr<Stage> stage_;
  Buffer weights_;
  std::int64_t kv_blocks_ = 0;
  std::unique_ptr<Driver> driver_;
};

/// Bytes of memory that this host could still give to new allocations.
std::int64_t available_memory();

}  // namespace trireme
