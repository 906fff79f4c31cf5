// Reading a tokenizer from the files of a model directory.
#include <algorithm>
#include <array>
#include <charconv>

#include "core/error.h"
#include "text/bpe.h"
#include "text/json_view.h"
#include "text/tokenizer_parts.h"

namespace trireme {
namespace {

using text::AddedToken;
using text::JsonFile;
using text::JsonView;

constexpr std::array<std::string_view, 5> kSpecialRoles = {"bos_token", "eos_token", "unk_token",
                                                           "pad_token", "sep_token"};

}  // namespace

/// Puts a tokenizer together from the files that describe it.
class TokenizerBuilder {
 public:
  TokenizerBuilder() : parts_(std::make_unique<Tokenizer::Parts>()) {}

  // tokenizer.json. Its "truncation" and "padding" are not looked at.
  void read_json(const JsonView& json) {
    if (const auto normalizer = json.find("normalizer")) {
      parts_->normalizer = text::read_normalizer(*normalizer);
    }
    if (const auto pre_tokenizer = json.find("pre_tokenizer")) {
      parts_->pre_tokenizer = text::read_pre_tokenizer(*pre_tokenizer);
    }
    if (const auto post_processor = json.find("post_processor")) {
      parts_->post_processor = text::read_post_processor(*post_processor);
    }
    const auto decoder = json.find("decoder");
    parts_->decoder = decoder ? text::read_decoder(*decoder) : text::make_joining_decoder();
    parts_->model = text::read_model(json.require("model"));
    if (const auto added_tokens = json.find("added_tokens")) {
      added_tokens->each([&](const JsonView& token) { add(text::read_added_token(token)); });
    }
  }

  // vocab.json and merges.txt, which say nothing about the rest: the family does.
  void read_vocabulary_files(const ModelTexts& texts) {
    const std::optional<JsonFile> config = JsonFile::read(texts, "tokenizer_config.json");
    const auto name = config ? config->root().find("tokenizer_class") : std::nullopt;
    const std::string_view family = name ? name->as_string() : "GPT2Tokenizer";
    if (family.starts_with("Qwen2Tokenizer")) {
      parts_->normalizer = text::make_nfc_normalizer();
      parts_->pre_tokenizer = text::make_qwen2_pre_tokenizer();
    } else if (family.starts_with("GPT2Tokenizer")) {
      const bool prefix = config && config->root().flag("add_prefix_space", false);
      parts_->pre_tokenizer = text::make_gpt2_pre_tokenizer(prefix);
    } else {
      fail(ErrorKind::input,
           "{}: a {} needs a tokenizer.json; vocab.json and merges.txt alone are known for "
           "GPT2Tokenizer and Qwen2Tokenizer (save_pretrained of the fast tokenizer writes one)",
           name->where(), family);
    }
    parts_->decoder = text::make_byte_level_decoder();
    parts_->model = text::read_bpe_files(texts);
    if (config) {
      read_special_tokens(config->root());
    } else {
      add_special("<|endoftext|>");
    }
  }

  std::unique_ptr<Tokenizer> build() {
    return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(parts_)));
  }

 private:
  void add(const AddedToken& token) {
    parts_->added_tokens.add(token, *parts_->model, parts_->normalizer.get());
  }

  void add_special(std::string_view content) {
    if (!parts_->added_tokens.find(content)) {
      add({.content = std::string(content), .special = true});
    }
  }

  // tokenizer_config.json: added tokens by id, the roles of the special ones, and add_bos_token.
  void read_special_tokens(const JsonView& config) {
    if (const auto decoder = config.find("added_tokens_decoder")) {
      std::vector<std::pair<std::int64_t, std::string>> order;
      for (const auto& [key, value] : decoder->as_object()) {
        std::int64_t id = -1;
        const auto result = std::from_chars(key.data(), key.data() + key.size(), id);
        if (result.ec != std::errc() || result.ptr != key.data() + key.size()) {
          fail(ErrorKind::input, "{}: \"{}\" is not an id", decoder->where(), key);
        }
        order.emplace_back(id, key);
      }
      std::ranges::sort(order);
      for (const auto& [id, key] : order) add(text::read_added_token(decoder->require(key)));
    }
    for (const std::string_view role : kSpecialRoles) {
      if (const auto token = config.find(role)) add_special(content_of(*token));
    }
    if (!config.find("bos_token")) add_special("<|endoftext|>");
    if (config.flag("add_bos_token", false)) prepend_bos(config);
  }

  // A token in tokenizer_config.json is its content, or an object that holds it.
  static std::string_view content_of(const JsonView& token) {
    return token.is_string() ? token.as_string() : token.require("content").as_string();
  }

  void prepend_bos(const JsonView& config) {
    const auto token = config.find("bos_token");
    const std::string_view bos = token ? content_of(*token) : "<|endoftext|>";
    const auto id = parts_->added_tokens.find(bos);
    if (!id) return;
    parts_->post_processor.add(text::make_template(
        {{.ids = {*id}}, {.text = 0}},
        {{.ids = {*id}}, {.text = 0}, {.ids = {*id}, .type_id = 1}, {.text = 1, .type_id = 1}},
        config.where()));
  }

  std::unique_ptr<Tokenizer::Parts> parts_;
};

std::unique_ptr<Tokenizer> Tokenizer::from_json(std::string_view json, std::string name) {
  const JsonFile file = JsonFile::parse(json, std::move(name));
  TokenizerBuilder builder;
  builder.read_json(file.root());
  return builder.build();
}

std::unique_ptr<Tokenizer> Tokenizer::load(const ModelTexts& texts) {
  TokenizerBuilder builder;
  if (const auto file = JsonFile::read(texts, "tokenizer.json")) {
    builder.read_json(file->root());
  } else if (texts.read("vocab.json")) {
    builder.read_vocabulary_files(texts);
  } else {
    fail(ErrorKind::input, "{}: no tokenizer: neither tokenizer.json nor vocab.json is there",
         texts.where());
  }
  return builder.build();
}

std::unique_ptr<Tokenizer> Tokenizer::load(const std::filesystem::path& model_directory) {
  return load(DirectoryTexts(model_directory));
}

}  // namespace trireme
