// Turns a conversation into the prompt that a model was trained on, by the template it ships.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "core/model_texts.h"
#include "text/jinja/template.h"

namespace trireme {

struct ChatOptions {
  bool add_generation_prompt = true;
  nlohmann::ordered_json tools = nullptr;  ///< an array of JSON schemas, or null
  /// More variables for the template (chat_template_kwargs); they override the special tokens.
  nlohmann::ordered_json extra = nlohmann::ordered_json::object();
  std::int64_t now = 0;  ///< seconds since the epoch, UTC, for strftime_now; fixed per run
};

/// The chat template of a model, read as transformers reads it.
class ChatTemplate {
 public:
  /// From chat_template.jinja with additional_chat_templates/ (or chat_templates/),
  /// chat_template.json, or tokenizer_config.json, in which `chat_template` is a string or a list
  /// of {name, template}; nothing if the model has none. Special tokens come from
  /// tokenizer_config.json and special_tokens_map.json. Throws Error(input) for files that cannot
  /// be read; a template that cannot be parsed is an error only when it is rendered, so that a
  /// model with an exotic one still completes plain prompts.
  static std::optional<ChatTemplate> load(const ModelTexts& texts);
  /// The same, of a model directory.
  static std::optional<ChatTemplate> load(const std::filesystem::path& model_directory);

  /// Throws what render() would throw whatever the messages are, without tools.
  void check() const { (void)choose({}); }

  /// `messages`: an array of objects, each with a string `role`. With several templates, tools
  /// select "tool_use", everything else "default". Throws Error(input): the template's line and
  /// what it raised, bad messages, exceeded limits.
  std::string render(const nlohmann::ordered_json& messages, const ChatOptions& options) const;

 private:
  /// A template, or why it cannot be one.
  struct Entry {
    std::optional<jinja::Template> parsed;
    std::string error;
  };
  const jinja::Template& choose(const ChatOptions& options) const;

  std::string source_;  ///< the file, for messages
  std::map<std::string, Entry> entries_;
  nlohmann::ordered_json special_tokens_ = nlohmann::ordered_json::object();
};

}  // namespace trireme
