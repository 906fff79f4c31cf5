// Token and position embeddings.
#include <array>

#include "layers/layers.h"

namespace trireme {

VocabParallelEmbedding::VocabParallelEmbedding(const LayerBuilder& builder, std::string_view weight)
    : vocab_(builder.shard.vocab),
      table_(builder.store.add_matrix({builder.part(weight)}, {builder.parameter(weight).cols},
                                      builder.model.format_of(builder.parameter(weight)))) {
  sum_.shard_count = builder.shard.size;
  for (int rank = 0; rank < builder.shard.size; ++rank) sum_.held.push_back({rank, rank + 1});
}

Tensor VocabParallelEmbedding::operator()(Forward& forward,
                                          std::span<const std::int32_t> ids) const {
  const auto rows = static_cast<std::int64_t>(ids.size());
  const Tensor x = forward.scratch.matrix(rows, table_.shape().k());
  forward.backend.embedding(forward.threads, ids, vocab_, table_.shape(), table_.data(), x.data);
  if (forward.tensor_group.size() == 1) return x;
  // One rank holds the row and the others +0, so the sum is the row itself, bit for bit.
  const std::array<const float*, 1> partial{x.data};
  forward.tensor_group.tree_all_reduce(sum_, partial, x.size(), x.data);
  return x;
}

EmbeddingTable::EmbeddingTable(const LayerBuilder& builder, std::string_view weight)
    : dim_(builder.parameter(weight).cols), table_(*builder.vector(weight)) {}

void EmbeddingTable::add_to(Forward& forward, Tensor x, std::span<const std::int32_t> indices,
                            std::int64_t offset) const {
  forward.backend.add_rows(forward.threads, x.data, dim_, table_.data(), indices, offset);
}

void EmbeddingTable::add_row_to(Forward& forward, Tensor x, std::int64_t row) const {
  forward.backend.add_bias(forward.threads, x.data, table_.data() + row * dim_, x.rows, dim_);
}

}  // namespace trireme
