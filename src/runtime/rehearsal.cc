#include "runtime/rehearsal.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "comm/single.h"
#include "core/error.h"
#include "runtime/placement.h"

namespace trireme {

namespace {

/// Of every number in the arena: small and ordinary in each dtype, so that sums stay finite.
constexpr int weight_byte = 0x2c;

std::int64_t blocks_per_sequence(const Rehearsal::Step& step) {
  return ceil_div(step.context + step.tokens, kv_block_tokens);
}

MemoryLimits limits_of(std::span<const Rehearsal::Step> steps) {
  MemoryLimits limits;
  for (const Rehearsal::Step& step : steps) {
    limits.max_model_len =
        std::max(limits.max_model_len, blocks_per_sequence(step) * kv_block_tokens);
    limits.max_sequences = std::max(limits.max_sequences, step.sequences);
    limits.max_step_tokens = std::max(limits.max_step_tokens, step.sequences * step.tokens);
  }
  return limits;
}

std::int64_t cache_blocks_of(std::span<const Rehearsal::Step> steps) {
  std::int64_t most = 0;
  for (const Rehearsal::Step& step : steps) {
    most = std::max(most, step.sequences * blocks_per_sequence(step));
  }
  return most;
}

/// The first block, so many layers, and the last block.
std::int64_t weight_bytes_of(const ModelSpec& model, std::int64_t layers) {
  const TensorShard whole = tensor_shard(model, 1, 0);
  const auto last = static_cast<std::int64_t>(model.blocks.size()) - 1;
  return weight_bytes(model, whole, {0, 1 + layers}) + weight_bytes(model, whole, {last, last + 1});
}

std::int64_t bytes_per_layer(const ModelSpec& model) {
  return weight_bytes(model, tensor_shard(model, 1, 0), {1, 2});
}

/// Weights of so many bytes do not stay in the last cache. A virtual machine may show it the cache
/// of the whole host, hence the bound.
std::int64_t uncached_bytes() {
  constexpr std::int64_t least = std::int64_t{64} << 20;
  constexpr std::int64_t most = std::int64_t{256} << 20;
  return std::clamp<std::int64_t>(4 * sysconf(_SC_LEVEL3_CACHE_SIZE), least, most);
}

StepPlan plan_of(const Rehearsal::Step& step) {
  StepPlan plan;
  const std::int64_t blocks = blocks_per_sequence(step);
  for (std::int64_t s = 0; s < step.sequences; ++s) {
    StepSequence& sequence = plan.sequences.emplace_back();
    sequence.position_begin = step.context;
    for (std::int64_t t = 0; t < step.tokens; ++t) {
      sequence.tokens.push_back(static_cast<std::int32_t>(t % 100));
    }
    for (std::int64_t b = 0; b < blocks; ++b) {
      sequence.blocks.push_back(static_cast<std::int32_t>(s * blocks + b));
    }
    sequence.sample = true;
    sequence.sampler.greedy = true;
  }
  return plan;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[(values.size() - 1) / 2];
}

}  // namespace

std::int64_t Rehearsal::layers_for(const ModelSpec& model) {
  const std::int64_t wanted =
      std::max<std::int64_t>(2, ceil_div(uncached_bytes(), bytes_per_layer(model)));
  return std::min(wanted, model.num_layers());
}

std::int64_t Rehearsal::bytes_for(const ModelSpec& model, std::span<const Step> steps,
                                  std::int64_t layers) {
  const TensorShard whole = tensor_shard(model, 1, 0);
  return weight_bytes_of(model, layers) +
         kv_bytes_per_block(model, whole, {1, 1 + layers}) * cache_blocks_of(steps) +
         workspace_floats(model, whole, {0, static_cast<std::int64_t>(model.blocks.size())},
                          limits_of(steps)) *
             static_cast<std::int64_t>(sizeof(float));
}

Rehearsal::Rehearsal(Model& model, const Backend& backend, std::span<const Step> steps,
                     std::int64_t layers)
    : all_layers_(model.spec().num_layers()),
      layers_(layers),
      model_(model),
      backend_(backend),
      limits_(limits_of(steps)),
      cache_blocks_(cache_blocks_of(steps)) {
  model_.keep_layers(layers_);
  model_.prepare(backend_, limits_.max_model_len);
}

double Rehearsal::seconds(ThreadPool& threads, const Step& step) {
  SingleCommunicator alone;
  Stage stage({backend_, threads, alone, {}, one_stage(model_.spec())}, model_, limits_);
  if (weights_.size() == 0) {
    weights_ = backend_.allocate(stage.parameters().bytes());
    constexpr std::int64_t pieces = 256;
    const auto size = static_cast<std::int64_t>(weights_.size());
    threads.parallel_for(pieces, [&](std::int64_t piece) {
      const Range part = even_part(size, pieces, piece);
      backend_.fill(weights_.data() + part.begin, weight_byte,
                    static_cast<std::size_t>(part.size()));
    });
  }
  stage.parameters().place(weights_.data());
  stage.allocate_cache(cache_blocks_);
  const StepPlan plan = plan_of(step);
  std::vector<double> whole;
  constexpr int most = 15;
  constexpr double enough_seconds = 0.3;
  double spent = 0;
  for (int i = 0; i < most && (whole.size() < 2 || spent < enough_seconds); ++i) {
    const StageSeconds before = stage.seconds();
    (void)stage.execute(plan);
    const StageSeconds after = stage.seconds();
    const double layers = after.layers - before.layers;
    const double others = after.others - before.others;
    spent += layers + others;
    if (i > 0) {
      const double more = static_cast<double>(all_layers_) / static_cast<double>(layers_);
      whole.push_back(backend_.uses_host_memory() ? others + layers * more
                                                  : (others + layers) * more);
    }
  }
  return median(whole);
}

}  // namespace trireme
