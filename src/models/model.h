// What a model family provides: the model as data, and how to build any block of it for one rank.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "layers/layers.h"
#include "models/hf_config.h"
#include "models/stored_codes.h"

namespace trireme {

/// Bounds on what a config.json may say, far above any model: products of them fit in 64 bits, and
/// nothing is allocated for a number that cannot be meant.
struct SizeLimits {
  static constexpr std::int64_t layers = 4096;
  static constexpr std::int64_t hidden = std::int64_t{1} << 20;
  static constexpr std::int64_t heads = std::int64_t{1} << 14;
  static constexpr std::int64_t head_dim = std::int64_t{1} << 12;
  static constexpr std::int64_t intermediate = std::int64_t{1} << 24;
  static constexpr std::int64_t vocabulary = std::int64_t{1} << 27;
  static constexpr std::int64_t positions = std::int64_t{1} << 24;
};

/// A piece of a model that passes the hidden state on.
class Block {
 public:
  virtual ~Block() = default;
  /// embed: (ignored) -> [tokens, hidden]; layer: [tokens, hidden] -> the same, in place;
  /// head: [rows, hidden] -> logits [rows, vocab_local].
  ///
  /// Of an encoder-decoder model, a norm: [tokens, hidden] -> the same, in place. Of what is pooled
  /// (core/model_spec.h), the head: [tokens, hidden] -> [sequences, output_size]; of hidden states:
  /// [tokens, hidden] -> the same.
  virtual Tensor forward(Forward& forward, Tensor x) const = 0;
  /// Keeps what the block needs of the encoder's output `source` [tokens, hidden] until the
  /// sequences end: a decoder layer the keys and values that it will look at. Not collective.
  virtual void keep_source(Forward& forward, Tensor source) const {
    (void)forward;
    (void)source;
  }
};

/// One checkpoint's model, as its config.json describes it.
class Model {
 public:
  virtual ~Model() = default;

  const ModelSpec& spec() const { return spec_; }
  /// Chooses how matrices are kept. Before build().
  void quantize(Quantization quantization) { spec_.quantization = quantization; }
  /// Cuts row-parallel matrices into at most `most` virtual shards: on a GPU each costs a sum that
  /// passes through memory. Before build().
  void cut_less(std::int64_t most) { spec_.cut(most); }
  /// Keeps what `source` stores in four bits so (models/stored_codes.h); returns a line on what it
  /// cannot keep. Before build().
  std::string keep_codes(const TensorSource& source) { return trireme::keep_codes(spec_, source); }
  /// Forgets the layers behind the first `count`, for a rehearsal (runtime/rehearsal.h). Before
  /// build().
  void keep_layers(std::int64_t count) {
    const auto behind = spec_.blocks.begin() + 1 + count;
    spec_.blocks.erase(behind, spec_.blocks.end() - 1);
  }
  /// Reads what of the model's other files matters to it (the modules of sentence-transformers).
  /// Before build().
  virtual void heed(const ModelTexts& texts) { (void)texts; }
  /// Builds what is shared between blocks (rotary tables), in the backend's memory, for sequences
  /// up to this long. Call it once, before the first forward pass.
  virtual void prepare(const Backend& /*backend*/, std::int64_t /*max_positions*/) {}
  /// Builds spec().blocks[block]; a layer keeps its keys and values in
  /// Forward::caches[cache_layer].
  virtual std::unique_ptr<Block> build(const LayerBuilder& builder, std::int64_t block,
                                       std::int64_t cache_layer) const = 0;

 protected:
  ModelSpec spec_;
};

}  // namespace trireme
