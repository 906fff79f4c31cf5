#include "models/unused_tensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "models/loader.h"

namespace trireme {

namespace {

bool is_harmless(std::string_view name) {
  constexpr std::string_view buffers[] = {"rotary_emb.inv_freq",      ".attn.bias",
                                          ".attn.masked_bias",        ".attention.bias",
                                          ".attention.masked_bias",   "embeddings.position_ids",
                                          "embeddings.token_type_ids"};
  // What pre-training left behind: a BERT is asked for its vectors, or for one task.
  constexpr std::string_view left[] = {"pooler.", "bert.pooler.", "roberta.pooler.", "cls."};
  // A tied output layer is the embedding once more; an untied one is read.
  constexpr std::string_view outputs[] = {
      "lm_head.",         "cls.predictions.decoder.", "vocab_projector.weight",
      "vocab_transform.", "vocab_layer_norm.",        "vocab_projector."};
  const auto begins = [&](std::string_view begin) { return name.starts_with(begin); };
  return std::ranges::any_of(buffers, [&](std::string_view end) { return name.ends_with(end); }) ||
         std::ranges::any_of(left, begins) || std::ranges::any_of(outputs, begins);
}

}  // namespace

std::vector<std::string> unused_tensors(const ModelSpec& model, const TensorSource& source) {
  std::set<std::string_view> used;
  for (const BlockSpec& block : model.blocks) {
    for (const ParameterSpec& parameter : block.parameters) {
      if (const TensorInfo* tensor = find_tensor(source, parameter.tensor)) {
        used.insert(tensor->name);
      }
    }
  }
  std::vector<std::string> unused;
  for (const TensorInfo* tensor : source.tensors()) {
    if (!used.contains(tensor->name) && !is_harmless(tensor->name)) unused.push_back(tensor->name);
  }
  return unused;
}

std::string unused_tensors_warning(const ModelSpec& model, const TensorSource& source) {
  constexpr std::size_t most_named = 3;
  std::vector<std::string> names = unused_tensors(model, source);
  const std::size_t count = names.size();
  if (count == 0) return "";
  names.resize(std::min(count, most_named));
  return fmt::format(
      "{}: config.json has no use for {} of the checkpoint's tensors ({}{}); if it should, it is "
      "not the config.json of these weights (num_hidden_layers?)",
      source.describe(), count, fmt::join(names, ", "), count > most_named ? ", ..." : "");
}

}  // namespace trireme
