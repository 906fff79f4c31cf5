// Attention over the paged cache, and the small steps around it.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "layers/layers.h"

namespace trireme {

namespace {

/// The K/V head, among those of this rank, that each of its query heads reads.
std::vector<std::int32_t> kv_heads_read(const ModelSpec& model, const TensorShard& shard) {
  const std::int64_t group = model.num_attention_heads / model.num_key_value_heads;
  std::vector<std::int32_t> kv_heads;
  for (std::int64_t head = shard.heads.begin; head < shard.heads.end; ++head) {
    kv_heads.push_back(static_cast<std::int32_t>(head / group - shard.kv_heads.begin));
  }
  return kv_heads;
}

QkvColumns columns_of(const ModelSpec& model, const TensorShard& shard) {
  return {shard.heads.size(), shard.kv_heads.size(), model.head_dim};
}

}  // namespace

Attention::Attention(const ModelSpec& model, const TensorShard& shard, const Config& config)
    : config_(config),
      columns_(columns_of(model, shard)),
      kv_head_of_(kv_heads_read(model, shard)) {}

void Attention::rotate(Forward& forward, Tensor qkv, const RotaryTables& tables) const {
  // q and k stand side by side, so one call rotates the heads of both.
  forward.backend.rope(forward.threads, {.x = qkv.data,
                                         .ld = qkv.cols,
                                         .heads = columns_.heads + columns_.kv_heads,
                                         .head_dim = columns_.head_dim,
                                         .rotary_dim = tables.rotary_dim,
                                         .cos = tables.cos.as<float>(),
                                         .sin = tables.sin.as<float>(),
                                         .positions = forward.positions});
}

Tensor Attention::operator()(Forward& forward, Tensor qkv, const ScoreDistances& distances) const {
  const KvCacheView& cache = forward.caches[static_cast<std::size_t>(config_.cache_layer)];
  forward.backend.kv_write(forward.threads, {.k = qkv.data + columns_.k(),
                                             .v = qkv.data + columns_.v(),
                                             .ld = qkv.cols,
                                             .cache = cache,
                                             .sequences = forward.sequences});
  const Tensor out = forward.scratch.matrix(qkv.rows, columns_.heads * columns_.head_dim);
  forward.backend.attention(forward.threads, {.q = qkv.data,
                                              .ldq = qkv.cols,
                                              .out = out.data,
                                              .ldo = out.cols,
                                              .heads = columns_.heads,
                                              .kv_head_of = kv_head_of_,
                                              .cache = cache,
                                              .scale = config_.scale,
                                              .window = config_.window,
                                              .distances = distances,
                                              .sequences = forward.sequences});
  return out;
}

CrossAttention::CrossAttention(const ModelSpec& model, const TensorShard& shard,
                               const Attention::Config& config)
    : config_(config),
      columns_(columns_of(model, shard)),
      kv_head_of_(kv_heads_read(model, shard)) {}

void CrossAttention::keep(Forward& forward, Tensor kv) const {
  forward.backend.kv_write(forward.threads,
                           {.k = kv.data,
                            .v = kv.data + columns_.kv_heads * columns_.head_dim,
                            .ld = kv.cols,
                            .cache = forward.caches[static_cast<std::size_t>(config_.cache_layer)],
                            .sequences = forward.sources});
}

Tensor CrossAttention::operator()(Forward& forward, Tensor q) const {
  const Tensor out = forward.scratch.matrix(q.rows, q.cols);
  forward.backend.attention(forward.threads,
                            {.q = q.data,
                             .ldq = q.cols,
                             .out = out.data,
                             .ldo = out.cols,
                             .heads = columns_.heads,
                             .kv_head_of = kv_head_of_,
                             .cache = forward.caches[static_cast<std::size_t>(config_.cache_layer)],
                             .scale = config_.scale,
                             .sequences = forward.sources});
  return out;
}

namespace {

/// The bucket of a distance key - query, as transformers' T5Attention has it.
std::int32_t bucket_of(std::int64_t distance, const RelativePositionBias::Config& config) {
  std::int64_t buckets = config.num_buckets;
  std::int64_t bucket = 0;
  if (config.bidirectional) {
    buckets /= 2;
    if (distance > 0) bucket += buckets;
    distance = std::abs(distance);
  } else {
    distance = std::max<std::int64_t>(0, -distance);
  }
  const std::int64_t exact = buckets / 2;
  if (distance < exact) return static_cast<std::int32_t>(bucket + distance);
  // In float32, as the original: a distance at the edge of a bucket must fall on the same side.
  const float ratio = std::log(static_cast<float>(distance) / static_cast<float>(exact));
  const auto range = static_cast<float>(
      std::log(static_cast<double>(config.max_distance) / static_cast<double>(exact)));
  const auto farther =
      static_cast<std::int64_t>(ratio / range * static_cast<float>(buckets - exact));
  return static_cast<std::int32_t>(bucket + std::min(exact + farther, buckets - 1));
}

}  // namespace

RelativePositionBias::RelativePositionBias(const LayerBuilder& builder, std::string_view weight,
                                           const Config& config)
    : heads_(builder.shard.heads.size()),
      reach_(config.max_distance),
      table_(*builder.vector(weight)) {
  const ScoreDistances distances{.reach = reach_};
  const auto all_heads = static_cast<std::int32_t>(builder.model.num_attention_heads);
  for (std::int64_t head = builder.shard.heads.begin; head < builder.shard.heads.end; ++head) {
    for (std::int64_t column = 0; column < distances.columns(); ++column) {
      const std::int64_t distance = column - distances.column(0);
      const std::int32_t bucket = bucket_of(std::clamp(distance, -reach_, reach_), config);
      entries_.push_back(bucket * all_heads + static_cast<std::int32_t>(head));
    }
  }
}

ScoreDistances RelativePositionBias::operator()(Forward& forward) const {
  ScoreDistances distances{.reach = reach_};
  const Tensor table = forward.scratch.matrix(heads_, distances.columns());
  forward.backend.gather(forward.threads, table_.data(), entries_, table.data);
  distances.table = table.data;
  return distances;
}

Tensor activate_and_mul(Forward& forward, Activation kind, Tensor gate_up) {
  const std::int64_t n = gate_up.cols / 2;
  const Tensor out = forward.scratch.matrix(gate_up.rows, n);
  forward.backend.gated_activation(forward.threads, kind, gate_up.data, gate_up.rows, n,
                                   gate_up.cols, out.data, n);
  return out;
}

Tensor silu_and_mul(Forward& forward, Tensor gate_up) {
  return activate_and_mul(forward, Activation::silu, gate_up);
}

Tensor pool(Forward& forward, Pooling kind, bool normalize, Tensor x) {
  const auto sequences = static_cast<std::int64_t>(forward.sequences.size());
  const Tensor out = forward.scratch.matrix(sequences, x.cols);
  forward.backend.pool(forward.threads, {.x = x.data,
                                         .ld = x.cols,
                                         .cols = x.cols,
                                         .kind = kind,
                                         .normalize = normalize,
                                         .sequences = forward.sequences,
                                         .out = out.data});
  return out;
}

void activate(Forward& forward, Activation kind, Tensor x) {
  forward.backend.activate(forward.threads, kind, x.data, x.rows, x.cols, x.cols);
}

void scale(Forward& forward, Tensor x, float factor) {
  forward.backend.scale(forward.threads, x.data, factor, x.size());
}

Tensor features(Forward& forward, std::int64_t hidden_size) {
  const Tensor x = forward.scratch.matrix(forward.rows(), hidden_size);
  TRIREME_ASSERT(static_cast<std::int64_t>(forward.features.size()) == x.size());
  forward.backend.upload(x.data, std::as_bytes(forward.features));
  return x;
}

void add(Forward& forward, Tensor x, Tensor y) {
  forward.backend.add(forward.threads, x.data, y.data, x.size());
}

}  // namespace trireme
