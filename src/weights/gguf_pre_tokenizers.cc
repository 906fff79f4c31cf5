#include "weights/gguf_pre_tokenizers.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace trireme {

namespace {

// The patterns are those of the models' own tokenizer.json.
constexpr PreTokenizer gpt2{.gpt2_pattern = true};
constexpr PreTokenizer llama3{
    .first = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
             R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    .ignore_merges = true,
    .add_bos = true};
constexpr PreTokenizer qwen2{.first =
                                 R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
                                 R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
                             .nfc = true};
constexpr PreTokenizer smollm{.first = R"(\p{N})", .gpt2_pattern = true};
constexpr PreTokenizer tekken{
    .first = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
             R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
             R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    .ignore_merges = true,
    .add_bos = true};

struct Named {
  std::string_view name;
  const PreTokenizer& pre;
};
constexpr Named names[] = {
    {"gpt-2", gpt2},      {"phi-2", gpt2},       {"llama-bpe", llama3}, {"llama3", llama3},
    {"llama-v3", llama3}, {"smaug-bpe", llama3}, {"qwen2", qwen2},      {"deepseek-r1-qwen", qwen2},
    {"smollm", smollm},   {"tekken", tekken}};
constexpr Named by_architecture[] = {
    {"gpt2", gpt2}, {"llama", llama3}, {"qwen2", qwen2}, {"qwen3", qwen2}};

constexpr std::string_view key = "tokenizer.ggml.pre";

}  // namespace

const PreTokenizer& pre_tokenizer_of(const GgufMetadata& metadata) {
  const std::string* name = metadata.string(key);
  const std::string* architecture = metadata.string("general.architecture");
  if ((name == nullptr || *name == "default") && architecture != nullptr) {
    const auto found = std::ranges::find(by_architecture, *architecture, &Named::name);
    if (found != std::ranges::end(by_architecture)) return found->pre;
  }
  if (name != nullptr) {
    const auto found = std::ranges::find(names, *name, &Named::name);
    if (found != std::ranges::end(names)) return found->pre;
  }
  std::vector<std::string_view> known;
  for (const Named& named : names) known.push_back(named.name);
  metadata.reject(key, fmt::format("one of {}; use another file, or put the model's own "
                                   "tokenizer.json into the directory of the file",
                                   fmt::join(known, ", ")));
}

nlohmann::json byte_level_json(bool gpt2_pattern) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", false},
          {"use_regex", gpt2_pattern}};
}

nlohmann::json pre_tokenizer_json(const PreTokenizer& pre) {
  nlohmann::json steps = nlohmann::json::array();
  if (!pre.first.empty()) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", pre.first}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  steps.push_back(byte_level_json(pre.gpt2_pattern));
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

}  // namespace trireme
