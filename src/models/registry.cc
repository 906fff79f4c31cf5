#include "models/registry.h"

#include <fmt/ranges.h>

#include <array>
#include <string_view>

#include "core/error.h"
#include "models/families.h"

namespace trireme {

namespace {

struct Family {
  std::string_view architecture;
  std::string_view model_type;
  std::unique_ptr<Model> (*make)(const HfConfig& config, DType dtype);
};

// To add a family: write models/<family>.cc and add its line here.
constexpr std::array families = std::to_array<Family>({
    {"BertModel", "bert", make_bert},
    {"BertForMaskedLM", "bert", make_bert},
    {"BertForSequenceClassification", "bert", make_bert},
    {"DistilBertModel", "distilbert", make_distilbert},
    {"DistilBertForMaskedLM", "distilbert", make_distilbert},
    {"DistilBertForSequenceClassification", "distilbert", make_distilbert},
    {"GPT2LMHeadModel", "gpt2", make_gpt2},
    {"GPT2ForSequenceClassification", "gpt2", make_gpt2},
    {"LlamaForCausalLM", "llama", make_llama},
    {"LlamaForSequenceClassification", "llama", make_llama},
    {"MistralForCausalLM", "mistral", make_mistral},
    {"MistralForSequenceClassification", "mistral", make_mistral},
    {"Qwen2ForCausalLM", "qwen2", make_qwen2},
    {"Qwen2ForSequenceClassification", "qwen2", make_qwen2},
    {"Qwen3ForCausalLM", "qwen3", make_qwen3},
    {"Qwen3ForSequenceClassification", "qwen3", make_qwen3},
    {"RobertaModel", "roberta", make_roberta},
    {"RobertaForMaskedLM", "roberta", make_roberta},
    {"RobertaForSequenceClassification", "roberta", make_roberta},
    {"T5ForConditionalGeneration", "t5", make_t5},
    {"TorchTransformer", "torch_transformer", make_torch_transformer},
    {"XLMRobertaModel", "xlm-roberta", make_roberta},
    {"XLMRobertaForMaskedLM", "xlm-roberta", make_roberta},
    {"XLMRobertaForSequenceClassification", "xlm-roberta", make_roberta},
});

}  // namespace

std::vector<std::string> known_architectures() {
  std::vector<std::string> names;
  for (const Family& family : families) names.emplace_back(family.architecture);
  return names;
}

std::unique_ptr<Model> make_model(const HfConfig& config, DType dtype) {
  const std::vector<std::string> architectures = config.strings("architectures");
  const std::string model_type = config.string_or("model_type", "");
  for (const Family& family : families) {
    const bool named = !architectures.empty() && architectures.front() == family.architecture;
    if (named || (architectures.empty() && model_type == family.model_type)) {
      return family.make(config, dtype);
    }
  }
  fail(ErrorKind::input, "{}: cannot run architecture {}; known architectures: {}", config.where(),
       architectures.empty() ? "(none given, model_type \"" + model_type + "\")"
                             : architectures.front(),
       fmt::join(known_architectures(), ", "));
}

std::unique_ptr<Model> make_model(const HfConfig& config, DType dtype, const ModelTexts& texts) {
  std::unique_ptr<Model> model = make_model(config, dtype);
  model->heed(texts);
  return model;
}

}  // namespace trireme
