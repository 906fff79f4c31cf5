#include "runtime/stage.h"

#include <chrono>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "plan/stages.h"
#include "runtime/logits.h"

namespace trireme {

namespace {

class Stopwatch {
 public:
  /// Seconds since the last lap, or the start.
  double lap() {
    const Clock::time_point now = Clock::now();
    return std::chrono::duration<double>(now - std::exchange(begin_, now)).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point begin_ = Clock::now();
};

}  // namespace

/// The rows of a step as the layers want them.
struct Stage::Batch {
  explicit Batch(const StepPlan& plan) {
    for (const StepSequence& sequence : plan.sequences) {
      sequences.push_back({.row_begin = static_cast<std::int64_t>(token_ids.size()),
                           .rows = static_cast<std::int64_t>(sequence.tokens.size()),
                           .position_begin = sequence.position_begin,
                           .block_table = sequence.blocks.data()});
      for (std::size_t i = 0; i < sequence.tokens.size(); ++i) {
        token_ids.push_back(sequence.tokens[i]);
        positions.push_back(static_cast<std::int32_t>(sequence.position_begin) +
                            static_cast<std::int32_t>(i));
      }
    }
  }

  std::vector<std::int32_t> token_ids;
  std::vector<std::int32_t> positions;
  std::vector<SequenceSpan> sequences;
};

Stage::Stage(const StageContext& context, const Model& model, const MemoryLimits& limits)
    : context_(context),
      model_(model),
      point_(point_of(context.replica.rank(), context.sizes)),
      shard_(tensor_shard(model.spec(), context.sizes.tp, point_.tp)),
      range_(partition_stages(model.spec(), context.sizes.pp)[static_cast<std::size_t>(point_.pp)]),
      limits_(limits),
      tensor_group_(context.replica.group(tensor_group({0, point_.pp, 0}, context.sizes))),
      parameters_(context.backend),
      scratch_(workspace_floats(model.spec(), shard_, range_, limits)) {
  std::int64_t cache_layer = 0;
  for (std::int64_t i = range_.begin; i < range_.end; ++i) {
    const BlockSpec& block = model.spec().blocks[static_cast<std::size_t>(i)];
    const LayerBuilder builder{model.spec(), block, shard_, parameters_};
    blocks_.push_back(model.build(builder, i, cache_layer));
    if (block.kind == BlockKind::layer) ++cache_layer;
  }
  caches_.resize(static_cast<std::size_t>(cache_layer));
}

std::int64_t Stage::kv_bytes_per_block() const {
  return trireme::kv_bytes_per_block(model_.spec(), shard_, range_);
}

void Stage::allocate_cache(std::int64_t blocks) {
  cache_memory_.clear();
  for (KvCacheView& cache : caches_) {
    cache.kv_heads = shard_.kv_heads.size();
    cache.head_dim = model_.spec().head_dim;
    cache.dtype = model_.spec().dtype;
    const auto bytes =
        static_cast<std::size_t>(blocks * cache.block_elements()) * size_of(cache.dtype);
    cache.k = cache_memory_.emplace_back(bytes).data();
    cache.v = cache_memory_.emplace_back(bytes).data();
  }
}

std::int64_t Stage::multiply_adds_per_row() const {
  std::int64_t total = 0;
  for (std::int64_t i = range_.begin; i < range_.end; ++i) {
    const BlockSpec& block = model_.spec().blocks[static_cast<std::size_t>(i)];
    if (block.kind != BlockKind::layer) continue;
    for (const ParameterSpec& parameter : block.parameters) {
      if (!parameter.is_vector()) total += slice_of(parameter, model_.spec(), shard_).elements();
    }
  }
  return total;
}

bool Stage::holds_last_block() const {
  return range_.end == static_cast<std::int64_t>(model_.spec().blocks.size());
}

int Stage::neighbour(int stages_ahead) const {
  return rank_of({0, point_.pp + stages_ahead, point_.tp}, context_.sizes);
}

std::optional<StepResult> Stage::execute(const StepPlan& plan) {
  Stopwatch watch;
  const Workspace::Scope scope(scratch_);
  const Batch batch(plan);
  ++steps_;
  rows_ += static_cast<std::int64_t>(batch.positions.size());
  Forward forward{context_.backend, context_.threads, *tensor_group_,  scratch_,
                  caches_,          batch.token_ids,  batch.positions, batch.sequences};
  Tensor x = input(forward);  // [tokens, hidden]
  seconds_.others += watch.lap();
  const std::size_t layers = blocks_.size() - (holds_last_block() ? 1 : 0);
  for (std::size_t i = holds_first_block() ? 1 : 0; i < layers; ++i) {
    x = blocks_[i]->forward(forward, x);
    context_.replica.heartbeat();
  }
  seconds_.layers += watch.lap();
  std::optional<StepResult> result;
  if (holds_last_block()) {
    result = finish(forward, plan, x);
  } else {
    send_on(x);
  }
  seconds_.others += watch.lap();
  return result;
}

Tensor Stage::input(Forward& forward) {
  if (holds_first_block()) return blocks_.front()->forward(forward, {});
  const Tensor x = scratch_.matrix(forward.rows(), model_.spec().hidden_size);
  context_.replica.receive_into(
      neighbour(-1),
      {reinterpret_cast<std::byte*>(x.data), static_cast<std::size_t>(x.size()) * sizeof(float)});
  return x;
}

void Stage::send_on(Tensor x) {
  context_.replica.send(neighbour(1), {reinterpret_cast<const std::byte*>(x.data),
                                       static_cast<std::size_t>(x.size()) * sizeof(float)});
}

std::optional<StepResult> Stage::finish(Forward& forward, const StepPlan& plan, Tensor x) {
  const LogitsReader reader{forward, *blocks_.back(), model_.spec(), shard_};
  return read_outputs(reader, plan, x);
}

}  // namespace trireme
