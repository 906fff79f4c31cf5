// DistilBERT: BERT's layer without token types, under shorter names. After transformers'
// modeling_distilbert.
#include "models/bert.h"
#include "models/families.h"

namespace trireme {

std::unique_ptr<Model> make_distilbert(const HfConfig& config, DType dtype) {
  BertNames names{.embeddings = "distilbert.embeddings.",
                  .layers = "distilbert.transformer.layer.",
                  .query = "attention.q_lin",
                  .key = "attention.k_lin",
                  .value = "attention.v_lin",
                  .attention_output = "attention.out_lin",
                  .attention_norm = "sa_layer_norm",
                  .intermediate = "ffn.lin1",
                  .output = "ffn.lin2",
                  .output_norm = "output_layer_norm",
                  .masked_dense = "vocab_transform",
                  .masked_norm = "vocab_layer_norm",
                  .masked_decoder = "vocab_projector",
                  .masked_bias = "vocab_projector",
                  .classifier_dense = "pre_classifier",
                  .classifier_out = "classifier"};
  ModelSpec spec{.architecture = "DistilBert", .dtype = dtype};
  spec.hidden_size = config.size("dim", SizeLimits::hidden);
  spec.num_attention_heads = spec.num_key_value_heads = config.size("n_heads", SizeLimits::heads);
  if (spec.hidden_size % spec.num_attention_heads != 0) {
    config.reject("dim", "a multiple of n_heads");
  }
  spec.head_dim = spec.hidden_size / spec.num_attention_heads;
  spec.intermediate_size = config.size("hidden_dim", SizeLimits::intermediate);
  spec.vocab_size = config.size("vocab_size", SizeLimits::vocabulary);
  spec.max_positions = config.size_or("max_position_embeddings", 512, SizeLimits::positions);
  BertConfig distilbert;
  distilbert.activation = read_encoder_activation(config, "activation");
  distilbert.classifier_activation = Activation::relu;
  distilbert.head = encoder_head_of(config);
  if (distilbert.head == EncoderHead::classifier) spec.output_size = config.num_labels();
  if (config.boolean_or("tie_word_embeddings", true)) {
    names.masked_decoder = "distilbert.embeddings.word_embeddings";
  }
  return std::make_unique<BertModel>(std::move(spec), distilbert, names,
                                     config.size("n_layers", SizeLimits::layers));
}

}  // namespace trireme
