// A model as data: an ordered list of named blocks with their parameters and how each may be cut.
// Pipeline stages are ranges of the list; tensor-parallel ranks are ranges of each parameter's cut
// dimension. Planning sees a model only as this.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/range.h"
#include "core/shard.h"
#include "core/weight_format.h"

namespace trireme {

/// One parameter: a logical [rows, cols] = [out_features, in_features] matrix, or a vector of
/// `rows` elements (cols == 0).
struct ParameterSpec {
  std::string key;     ///< within its block: "self_attn.q_proj.weight"
  std::string tensor;  ///< in the checkpoint: "model.layers.0.self_attn.q_proj.weight"
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  ShardSpec shard;
  bool transposed = false;            ///< the file holds [in, out], as GPT-2's Conv1D does
  std::int64_t tensor_row_begin = 0;  ///< where this parameter starts among the tensor's rows
  std::int64_t tensor_rows = 0;       ///< rows of the whole tensor; 0: same as `rows`
  /// Kept in the four bits in which the checkpoint has it, by groups of so many inputs; 0: not so.
  std::int64_t code_group = 0;
  bool table = false;  ///< rows are looked up, so it is kept as float32, row after row, and whole

  bool is_vector() const { return cols == 0; }
  std::int64_t elements() const { return is_vector() ? rows : rows * cols; }
  std::int64_t rows_in_file() const { return tensor_rows == 0 ? rows : tensor_rows; }
};

/// `norm`: the end of an encoder, in front of the decoder's embedding.
enum class BlockKind : std::uint8_t { embed, layer, norm, head };

/// How long an attention layer keeps keys and values: for a step that holds whole sequences, or
/// until the sequence ends.
enum class CacheUse : std::uint8_t { step, kept };

/// What the last block makes of a step's hidden states.
enum class Output : std::uint8_t {
  logits,    ///< [rows asked for, vocab_local]
  sentence,  ///< [sequences, output_size]: a whole text's vector, the same on every rank
  labels,    ///< [sequences, output_size]: its logits over labels, the same on every rank
  hidden,    ///< [tokens, hidden_size], the same on every rank
};

struct BlockSpec {
  BlockKind kind = BlockKind::layer;
  std::string name;  ///< "model.layers.3"
  std::vector<ParameterSpec> parameters;
  std::int64_t sliding_window = 0;  ///< attention sees the last so many positions; 0: all
  CacheUse cache = CacheUse::kept;  ///< of a layer

  /// Null if the block has none of that key.
  const ParameterSpec* find(std::string_view key) const {
    for (const ParameterSpec& parameter : parameters) {
      if (parameter.key == key) return &parameter;
    }
    return nullptr;
  }
};

struct ModelSpec {
  std::string architecture;  ///< "LlamaForCausalLM"
  DType dtype = DType::f32;  ///< of matrices and of the KV cache, as computed with
  Quantization quantization = Quantization::none;  ///< of matrices
  std::int64_t hidden_size = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t vocab_size = 0;
  std::int64_t max_positions = 0;
  std::int64_t token_types = 0;       ///< kinds of tokens that inputs tell apart (BERT's segments)
  std::int64_t max_input_tokens = 0;  ///< texts are cut to so many; 0: they are not
  /// Positions are told apart by their distance alone: max_positions is what the model was trained
  /// for, and more may be asked for.
  bool any_positions = false;
  std::int64_t score_distances = 0;  ///< columns of a table of ScoreDistances (kernels/backend.h)
  std::int64_t rotary_dim = 0;       ///< of each head, turned by its position; 0: none
  Output output = Output::logits;
  std::int64_t output_size = 0;  ///< of a sentence's vector, or how many labels
  /// Inputs are rows of hidden_size numbers; there is no vocabulary.
  bool takes_features = false;
  /// A token sees those before it only (in a decoder: of its own text).
  bool causal = true;
  /// A step holds whole sequences: attention looks both ways, or one vector comes of a whole text.
  bool whole_sequences = false;
  /// The first so many blocks are the encoder of an encoder-decoder model; 0: there is none.
  std::int64_t encoder_blocks = 0;
  std::vector<BlockSpec> blocks;  ///< [embed, layers..., norm,] embed, layers..., head

  VirtualShards head_shards;   ///< over num_attention_heads * head_dim elements
  VirtualShards mlp_shards;    ///< over intermediate_size
  VirtualShards vocab_shards;  ///< over vocab_size

  std::int64_t num_layers() const;
  bool is_encoder_decoder() const { return encoder_blocks > 0; }
  /// One vector comes of a whole sequence.
  bool is_pooled() const { return output == Output::sentence || output == Output::labels; }
  /// Goes on with a text.
  bool generates() const { return output == Output::logits && !whole_sequences; }
  /// The largest tensor-parallel size that leaves no rank without work.
  std::int64_t max_tensor_parallel() const;
  /// How a matrix of this model is kept.
  WeightFormat format_of(const ParameterSpec& parameter) const {
    if (parameter.code_group > 0) return {DType::u4, parameter.code_group};
    return weight_format(dtype, quantization, parameter.shard.axis == ShardAxis::vocab);
  }
  /// Fills in the virtual shards from the sizes above: with `most` > 0 at most so many of heads and
  /// of the MLP.
  void cut(std::int64_t most = 0);
};

/// The part of each cut dimension that rank `rank` of a tensor-parallel group of `size` holds.
struct TensorShard {
  int rank = 0;
  int size = 1;
  Range head_shards;  ///< virtual shards
  Range mlp_shards;
  Range heads;     ///< query heads
  Range kv_heads;  ///< every K/V head that these query heads read
  Range mlp;       ///< elements
  Range vocab;     ///< rows
};

TensorShard tensor_shard(const ModelSpec& model, int size, int rank);

/// The rows and columns of a parameter that a shard holds (cols is [0, 0) for a vector).
struct ParameterSlice {
  Range rows;
  Range cols;
  std::int64_t elements() const { return rows.size() * (cols.end == 0 ? 1 : cols.size()); }
};

ParameterSlice slice_of(const ParameterSpec& parameter, const ModelSpec& model,
                        const TensorShard& shard);

}  // namespace trireme
