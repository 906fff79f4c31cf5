#include "weights/gguf_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "weights/gguf_names.h"

namespace trireme {

namespace {

using Json = nlohmann::json;

/// The metadata of one architecture, whose keys begin with its name.
class Keys {
 public:
  explicit Keys(const GgufContents& contents)
      : contents_(contents), metadata_(contents.metadata), architecture_(read_architecture()) {}

  const std::string& architecture() const { return architecture_; }
  const GgufContents& contents() const { return contents_; }
  bool has(std::string_view key) const { return metadata_.has(full(key)); }
  std::optional<double> number(std::string_view key) const { return metadata_.number(full(key)); }
  const std::string* string(std::string_view key) const { return metadata_.string(full(key)); }
  [[noreturn]] void reject(std::string_view key, std::string_view expected) const {
    metadata_.reject(full(key), expected);
  }

  std::optional<std::int64_t> integer(std::string_view key) const {
    return metadata_.integer_of_layers(full(key));
  }
  std::int64_t required(std::string_view key) const {
    const std::optional<std::int64_t> value = integer(key);
    if (!value || *value < 1) reject(key, "a positive integer");
    return *value;
  }

 private:
  std::string read_architecture() const {
    constexpr std::string_view key = "general.architecture";
    const std::string* name = metadata_.string(key);
    const std::vector<std::string_view> known = gguf_architectures();
    if (name == nullptr || std::ranges::count(known, *name) == 0) {
      metadata_.reject(key, fmt::format("one of those that Trireme runs from GGUF files: {}",
                                        fmt::join(known, ", ")));
    }
    return *name;
  }
  std::string full(std::string_view key) const { return fmt::format("{}.{}", architecture_, key); }

  const GgufContents& contents_;
  const GgufMetadata& metadata_;
  std::string architecture_;
};

const GgufTensor& required_tensor(const GgufContents& contents, std::string_view name) {
  const GgufTensor* tensor = contents.find(name);
  if (tensor != nullptr && tensor->shape.size() == 2) return *tensor;
  fail(ErrorKind::input, "{}: {} {}; is it a whole language model?", contents.metadata.file(),
       tensor == nullptr ? "no tensor" : "no matrix in", name);
}

/// What the file computes in: bfloat16 where matrices are quantised, else the dtype of most.
std::string_view dtype_of(const GgufContents& contents) {
  std::map<DType, std::int64_t> elements;
  for (const auto& [name, tensor] : contents.tensors) {
    if (tensor->type == nullptr) continue;
    if (tensor->type->is_quantized()) return name_of(DType::bf16);
    elements[tensor->type->dtype] += tensor->elements();
  }
  const auto most = std::ranges::max_element(elements, {}, [](const auto& e) { return e.second; });
  const bool is_wide = most == elements.end() || most->first == DType::f64;
  return name_of(is_wide ? DType::f32 : most->first);
}

/// bos_token_id, and as eos_token_id all tokens after which the model has nothing more to say.
void add_token_ids(const GgufMetadata& metadata, Json& config) {
  constexpr std::string_view bos = "tokenizer.ggml.bos_token_id";
  if (const auto id = metadata.integer(bos)) config["bos_token_id"] = *id;
  std::vector<std::int64_t> ends;
  for (const std::string_view key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                     "tokenizer.ggml.eom_token_id"}) {
    const auto id = metadata.integer(key);
    if (id && std::ranges::count(ends, *id) == 0) ends.push_back(*id);
  }
  if (!ends.empty()) config["eos_token_id"] = ends;
}

/// What convert_hf_to_gguf.py writes for Llama 3.1 to 3.3: how much longer each wavelength gets.
double llama3_factor(double wavelength, double factor) {
  constexpr double original = 8192, low = 1, high = 4;
  if (wavelength < original / high) return 1;
  if (wavelength > original / low) return factor;
  const double smooth = (original / wavelength - low) / (high - low);
  return 1 / ((1 - smooth) / factor + smooth);
}

/// The factors of rope_freqs.weight. Those of Llama 3 are said in Llama 3's own words, which give
/// Hugging Face's frequencies to the last bit.
Json rope_factors(const GgufContents& contents, double theta, std::int64_t head_dim) {
  const std::vector<float>& factors = contents.rope_factors;
  if (static_cast<std::int64_t>(factors.size()) * 2 != head_dim) {
    fail(ErrorKind::input, "{}: rope_freqs.weight holds {} factors; expected {}, one per pair",
         contents.metadata.file(), factors.size(), head_dim / 2);
  }
  for (const float factor : factors) {
    if (factor > 0 && std::isfinite(factor)) continue;
    fail(ErrorKind::input, "{}: rope_freqs.weight holds {}; expected positive numbers",
         contents.metadata.file(), factor);
  }
  const double largest = static_cast<double>(*std::ranges::max_element(factors));
  bool is_llama3 = largest > 1;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    const double exponent = 2 * static_cast<double>(i) / static_cast<double>(head_dim);
    const double wavelength = 2 * std::numbers::pi * std::pow(theta, exponent);
    const double expected = llama3_factor(wavelength, largest);
    is_llama3 = is_llama3 && std::abs(static_cast<double>(factors[i]) - expected) < 1e-4 * expected;
  }
  if (!is_llama3) return {{"rope_type", "frequency_factors"}, {"frequency_factors", factors}};
  return {{"rope_type", "llama3"},
          {"factor", largest},
          {"low_freq_factor", 1.0},
          {"high_freq_factor", 4.0},
          {"original_max_position_embeddings", 8192}};
}

/// How much llama.cpp's YaRN multiplies cosines and sines by.
double yarn_attention(double factor, double attn_factor) {
  return attn_factor * (factor > 1 ? 0.1 * std::log(factor) + 1 : 1);
}

/// Null where there is none.
Json rope_scaling(const Keys& keys, double theta, std::int64_t head_dim) {
  const std::string* given = keys.string("rope.scaling.type");
  const std::string type = given == nullptr ? "none" : *given;
  if (!keys.contents().rope_factors.empty()) {
    if (type != "none") keys.reject("rope.scaling.type", "none beside a rope_freqs.weight");
    return rope_factors(keys.contents(), theta, head_dim);
  }
  if (const auto linear = keys.number("rope.scale_linear"); linear && given == nullptr) {
    return {{"rope_type", "linear"}, {"factor", *linear}};  // before there were types
  }
  if (type == "none") return nullptr;
  const std::optional<double> factor = keys.number("rope.scaling.factor");
  if (!factor) keys.reject("rope.scaling.factor", "a number");
  const double attn_factor = keys.number("rope.scaling.attn_factor").value_or(1);
  Json scaling{{"rope_type", type}, {"factor", *factor}};
  if (type == "linear") {
    if (attn_factor != 1) keys.reject("rope.scaling.attn_factor", "1 for linear scaling");
    return scaling;
  }
  if (type != "yarn") keys.reject("rope.scaling.type", "none, linear or yarn");
  if (keys.number("rope.scaling.yarn_log_multiplier").value_or(0) != 0) {
    keys.reject("rope.scaling.yarn_log_multiplier", "none: Trireme's YaRN has no such number");
  }
  if (const auto original = keys.integer("rope.scaling.original_context_length")) {
    scaling["original_max_position_embeddings"] = *original;
  }
  for (const auto& [key, name] : {std::pair("rope.scaling.yarn_beta_fast", "beta_fast"),
                                  std::pair("rope.scaling.yarn_beta_slow", "beta_slow")}) {
    if (const auto value = keys.number(key)) scaling[name] = *value;
  }
  if (attn_factor != 1) scaling["attention_factor"] = yarn_attention(*factor, attn_factor);
  return scaling;
}

void refuse_experts(const Keys& keys) {
  if (keys.integer("expert_count").value_or(0) > 0) {
    keys.reject("expert_count", "none: Trireme runs no mixtures of experts");
  }
}

std::int64_t read_head_dim(const Keys& keys, std::int64_t hidden, std::int64_t heads) {
  constexpr std::string_view key = "attention.key_length";
  const std::int64_t head_dim = keys.has(key) ? keys.required(key) : hidden / heads;
  for (const std::string_view same : {"attention.value_length", "rope.dimension_count"}) {
    if (keys.integer(same).value_or(head_dim) != head_dim) {
      keys.reject(same, fmt::format("{}, which is how long each head's keys are", head_dim));
    }
  }
  return head_dim;
}

struct Family {
  std::string_view architecture;
  std::string_view model_type;
};

/// Mistral is a llama with a window; without one the two are the same.
Family family_of(const Keys& keys) {
  if (keys.architecture() == "qwen2") return {"Qwen2ForCausalLM", "qwen2"};
  if (keys.architecture() == "qwen3") return {"Qwen3ForCausalLM", "qwen3"};
  const bool windowed = keys.integer("attention.sliding_window").value_or(0) > 0;
  return windowed ? Family{"MistralForCausalLM", "mistral"} : Family{"LlamaForCausalLM", "llama"};
}

Json llama_config(const Keys& keys) {
  refuse_experts(keys);
  const GgufContents& contents = keys.contents();
  const Family family = family_of(keys);
  const std::int64_t hidden = keys.required("embedding_length");
  const std::int64_t heads = keys.required("attention.head_count");
  const std::int64_t head_dim = read_head_dim(keys, hidden, heads);
  const double theta = keys.number("rope.freq_base").value_or(10000);
  Json config{{"architectures", {family.architecture}},
              {"model_type", family.model_type},
              {"hidden_size", hidden},
              {"intermediate_size", keys.required("feed_forward_length")},
              {"num_hidden_layers", keys.required("block_count")},
              {"num_attention_heads", heads},
              {"num_key_value_heads", keys.integer("attention.head_count_kv").value_or(heads)},
              {"head_dim", head_dim},
              {"max_position_embeddings", keys.required("context_length")},
              {"rope_theta", theta},
              {"rope_scaling", rope_scaling(keys, theta, head_dim)},
              {"tie_word_embeddings", contents.find("output.weight") == nullptr},
              {"attention_bias", contents.find("blk.0.attn_q.bias") != nullptr},
              {"mlp_bias", contents.find("blk.0.ffn_gate.bias") != nullptr}};
  const auto eps = keys.number("attention.layer_norm_rms_epsilon");
  if (!eps) keys.reject("attention.layer_norm_rms_epsilon", "a number");
  config["rms_norm_eps"] = *eps;
  if (family.model_type == "mistral") {
    config["sliding_window"] = keys.required("attention.sliding_window");
  }
  return config;
}

Json gpt2_config(const Keys& keys) {
  const auto eps = keys.number("attention.layer_norm_epsilon");
  if (!eps) keys.reject("attention.layer_norm_epsilon", "a number");
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"model_type", "gpt2"},
          {"n_embd", keys.required("embedding_length")},
          {"n_inner", keys.required("feed_forward_length")},
          {"n_layer", keys.required("block_count")},
          {"n_head", keys.required("attention.head_count")},
          {"n_positions", keys.required("context_length")},
          {"layer_norm_epsilon", *eps},
          {"tie_word_embeddings", keys.contents().find("output.weight") == nullptr}};
}

}  // namespace

std::string gguf_config_json(const GgufContents& contents) {
  const Keys keys(contents);
  Json config = keys.architecture() == "gpt2" ? gpt2_config(keys) : llama_config(keys);
  config["vocab_size"] = required_tensor(contents, "token_embd.weight").shape.front();
  config["dtype"] = dtype_of(contents);
  add_token_ids(contents.metadata, config);
  return config.dump(2);
}

}  // namespace trireme
