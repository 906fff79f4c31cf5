// Causal attention over the paged cache, and the small steps around it.
#include "layers/layers.h"

namespace trireme {

Attention::Attention(const ModelSpec& model, const TensorShard& shard, const Config& config)
    : config_(config), columns_{shard.heads.size(), shard.kv_heads.size(), model.head_dim} {
  const std::int64_t group = model.num_attention_heads / model.num_key_value_heads;
  for (std::int64_t head = shard.heads.begin; head < shard.heads.end; ++head) {
    kv_head_of_.push_back(static_cast<std::int32_t>(head / group - shard.kv_heads.begin));
  }
}

void Attention::rotate(Forward& forward, Tensor qkv, const RotaryTables& tables) const {
  // q and k stand side by side, so one call rotates the heads of both.
  forward.backend.rope(forward.threads, {.x = qkv.data,
                                         .ld = qkv.cols,
                                         .heads = columns_.heads + columns_.kv_heads,
                                         .head_dim = columns_.head_dim,
                                         .rotary_dim = tables.rotary_dim,
                                         .cos = tables.cos.data(),
                                         .sin = tables.sin.data(),
                                         .positions = forward.positions});
}

Tensor Attention::operator()(Forward& forward, Tensor qkv) const {
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
                                              .sequences = forward.sequences});
  return out;
}

Tensor silu_and_mul(Forward& forward, Tensor gate_up) {
  const std::int64_t n = gate_up.cols / 2;
  const Tensor out = forward.scratch.matrix(gate_up.rows, n);
  forward.backend.gated_activation(forward.threads, Activation::silu, gate_up.data, gate_up.rows, n,
                                   gate_up.cols, out.data, n);
  return out;
}

void activate(Forward& forward, Activation kind, Tensor x) {
  forward.backend.activate(forward.threads, kind, x.data, x.rows, x.cols, x.cols);
}

void add(Forward& forward, Tensor x, Tensor y) {
  forward.backend.add(forward.threads, x.data, y.data, x.size());
}

}  // namespace trireme
