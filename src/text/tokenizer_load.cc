// Reading a tokenizer from tokenizer.json, or from whatever a model directory has instead.
#include "core/error.h"
#include "text/tokenizer_builder.h"

namespace trireme {

using text::JsonFile;
using text::JsonView;

void TokenizerBuilder::read_json(const JsonView& json) {
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

void TokenizerBuilder::add(const text::AddedToken& token) {
  parts_->added_tokens.add(token, *parts_->model, parts_->normalizer.get());
}

std::unique_ptr<Tokenizer> TokenizerBuilder::build() {
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(parts_)));
}

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
  } else {
    builder.read_older_files(texts);
  }
  return builder.build();
}

std::unique_ptr<Tokenizer> Tokenizer::load(const std::filesystem::path& model_directory) {
  return load(DirectoryTexts(model_directory));
}

}  // namespace trireme
