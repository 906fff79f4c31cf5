// Every element of every parameter is on some rank, and on one rank only unless it must be shared.
#include "core/model_spec.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

ModelSpec model(std::int64_t heads, std::int64_t kv_heads, std::int64_t head_dim,
                std::int64_t intermediate, std::int64_t vocab) {
  ModelSpec spec;
  spec.hidden_size = heads * head_dim;
  spec.num_attention_heads = heads;
  spec.num_key_value_heads = kv_heads;
  spec.head_dim = head_dim;
  spec.intermediate_size = intermediate;
  spec.vocab_size = vocab;
  spec.cut();
  return spec;
}

TEST(TensorShard, CutsCoverHeadsMlpAndVocabularyInOrder) {
  for (const ModelSpec& spec : {model(8, 2, 32, 1408, 640), model(32, 8, 64, 8192, 128256),
                                model(12, 12, 64, 3072, 50257), model(9, 3, 64, 1536, 49152)}) {
    for (int size = 1; size <= spec.max_tensor_parallel(); ++size) {
      std::int64_t heads = 0;
      std::int64_t mlp = 0;
      std::int64_t vocab = 0;
      for (int rank = 0; rank < size; ++rank) {
        const TensorShard shard = tensor_shard(spec, size, rank);
        EXPECT_EQ(shard.heads.begin, heads);
        EXPECT_EQ(shard.mlp.begin, mlp);
        EXPECT_EQ(shard.vocab.begin, vocab);
        EXPECT_FALSE(shard.heads.empty() || shard.mlp.empty() || shard.vocab.empty());
        heads = shard.heads.end;
        mlp = shard.mlp.end;
        vocab = shard.vocab.end;
      }
      EXPECT_EQ(heads, spec.num_attention_heads);
      EXPECT_EQ(mlp, spec.intermediate_size);
      EXPECT_EQ(vocab, spec.vocab_size);
    }
  }
}

TEST(TensorShard, ARankHoldsEveryKvHeadThatItsQueriesRead) {
  const ModelSpec spec = model(14, 2, 64, 4864, 1000);  // Qwen2.5-0.5B's heads
  EXPECT_EQ(tensor_shard(spec, 3, 0).kv_heads, (Range{0, 1}));
  EXPECT_EQ(tensor_shard(spec, 3, 1).heads, (Range{5, 10}));
  EXPECT_EQ(tensor_shard(spec, 3, 1).kv_heads, (Range{0, 2})) << "the middle rank holds both";
  EXPECT_EQ(tensor_shard(spec, 3, 2).kv_heads, (Range{1, 2}));
}

TEST(TensorShard, MoreRanksThanKvHeadsWork) {
  const ModelSpec spec = model(8, 2, 32, 1408, 640);
  for (int rank = 0; rank < 8; ++rank) {
    EXPECT_EQ(tensor_shard(spec, 8, rank).kv_heads.size(), 1);
  }
}

TEST(SliceOf, CutsTheDeclaredDimension) {
  const ModelSpec spec = model(8, 2, 32, 1408, 640);
  const TensorShard shard = tensor_shard(spec, 2, 1);
  const ParameterSpec q{"q", "q", 256, 256, {ShardAxis::heads, 0}};
  EXPECT_EQ(slice_of(q, spec, shard).rows, (Range{128, 256}));
  EXPECT_EQ(slice_of(q, spec, shard).cols, (Range{0, 256}));
  const ParameterSpec o{"o", "o", 256, 256, {ShardAxis::heads, 1}};
  EXPECT_EQ(slice_of(o, spec, shard).cols, (Range{128, 256}));
  const ParameterSpec norm{"norm", "norm", 256, 0, {}};
  EXPECT_EQ(slice_of(norm, spec, shard).elements(), 256);
}

}  // namespace
}  // namespace trireme
