// RoBERTa and XLM-RoBERTa: BERT's layer; positions begin behind the padding's, tokens have one
// type, and the heads have names of their own. After transformers' modeling_roberta.
#include "models/bert.h"
#include "models/families.h"

namespace trireme {

std::unique_ptr<Model> make_roberta(const HfConfig& config, DType dtype) {
  BertNames names{.embeddings = "roberta.embeddings.",
                  .layers = "roberta.encoder.layer.",
                  .query = "attention.self.query",
                  .key = "attention.self.key",
                  .value = "attention.self.value",
                  .attention_output = "attention.output.dense",
                  .attention_norm = "attention.output.LayerNorm",
                  .intermediate = "intermediate.dense",
                  .output = "output.dense",
                  .output_norm = "output.LayerNorm",
                  .masked_dense = "lm_head.dense",
                  .masked_norm = "lm_head.layer_norm",
                  .masked_decoder = "lm_head.decoder",
                  .masked_bias = "lm_head",
                  .classifier_dense = "classifier.dense",
                  .classifier_out = "classifier.out_proj"};
  ModelSpec spec{.architecture = "Roberta"};
  BertConfig roberta;
  roberta.position_offset = config.integer("pad_token_id").value_or(1) + 1;
  if (roberta.position_offset < 0 || roberta.position_offset > SizeLimits::positions) {
    config.reject("pad_token_id", "the id of a token");
  }
  read_bert_sizes(config, dtype, spec, roberta);
  if (config.boolean_or("tie_word_embeddings", true)) {
    names.masked_decoder = "roberta.embeddings.word_embeddings";
  }
  return std::make_unique<BertModel>(std::move(spec), roberta, names,
                                     config.size("num_hidden_layers", SizeLimits::layers));
}

}  // namespace trireme
