#include "runtime/stage.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "comm/nccl.h"
#include "core/error.h"
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

/// While a block is computed: the `index`th of those on disk, or with -1 none of them.
class FromDisk {
 public:
  FromDisk(const DiskBlocks& blocks, std::int64_t index) : blocks_(blocks), index_(index) {
    if (index_ >= 0) blocks_.begin(static_cast<std::size_t>(index_));
  }
  ~FromDisk() {
    if (index_ >= 0) blocks_.end(static_cast<std::size_t>(index_));
  }
  FromDisk(const FromDisk&) = delete;
  FromDisk& operator=(const FromDisk&) = delete;

 private:
  const DiskBlocks& blocks_;
  std::int64_t index_;
};

/// For what a stage sends to the next.
std::unique_ptr<DeviceCollectives> replica_links(const StageContext& context) {
  if (context.sizes.pp == 1) return nullptr;
  return connect_nccl(context.replica, context.backend.device_stream(), NcclUse::messages);
}

}  // namespace

/// The rows of a step as the layers want them.
struct Stage::Batch {
  Batch(const StepPlan& plan, const ModelSpec& model) {
    number_blocks(plan);
    const bool both_ways = plan.encode || !model.causal;
    for (std::size_t i = 0; i < plan.sequences.size(); ++i) {
      const StepSequence& sequence = plan.sequences[i];
      const auto begin = static_cast<std::int64_t>(token_ids.size());
      const auto rows = static_cast<std::int64_t>(sequence.tokens.size());
      // Whole sequences without blocks of their own take what the step's cache has.
      const std::int32_t* const table =
          sequence.blocks.empty() ? step_blocks[i].data() : sequence.blocks.data();
      sequences.push_back(
          {begin, rows, sequence.position_begin, table, both_ways ? rows : std::int64_t{0}});
      if (model.is_encoder_decoder()) {
        sources.push_back({begin, rows, 0, sequence.source_blocks.data(), sequence.source_tokens});
      }
      add_rows(sequence);
    }
  }

  void add_rows(const StepSequence& sequence) {
    const std::size_t rows = sequence.tokens.size();
    for (std::size_t i = 0; i < rows; ++i) {
      token_ids.push_back(sequence.tokens[i]);
      positions.push_back(static_cast<std::int32_t>(sequence.position_begin) +
                          static_cast<std::int32_t>(i));
    }
    features.insert(features.end(), sequence.features.begin(), sequence.features.end());
    if (sequence.type_ids.empty()) return;
    type_ids.resize(token_ids.size() - rows);
    type_ids.insert(type_ids.end(), sequence.type_ids.begin(), sequence.type_ids.end());
  }

  /// Blocks of the step's own cache, from 0 on, for sequences that bring none.
  void number_blocks(const StepPlan& plan) {
    std::int32_t next = 0;
    for (const StepSequence& sequence : plan.sequences) {
      std::vector<std::int32_t>& blocks = step_blocks.emplace_back();
      if (!sequence.blocks.empty()) continue;
      const auto rows = static_cast<std::int64_t>(sequence.tokens.size());
      for (std::int64_t i = 0; i < ceil_div(rows, kv_block_tokens); ++i) blocks.push_back(next++);
    }
  }

  std::span<const std::int32_t> types() {
    if (!type_ids.empty()) type_ids.resize(token_ids.size());
    return type_ids;
  }

  std::vector<std::int32_t> token_ids;
  std::vector<std::int32_t> positions;
  std::vector<std::int32_t> type_ids;
  std::vector<float> features;
  std::vector<SequenceSpan> sequences;
  std::vector<SequenceSpan> sources;
  std::vector<std::vector<std::int32_t>> step_blocks;
};

Stage::Stage(const StageContext& context, const Model& model, const MemoryLimits& limits)
    : context_(context),
      model_(model),
      point_(point_of(context.replica.rank(), context.sizes)),
      shard_(tensor_shard(model.spec(), context.sizes.tp, point_.tp)),
      range_(context.placement.stages[static_cast<std::size_t>(point_.pp)].blocks),
      disk_begin_(context.placement.stages[static_cast<std::size_t>(point_.pp)].disk_begin),
      limits_(limits),
      tensor_ranks_(context.replica.group(tensor_group({0, point_.pp, 0}, context.sizes))),
      parameters_(context.backend),
      disk_blocks_(context.backend, context.offload_folder),
      scratch_(context.backend, workspace_floats(model.spec(), shard_, range_, limits)),
      meter_(context.replica, context.micro_batches),
      tensor_group_(*tensor_ranks_, context.backend,
                    connect_nccl(*tensor_ranks_, context.backend.device_stream(), NcclUse::sums)),
      replica_group_(context.replica, context.backend, replica_links(context)) {
  std::int64_t cache_layer = 0;
  for (std::int64_t i = range_.begin; i < range_.end; ++i) {
    const BlockSpec& block = model.spec().blocks[static_cast<std::size_t>(i)];
    const bool on_disk = stays_on_disk(model.spec(), range_, disk_begin_, i);
    disk_index_.push_back(on_disk ? disk_blocks_.count() : -1);
    ParameterStore& store = on_disk ? disk_blocks_.add() : parameters_;
    const LayerBuilder builder{model.spec(), block, shard_, store};
    blocks_.push_back(model.build(builder, i, cache_layer));
    if (block.kind != BlockKind::layer) continue;
    ++cache_layer;
    cache_uses_.push_back(block.cache);
  }
  caches_.resize(static_cast<std::size_t>(cache_layer));
}

std::int64_t Stage::kv_bytes_per_block() const {
  return trireme::kv_bytes_per_block(model_.spec(), shard_, range_);
}

void Stage::allocate_cache(std::int64_t blocks) {
  cache_memory_.clear();
  KvCacheView view;
  view.kv_heads = shard_.kv_heads.size();
  view.head_dim = model_.spec().head_dim;
  view.dtype = model_.spec().dtype;
  const auto allocate = [&](std::int64_t count) {
    const auto bytes =
        static_cast<std::size_t>(count * view.block_elements()) * size_of(view.dtype);
    view.k = cache_memory_.emplace_back(context_.backend.allocate(bytes)).data();
    view.v = cache_memory_.emplace_back(context_.backend.allocate(bytes)).data();
    return view;
  };
  // Layers run one after the other, so those that keep nothing share one cache.
  std::optional<KvCacheView> shared;
  for (std::size_t i = 0; i < caches_.size(); ++i) {
    if (cache_uses_[i] == CacheUse::kept) {
      caches_[i] = allocate(blocks);
      continue;
    }
    if (!shared) shared = allocate(step_cache_blocks(limits_));
    caches_[i] = *shared;
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

double Stage::weight_bytes_per_step() const {
  double total = 0;
  for (std::int64_t i = range_.begin; i < range_.end; ++i) {
    const BlockSpec& block = model_.spec().blocks[static_cast<std::size_t>(i)];
    if (block.kind != BlockKind::layer && block.kind != BlockKind::head) continue;
    for (const ParameterSpec& parameter : block.parameters) {
      if (parameter.is_vector()) continue;
      const std::int64_t elements = slice_of(parameter, model_.spec(), shard_).elements();
      total += static_cast<double>(elements) * bytes_per_weight(model_.spec().format_of(parameter));
    }
  }
  return total;
}

/// The blocks that a step passes through, on all ranks.
Range Stage::blocks_of(const StepPlan& plan) const {
  if (plan.encode) return {0, block_count() - 1};
  return {model_.spec().encoder_blocks, block_count()};
}

/// Whole blocks, in every layer that keeps something. What lies behind the tokens that both have in
/// common no query sees, until it is written anew.
void Stage::copy_cache(const StepPlan& plan) const {
  for (const BlockCopy& copy : plan.copies) {
    for (std::size_t i = 0; i < caches_.size(); ++i) {
      if (cache_uses_[i] != CacheUse::kept) continue;
      const KvCacheView& cache = caches_[i];
      const std::size_t bytes =
          static_cast<std::size_t>(cache.block_elements()) * size_of(cache.dtype);
      for (std::byte* const values : {cache.k, cache.v}) {
        context_.backend.copy(values + static_cast<std::size_t>(copy.to) * bytes,
                              values + static_cast<std::size_t>(copy.from) * bytes, bytes);
      }
    }
  }
}

int Stage::neighbour(int stages_ahead) const {
  return rank_of({0, point_.pp + stages_ahead, point_.tp}, context_.sizes);
}

std::optional<StepResult> Stage::execute(const StepPlan& plan) {
  meter_.begin(static_cast<std::uint64_t>(plan.rows()), plan.sequences.size());
  std::optional<StepResult> result = execute_blocks(plan);
  meter_.end();
  return result;
}

std::optional<StepResult> Stage::execute_blocks(const StepPlan& plan) {
  Stopwatch watch;
  const Workspace::Scope scope(scratch_);
  copy_cache(plan);
  Batch batch(plan, model_.spec());
  ++steps_;
  rows_ += static_cast<std::int64_t>(batch.positions.size());
  Forward forward{.backend = context_.backend,
                  .threads = context_.threads,
                  .tensor_group = tensor_group_,
                  .scratch = scratch_,
                  .caches = caches_,
                  .token_ids = batch.token_ids,
                  .positions = batch.positions,
                  .sequences = batch.sequences,
                  .sources = batch.sources,
                  .type_ids = batch.types(),
                  .features = batch.features};
  context_.backend.begin_step({.token_ids = batch.token_ids,
                               .positions = batch.positions,
                               .type_ids = batch.type_ids,
                               .sequences = batch.sequences,
                               .sources = batch.sources});
  const Range all = blocks_of(plan);
  const Range mine = intersect(all, range_);
  const bool ends_here = range_.end == block_count();
  std::optional<StepResult> result;
  if (mine.empty()) {
    if (ends_here) result = StepResult(plan.sequences.size());
    return shard_.rank == 0 ? std::move(result) : std::nullopt;
  }
  std::int64_t next = mine.begin;
  Tensor x;  // [tokens, hidden]
  if (next > all.begin) {
    x = receive_input(forward);
    meter_.input_arrived();
  } else {
    x = run_block(forward, plan, next++, x);
  }
  seconds_.others += watch.lap();
  const bool has_head = mine.end == block_count();
  run_layers(forward, plan, {next, mine.end - (has_head ? 1 : 0)}, x);
  seconds_.layers += watch.lap();
  if (has_head) {
    result = finish(forward, plan, x);
  } else if (mine.end < all.end) {
    send_on(x);
  } else if (ends_here && shard_.rank == 0) {
    result = StepResult(plan.sequences.size());
  }
  seconds_.others += watch.lap();
  return result;
}

/// Blocks that work on x in place.
void Stage::run_layers(Forward& forward, const StepPlan& plan, Range layers, Tensor x) const {
  const auto run = [&] {
    for (std::int64_t i = layers.begin; i < layers.end; ++i) {
      run_block(forward, plan, i, x);
      context_.replica.heartbeat();
    }
  };
  const bool decodes = !plan.encode && std::ranges::all_of(forward.sequences, [](const auto& s) {
    return s.rows == 1 && s.keys == 0;
  });
  if (!decodes || !tensor_group_.stays_on_device()) return run();
  context_.backend.repeat({.x = x.data, .rows = x.rows, .blocks = layers}, run);
}

Tensor Stage::run_block(Forward& forward, const StepPlan& plan, std::int64_t index,
                        Tensor x) const {
  const Block& block = *blocks_[static_cast<std::size_t>(index - range_.begin)];
  const FromDisk from_disk(disk_blocks_,
                           disk_index_[static_cast<std::size_t>(index - range_.begin)]);
  if (!plan.encode || index < model_.spec().encoder_blocks) return block.forward(forward, x);
  const Workspace::Scope scope(forward.scratch);
  block.keep_source(forward, x);
  return x;
}

Tensor Stage::receive_input(Forward& forward) {
  const Tensor x = scratch_.matrix(forward.rows(), model_.spec().hidden_size);
  replica_group_.receive(neighbour(-1), x);
  return x;
}

void Stage::send_on(Tensor x) { replica_group_.send(neighbour(1), x); }

std::optional<StepResult> Stage::finish(Forward& forward, const StepPlan& plan, Tensor x) {
  const FromDisk from_disk(disk_blocks_, disk_index_.back());
  if (model_.spec().output != Output::logits) return read_values(forward, plan, x);
  const LogitsReader reader{forward, *blocks_.back(), model_.spec(), shard_};
  return read_outputs(reader, plan, x);
}

/// One vector per sequence, or its hidden states. Every rank of the group computes them.
std::optional<StepResult> Stage::read_values(Forward& forward, const StepPlan& plan,
                                             Tensor x) const {
  const Tensor y = blocks_.back()->forward(forward, x);
  if (shard_.rank != 0) return std::nullopt;
  const bool pooled = model_.spec().is_pooled();
  StepResult result(plan.sequences.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    const SequenceSpan& span = forward.sequences[i];
    const bool one = pooled && !plan.sequences[i].hidden;
    const Tensor from = one || !pooled ? y : x;
    const float* begin =
        from.data + (one ? static_cast<std::int64_t>(i) : span.row_begin) * from.cols;
    result[i].values.resize(static_cast<std::size_t>((one ? 1 : span.rows) * from.cols));
    context_.backend.download(std::as_writable_bytes(std::span(result[i].values)), begin);
  }
  return result;
}

}  // namespace trireme
