#include "weights/gguf_names.h"

#include <algorithm>
#include <array>
#include <span>

namespace trireme {

namespace {

struct Name {
  std::string_view gguf;
  std::string_view hugging_face;
  GgufLayout layout = GgufLayout::same;
};

/// Names without ".weight" and ".bias"; those of a layer follow "blk.N." and the layers' prefix.
struct Names {
  std::string_view layers;
  std::span<const Name> whole;
  std::span<const Name> layer;
};

constexpr Name llama_whole[] = {
    {"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};
constexpr Name llama_layer[] = {{"attn_norm", "input_layernorm"},
                                {"attn_q", "self_attn.q_proj", GgufLayout::interleaved_heads},
                                {"attn_k", "self_attn.k_proj", GgufLayout::interleaved_heads},
                                {"attn_v", "self_attn.v_proj"},
                                {"attn_output", "self_attn.o_proj"},
                                {"ffn_norm", "post_attention_layernorm"},
                                {"ffn_gate", "mlp.gate_proj"},
                                {"ffn_up", "mlp.up_proj"},
                                {"ffn_down", "mlp.down_proj"}};
// Qwen's rotation is stored as it is, in halves.
constexpr Name qwen_layer[] = {
    {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"}, {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"}, {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"}};
constexpr Name gpt2_whole[] = {{"token_embd", "transformer.wte"},
                               {"position_embd", "transformer.wpe"},
                               {"output_norm", "transformer.ln_f"},
                               {"output", "lm_head"}};
constexpr Name gpt2_layer[] = {{"attn_norm", "ln_1"},
                               {"attn_qkv", "attn.c_attn", GgufLayout::transposed},
                               {"attn_output", "attn.c_proj", GgufLayout::transposed},
                               {"ffn_norm", "ln_2"},
                               {"ffn_up", "mlp.c_fc", GgufLayout::transposed},
                               {"ffn_down", "mlp.c_proj", GgufLayout::transposed}};

struct Architecture {
  std::string_view name;
  Names names;
};
constexpr std::array<Architecture, 4> architectures = {
    {{"llama", {"model.layers.", llama_whole, llama_layer}},
     {"qwen2", {"model.layers.", llama_whole, qwen_layer}},
     {"qwen3", {"model.layers.", llama_whole, qwen_layer}},
     {"gpt2", {"transformer.h.", gpt2_whole, gpt2_layer}}}};

/// Cuts ".weight" or ".bias" off.
std::string_view take_ending(std::string_view& name) {
  const std::string_view ending = name.substr(std::min(name.rfind('.'), name.size()));
  name.remove_suffix(ending.size());
  return ending;
}

/// Cuts "blk.N." off and returns "N."; nothing where it is not there.
std::string_view take_layer(std::string_view& name) {
  constexpr std::string_view start = "blk.";
  if (!name.starts_with(start)) return {};
  const std::size_t end = name.find('.', start.size());
  if (end == std::string_view::npos) return {};
  const std::string_view layer = name.substr(start.size(), end + 1 - start.size());
  name.remove_prefix(end + 1);
  return layer;
}

}  // namespace

std::vector<std::string_view> gguf_architectures() {
  std::vector<std::string_view> names;
  for (const Architecture& architecture : architectures) names.push_back(architecture.name);
  return names;
}

GgufName hugging_face_name(std::string_view architecture, std::string_view tensor) {
  const auto family = std::ranges::find(architectures, architecture, &Architecture::name);
  if (family == architectures.end()) return {std::string(tensor)};
  std::string_view name = tensor;
  const std::string_view ending = take_ending(name);
  const std::string_view layer = take_layer(name);
  const std::span<const Name> names = layer.empty() ? family->names.whole : family->names.layer;
  const auto found = std::ranges::find(names, name, &Name::gguf);
  if (found == names.end()) return {std::string(tensor)};
  std::string full(layer.empty() ? std::string_view() : family->names.layers);
  full.append(layer).append(found->hugging_face).append(ending);
  const bool vector = ending == ".bias";
  const bool turned = found->layout == GgufLayout::transposed;
  return {std::move(full), vector && turned ? GgufLayout::same : found->layout};
}

std::int64_t interleaved_row(std::int64_t row, std::int64_t head_dim) {
  const std::int64_t half = head_dim / 2;
  const std::int64_t in_head = row % head_dim;
  return row - in_head + in_head % half * 2 + in_head / half;
}

}  // namespace trireme
