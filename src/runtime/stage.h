// One rank's part of a model: its blocks, their weights, its share of the KV cache, and the
// execution of steps over them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "comm/topology.h"
#include "models/model.h"
#include "plan/device_map.h"
#include "plan/memory.h"
#include "runtime/disk_blocks.h"
#include "runtime/step_meter.h"
#include "runtime/step_plan.h"

namespace trireme {

/// Where a rank stands in its replica, and what it may use.
struct StageContext {
  const Backend& backend;
  ThreadPool& threads;
  Communicator& replica;  ///< the tp * pp ranks of the replica, tp fastest
  ParallelSizes sizes;    ///< dp is not looked at
  Placement placement;    ///< what each pipeline stage holds, and which of it stays on disk
  std::string offload_folder = "";
  int micro_batches = 1;  ///< steps in flight at once, for who looks at the trace
};

/// Time on the wall.
struct StageSeconds {
  double layers = 0;
  double others = 0;  ///< embedding, logits and what is chosen from them, messages
};

class Stage {
 public:
  /// Declares the parameters of this rank's blocks. `model` must outlive the stage; its prepare()
  /// must have been called before execute().
  Stage(const StageContext& context, const Model& model, const MemoryLimits& limits);

  /// What must be placed and loaded before the first step.
  ParameterStore& parameters() { return parameters_; }
  /// The same for blocks on disk, of which there may be none.
  DiskBlocks& disk_blocks() { return disk_blocks_; }
  /// Allocates the KV cache, and the one that a step with whole sequences uses. All ranks of a
  /// replica use the same number of blocks.
  void allocate_cache(std::int64_t blocks);

  Range blocks() const { return range_; }
  std::int64_t kv_bytes_per_block() const;
  const TensorShard& shard() const { return shard_; }

  /// Steps, and rows of steps, that went through this rank's blocks.
  std::int64_t steps() const { return steps_; }
  std::int64_t rows() const { return rows_; }
  /// How long they took.
  const StageSeconds& seconds() const { return seconds_; }
  /// Where that time went, for others to see.
  StepMeter& meter() { return meter_; }
  const StepMeter& meter() const { return meter_; }
  /// Multiply-adds of matrix products per row through this rank's layers (the head not counted).
  std::int64_t multiply_adds_per_row() const;

  /// Bytes of the matrices that a step with logits multiplies with, the head's among them.
  double weight_bytes_per_step() const;

  /// Runs the step through this rank's blocks, exchanging hidden states with the neighbouring
  /// stages. The first rank of the last stage returns the result. A step of an encoder-decoder
  /// model passes the blocks of its phase only: the encoder's and, with `encode`, the decoder's
  /// layers, which keep the source; or the decoder's.
  std::optional<StepResult> execute(const StepPlan& plan);

 private:
  struct Batch;
  std::int64_t block_count() const {
    return static_cast<std::int64_t>(model_.spec().blocks.size());
  }
  Range blocks_of(const StepPlan& plan) const;
  void copy_cache(const StepPlan& plan) const;
  int neighbour(int stages_ahead) const;
  Tensor receive_input(Forward& forward);
  void send_on(Tensor x);
  std::optional<StepResult> execute_blocks(const StepPlan& plan);
  void run_layers(Forward& forward, const StepPlan& plan, Range layers, Tensor x) const;
  Tensor run_block(Forward& forward, const StepPlan& plan, std::int64_t index, Tensor x) const;
  std::optional<StepResult> finish(Forward& forward, const StepPlan& plan, Tensor x);
  std::optional<StepResult> read_values(Forward& forward, const StepPlan& plan, Tensor x) const;

  StageContext context_;
  const Model& model_;
  RankPoint point_;
  TensorShard shard_;
  Range range_;
  std::int64_t disk_begin_;  ///< blocks from here on stay on disk, but for tied tables
  MemoryLimits limits_;
  std::unique_ptr<Communicator> tensor_ranks_;
  ParameterStore parameters_;
  DiskBlocks disk_blocks_;
  std::vector<std::int64_t> disk_index_;  ///< of each block here among disk_blocks_; -1: none
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<DeviceBuffer> cache_memory_;
  std::vector<CacheUse> cache_uses_;  ///< of each attention layer here
  std::vector<KvCacheView> caches_;
  Workspace scratch_;
  std::int64_t steps_ = 0;
  std::int64_t rows_ = 0;
  StageSeconds seconds_;
  StepMeter meter_;
  // They go first: what a GPU still waits for, of a rank that is gone, ends with them, and the
  // memory above can be given back.
  TensorGroup tensor_group_;
  TensorGroup replica_group_;
};

}  // namespace trireme
