// One maker per model family; each family's file says what sets it apart.
#pragma once

#include <memory>

#include "models/model.h"

namespace trireme {

std::unique_ptr<Model> make_bert(const HfConfig& config, DType dtype);
std::unique_ptr<Model> make_distilbert(const HfConfig& config, DType dtype);
std::unique_ptr<Model> make_gpt2(const HfConfig& config, DType dtype);
std::unique_ptr<Model> make_llama(const HfConfig& config, DType dtype);
std::unique_ptr<Model> make_mistral(const HfConfig& config, DType dtype);
std::unique_ptr<Model> make_qwen2(const HfConfig& config, DType dtype);
std::unique_ptr<Model> make_qwen3(const HfConfig& config, DType dtype);
std::unique_ptr<Model> make_roberta(const HfConfig& config, DType dtype);
std::unique_ptr<Model> make_t5(const HfConfig& config, DType dtype);
std::unique_ptr<Model> make_torch_transformer(const HfConfig& config, DType dtype);

}  // namespace trireme
