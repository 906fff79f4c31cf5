#include "weights/gguf_tokenizer.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "weights/gguf_pre_tokenizers.h"
#include "weights/gguf_scores.h"

namespace trireme {

namespace {

using Json = nlohmann::json;
using Strings = std::vector<std::string>;

constexpr std::string_view model_key = "tokenizer.ggml.model";
constexpr std::string_view tokens_key = "tokenizer.ggml.tokens";
constexpr std::string_view scores_key = "tokenizer.ggml.scores";
constexpr std::string_view types_key = "tokenizer.ggml.token_type";
constexpr std::string_view merges_key = "tokenizer.ggml.merges";
constexpr std::string_view beside =
    "or put the model's own tokenizer.json into the directory of the file";

/// Kinds of tokens, as files number them.
enum class TokenType : std::int64_t { normal = 1, unknown, control, user_defined, unused, byte };

const Strings& tokens_of(const GgufMetadata& metadata) {
  const Strings* tokens = metadata.strings(tokens_key);
  if (tokens == nullptr || tokens->empty()) metadata.reject(tokens_key, "a list of strings");
  return *tokens;
}

/// The id under `key` as an index of the tokens.
std::optional<std::size_t> token_id(const GgufMetadata& metadata, std::string_view key) {
  const std::optional<std::int64_t> id = metadata.integer(key);
  if (!id) return std::nullopt;
  const std::size_t count = tokens_of(metadata).size();
  if (*id < 0 || static_cast<std::uint64_t>(*id) >= count) {
    metadata.reject(key, fmt::format("the id of one of the {} tokens", count));
  }
  return static_cast<std::size_t>(*id);
}

/// Of equal tokens the last one counts, as in the converter of transformers.
Json vocabulary(const Strings& tokens) {
  Json vocabulary = Json::object();
  for (std::size_t id = 0; id < tokens.size(); ++id) vocabulary[tokens[id]] = id;
  return vocabulary;
}

Json added_token(std::size_t id, const std::string& content, bool special) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

/// Tokens that are found in the text as they are. A file without types has its special roles only.
Json added_tokens(const GgufMetadata& metadata) {
  const Strings& tokens = tokens_of(metadata);
  Json added = Json::array();
  if (const auto* types = metadata.integers(types_key)) {
    if (types->size() != tokens.size()) {
      metadata.reject(types_key, fmt::format("{}, one for each token", tokens.size()));
    }
    for (std::size_t id = 0; id < tokens.size(); ++id) {
      const auto type = static_cast<TokenType>((*types)[id]);
      const bool special = type == TokenType::control || type == TokenType::unknown;
      if (!special && type != TokenType::user_defined) continue;
      added.push_back(added_token(id, tokens[id], special));
    }
    return added;
  }
  for (const char* role : {"unknown", "bos", "eos"}) {
    const auto id = token_id(metadata, fmt::format("tokenizer.ggml.{}_token_id", role));
    if (id) added.push_back(added_token(*id, tokens[*id], true));
  }
  return added;
}

/// What is put before and after a text.
Json post_processor(const GgufMetadata& metadata, bool bos_by_default) {
  const Strings& tokens = tokens_of(metadata);
  Json single = Json::array(), special = Json::object();
  const auto add = [&](std::string_view flag, bool otherwise, std::string_view role) {
    const auto id = token_id(metadata, fmt::format("tokenizer.ggml.{}_token_id", role));
    if (!id || !metadata.boolean(flag).value_or(otherwise)) return;
    single.push_back({{"SpecialToken", {{"id", tokens[*id]}, {"type_id", 0}}}});
    special[tokens[*id]] = {{"id", tokens[*id]}, {"ids", {*id}}, {"tokens", {tokens[*id]}}};
  };
  add("tokenizer.ggml.add_bos_token", bos_by_default, "bos");
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  add("tokenizer.ggml.add_eos_token", false, "eos");
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", Json::array()},
          {"special_tokens", special}};
}

Json byte_level_tokenizer(const GgufMetadata& metadata) {
  const PreTokenizer& pre = pre_tokenizer_of(metadata);
  const Strings* merges = metadata.strings(merges_key);
  if (merges == nullptr) metadata.reject(merges_key, "a list of strings");
  Json json{{"added_tokens", added_tokens(metadata)},
            {"pre_tokenizer", pre_tokenizer_json(pre)},
            {"post_processor", post_processor(metadata, pre.add_bos)},
            {"decoder", byte_level_json(false)},
            {"model",
             {{"type", "BPE"},
              {"ignore_merges", pre.ignore_merges},
              {"vocab", vocabulary(tokens_of(metadata))},
              {"merges", *merges}}}};
  if (pre.nfc) json["normalizer"] = {{"type", "NFC"}};
  return json;
}

constexpr std::string_view space = "\u2581";  // as SentencePiece writes it

Json sentencepiece_normalizer(bool leading_space) {
  Json steps = Json::array();
  if (leading_space) steps.push_back({{"type", "Prepend"}, {"prepend", space}});
  steps.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", space}});
  return {{"type", "Sequence"}, {"normalizers", steps}};
}

Json sentencepiece_decoder(bool leading_space) {
  Json steps{{{"type", "Replace"}, {"pattern", {{"String", space}}}, {"content", " "}},
             {{"type", "ByteFallback"}},
             {{"type", "Fuse"}}};
  if (leading_space) {
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  return {{"type", "Sequence"}, {"decoders", steps}};
}

Json sentencepiece_tokenizer(const GgufMetadata& metadata) {
  const Strings& tokens = tokens_of(metadata);
  const std::vector<double>* scores = metadata.numbers(scores_key);
  if (scores == nullptr || scores->size() != tokens.size()) {
    metadata.reject(scores_key, fmt::format("a list of {} floats", tokens.size()));
  }
  if (std::ranges::any_of(*scores, [](double score) { return score != score; })) {
    metadata.reject(scores_key, "no NaN among them");
  }
  const bool leading_space = metadata.boolean("tokenizer.ggml.add_space_prefix").value_or(true);
  Json model{{"type", "BPE"},
             {"fuse_unk", true},
             {"byte_fallback", true},
             {"vocab", vocabulary(tokens)},
             {"merges", merges_of_scores(tokens, *scores)}};
  if (const auto id = token_id(metadata, "tokenizer.ggml.unknown_token_id")) {
    model["unk_token"] = tokens[*id];
  }
  return {{"added_tokens", added_tokens(metadata)},
          {"normalizer", sentencepiece_normalizer(leading_space)},
          {"post_processor", post_processor(metadata, true)},
          {"decoder", sentencepiece_decoder(leading_space)},
          {"model", std::move(model)}};
}

std::string written(const GgufMetadata& metadata, const Json& json) {
  try {
    return json.dump();
  } catch (const Json::exception&) {
    fail(ErrorKind::input,
         "{}: a token of tokenizer.ggml.tokens is not UTF-8; convert it again, {}", metadata.file(),
         beside);
  }
}

/// Named templates beside the one without a name.
Json chat_templates(const GgufMetadata& metadata) {
  constexpr std::string_view key = "tokenizer.chat_template";
  const std::string* main = metadata.string(key);
  Json named = Json::array();
  if (const Strings* names = metadata.strings("tokenizer.chat_templates")) {
    for (const std::string& name : *names) {
      const std::string* text = metadata.string(fmt::format("{}.{}", key, name));
      if (text != nullptr) named.push_back({{"name", name}, {"template", *text}});
    }
  }
  if (named.empty()) return main == nullptr ? Json() : Json(*main);
  if (main != nullptr) named.push_back({{"name", "default"}, {"template", *main}});
  return named;
}

}  // namespace

std::optional<std::string> gguf_tokenizer_json(const GgufMetadata& metadata) {
  if (const std::string* json = metadata.string("tokenizer.huggingface.json")) return *json;
  const std::string* model = metadata.string(model_key);
  if (model == nullptr || *model == "none" || *model == "no_vocab") return std::nullopt;
  if (*model == "gpt2") return written(metadata, byte_level_tokenizer(metadata));
  if (*model == "llama") return written(metadata, sentencepiece_tokenizer(metadata));
  metadata.reject(model_key, fmt::format("gpt2 or llama; use another file, {}", beside));
}

std::string gguf_tokenizer_config_json(const GgufMetadata& metadata) {
  Json config{{"chat_template", chat_templates(metadata)}};
  if (!metadata.has(tokens_key)) return written(metadata, config);
  for (const auto& [role, name] :
       {std::pair("bos", "bos_token"), std::pair("eos", "eos_token"),
        std::pair("unknown", "unk_token"), std::pair("padding", "pad_token")}) {
    const auto id = token_id(metadata, fmt::format("tokenizer.ggml.{}_token_id", role));
    if (id) config[name] = tokens_of(metadata)[*id];
  }
  return written(metadata, config);
}

}  // namespace trireme
