// One rank of a replica, from options to a model that is ready to run.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/model_texts.h"
#include "core/shared_once.h"
#include "models/hf_config.h"
#include "models/model.h"
#include "plan/cache.h"
#include "runtime/driver.h"
#include "runtime/weight_cache.h"
#include "trireme/options.h"
#include "weights/tensor_source.h"

namespace trireme {

/// A model whose weights are not loaded yet.
struct OpenModel {
  std::unique_ptr<const ModelTexts> texts;
  HfConfig config;
  std::unique_ptr<TensorSource> source;
  std::unique_ptr<Model> model;
  std::string warning;  ///< on weights that take more memory than in the files; or empty
};

/// Finds the model, reads config.json, resolves the dtype and opens the weights (headers only),
/// checking that they are what config.json says. A model called "shape:NAME" is one of
/// models/shapes.h with made-up weights.
OpenModel open_model(const Options& options);

/// Refuses sizes that the model cannot be cut into. Throws Error(usage) naming flags that work.
void check_plan(const ModelSpec& model, const ParallelSizes& sizes);

/// Threads of each of `local_ranks` ranks that share this host: as asked for, or their share of its
/// cores.
int threads_per_rank(const Options& options, int local_ranks);

/// The sizes that `options` ask for. Throws Error(usage) where the model is smaller.
MemoryLimits memory_limits(const Options& options, const ModelSpec& model);

/// The flags of speculative decoding. Throws Error(usage) where they make no sense.
SpeculationLimits speculation_limits(const Options& options);

class Replica {
 public:
  /// Collective over `ranks`, the tp * pp ranks of this replica: loads this rank's share.
  /// `local_ranks`: ranks of the whole run on this host, which share its cores and memory;
  /// `local_rank`: this one's number among them.
  /// `shared_weights`: a memfd in which the replicas of this host keep one copy of this rank's
  /// weights (core/shared_once.h), or -1.
  Replica(const Options& options, std::unique_ptr<Communicator> ranks, int local_ranks,
          int local_rank = 0, int shared_weights = -1);
  ~Replica();

  bool is_driver() const { return ranks_->rank() == 0; }
  /// Drivers only.
  Driver& driver() { return *driver_; }
  /// Other ranks: executes steps until the driver is gone.
  void follow();
  /// Drivers: lets the other ranks return from follow(). Also done on destruction.
  void stop() { driver_->stop(); }

  const OpenModel& files() const { return files_; }
  const ModelSpec& spec() const { return files_.model->spec(); }
  const Backend& backend() const { return *backend_; }
  Communicator& ranks() { return *ranks_; }
  int threads() const { return threads_->size(); }
  /// Tokens of the longest sequence (prompt and output) that can run: the same under every plan.
  std::int64_t max_sequence_tokens() const { return limits_.max_model_len; }

  /// What this rank does, as it goes.
  const RankActivity& activity() const { return stage_->meter().activity(); }

  /// What this rank holds and did: evidence that weights and work really were split.
  struct Counters {
    std::int64_t checkpoint_bytes_read = 0;
    std::int64_t weight_bytes = 0;
    std::int64_t kv_blocks = 0;
    std::int64_t blocks = 0;  ///< of the model, on this rank
    std::int64_t steps = 0;
    std::int64_t rows = 0;  ///< that went through this rank's blocks
    std::int64_t multiply_adds = 0;
    bool shared_weights = false;  ///< another process packed them
    bool mapped_weights = false;  ///< an earlier start packed them
  };
  Counters counters() const;

 private:
  void refuse_on_gpus(const Options& options) const;
  void load_weights(const Options& options, int shared_memory);
  std::span<const std::byte> filled_arena(const std::function<void()>& heartbeat);
  std::int64_t agree_on_kv_blocks(const Options& options, int local_ranks);
  /// Of one rank, in bytes.
  struct Sizes {
    std::int64_t kv_block = 0;
    std::int64_t mapped = 0;    ///< weights in files
    std::int64_t gpu_left = 0;  ///< of its GPU, for the caches of all ranks there
  };
  std::int64_t gpu_bytes_left(const Options& options, int ranks_per_gpu) const;
  CacheRequest cache_request(const Options& options, int local_ranks,
                             std::span<const Sizes> sizes) const;

  OpenModel files_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Communicator> ranks_;
  ParallelSizes sizes_;
  MemoryLimits limits_;
  std::unique_ptr<ThreadPool> threads_;
  DeviceBuffer weights_;                        ///< this process's own, unless
  std::unique_ptr<SharedOnce> shared_weights_;  ///< the host's replicas share one copy, or
  std::unique_ptr<WeightCache> cache_;          ///< they are mapped; it writes what is not there
  bool mapped_ = false;
  std::int64_t kv_blocks_ = 0;
  std::unique_ptr<Stage> stage_;  ///< goes before a GPU's memory, which may wait for its links
  std::unique_ptr<Driver> driver_;
};

/// Bytes of memory that this host could still give to new allocations.
std::int64_t available_memory();

}  // namespace trireme
