// Puts a tokenizer together from the files that describe it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/json_view.h"
#include "text/tokenizer_parts.h"

namespace trireme {

class TokenizerBuilder {
 public:
  TokenizerBuilder() : parts_(std::make_unique<Tokenizer::Parts>()) {}

  /// tokenizer.json. Its "truncation" and "padding" are not looked at.
  void read_json(const text::JsonView& json);
  /// The files that came before it, which say nothing about most parts: the family does, as
  /// `transformers` converts them. Error (input) names a family that is not known.
  void read_older_files(const ModelTexts& texts);

  std::unique_ptr<Tokenizer> build();

 private:
  struct OlderFiles;
  using Roles = std::map<std::string_view, text::AddedToken>;  // the family's own special tokens

  void read_gpt2(const OlderFiles& files);
  void read_qwen2(const OlderFiles& files);
  void read_roberta(const OlderFiles& files);
  void read_bert(const OlderFiles& files);
  void read_t5(const OlderFiles& files);
  void read_unigram(const OlderFiles& files, std::int64_t extra_ids);

  void add(const text::AddedToken& token);
  void add_if_new(const text::AddedToken& token);
  void add_special_tokens(const OlderFiles& files, const Roles& roles);
  std::int32_t id_of(std::string_view role, const OlderFiles& files, const Roles& roles) const;
  void set_template(std::vector<text::TemplateItem> single, std::vector<text::TemplateItem> pair);

  std::unique_ptr<Tokenizer::Parts> parts_;
};

}  // namespace trireme
