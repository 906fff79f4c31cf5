// BERT and the encoders that share its layer (RoBERTa, DistilBERT): they differ in the names of
// their tensors, in how tokens are embedded, and in what stands at the end.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "models/model.h"
#include "models/sentence.h"

namespace trireme {

/// What the last block of an encoder does.
enum class EncoderHead : std::uint8_t {
  sentence,    ///< one vector for a text (SentenceModules)
  masked_lm,   ///< logits over the vocabulary
  classifier,  ///< logits over labels, from the first token
};

/// Where a family keeps its tensors, without ".weight" and ".bias".
struct BertNames {
  std::string_view embeddings;  ///< "bert.embeddings."
  std::string_view layers;      ///< "bert.encoder.layer."
  std::string_view query, key, value;
  std::string_view attention_output, attention_norm;
  std::string_view intermediate, output, output_norm;
  std::string_view masked_dense, masked_norm, masked_decoder, masked_bias;
  std::string_view classifier_dense, classifier_out;
};

struct BertConfig {
  float layer_norm_eps = 1e-12f;
  Activation activation = Activation::gelu_erf;
  std::int64_t position_offset = 0;  ///< RoBERTa's first position is padding_idx + 1
  std::int64_t type_vocab_size = 0;  ///< 0: tokens have no types
  EncoderHead head = EncoderHead::sentence;
  Activation classifier_activation = Activation::tanh;
  SentenceModules sentence;
};

class BertModel : public Model {
 public:
  /// `spec` has its sizes; blocks, cuts and what follows from the head are filled in.
  BertModel(ModelSpec spec, BertConfig config, const BertNames& names, std::int64_t layers);

  void heed(const ModelTexts& texts) override;
  std::unique_ptr<Block> build(const LayerBuilder& builder, std::int64_t block,
                               std::int64_t cache_layer) const override;

 private:
  BertConfig config_;
};

/// `hidden_act` of these families, under whichever key.
Activation read_encoder_activation(const HfConfig& config, std::string_view key);

/// What an architecture's name ends with: "...Model", "...ForMaskedLM",
/// "...ForSequenceClassification".
EncoderHead encoder_head_of(const HfConfig& config);

/// Reads what BERT and RoBERTa spell alike.
void read_bert_sizes(const HfConfig& config, DType dtype, ModelSpec& spec, BertConfig& bert);

}  // namespace trireme
