#include "text/chat_template.h"

#include "core/error.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Sources = std::map<std::string, std::string>;  // template texts by name

/// The object in a JSON file; an empty one if there is no such file.
Json read_object(const ModelTexts& texts, std::string_view name) {
  const std::optional<std::string> text = texts.read(name);
  if (!text) return Json::object();
  const Json json = Json::parse(*text, nullptr, false);
  if (json.is_discarded()) fail(ErrorKind::input, "{}: is not valid JSON", texts.where(name));
  if (!json.is_object()) fail(ErrorKind::input, "{}: must hold a JSON object", texts.where(name));
  return json;
}

/// chat_template.jinja is the template "default"; a folder beside it holds others by name.
Sources sources_from_files(const ModelTexts& texts) {
  Sources sources;
  if (auto text = texts.read("chat_template.jinja")) sources["default"] = std::move(*text);
  for (const char* folder : {"additional_chat_templates", "chat_templates"}) {
    for (const std::string& name : texts.names_in(folder)) {
      const fs::path path(name);
      if (path.extension() != ".jinja") continue;
      sources.try_emplace(path.stem().string(), texts.require(name));
    }
  }
  return sources;
}

/// `chat_template` in a JSON file: a text, or a list of named ones.
Sources sources_from_json(const Json& config, const std::string& where) {
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return {};
  if (found->is_string()) return {{"default", found->get<std::string>()}};
  const auto refuse = [&] {
    fail(ErrorKind::input,
         "{}: chat_template must be a string or a list of objects with a name and a template",
         where);
  };
  if (!found->is_array()) refuse();
  Sources sources;
  for (const Json& entry : *found) {
    const bool well_formed = entry.is_object() && entry.contains("name") &&
                             entry["name"].is_string() && entry.contains("template") &&
                             entry["template"].is_string();
    if (!well_formed) refuse();
    sources[entry["name"].get<std::string>()] = entry["template"].get<std::string>();
  }
  return sources;
}

/// A token is a text, or an AddedToken with its text as `content`.
std::string token_text(const Json& token) {
  if (token.is_string()) return token.get<std::string>();
  const bool is_object = token.is_object() && token.contains("content");
  return is_object && token["content"].is_string() ? token["content"].get<std::string>() : "";
}

/// The variables that transformers makes of the special tokens: those that are set.
Json special_tokens(const Json& config, const Json& token_map) {
  // Directories without added_tokens_decoder are older: there the map has the last word.
  const bool map_first = !config.contains("added_tokens_decoder");
  const auto lookup = [&](const char* name) -> Json {
    for (const Json* source :
         {map_first ? &token_map : &config, map_first ? &config : &token_map}) {
      if (source->contains(name) && !(*source)[name].is_null()) return (*source)[name];
    }
    return nullptr;
  };
  Json tokens = Json::object();
  for (const char* name : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                           "cls_token", "mask_token"}) {
    const std::string text = token_text(lookup(name));
    if (!text.empty()) tokens[name] = text;
  }
  const Json additional = lookup("additional_special_tokens");
  if (additional.is_array() && !additional.empty()) {
    for (const Json& token : additional) {
      tokens["additional_special_tokens"].push_back(token_text(token));
    }
  }
  return tokens;
}

void check_messages(const Json& messages) {
  if (!messages.is_array()) fail(ErrorKind::input, "messages must be an array of objects");
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Json& message = messages[i];
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string()) {
      fail(ErrorKind::input, "message {} must be an object with a string 'role'", i);
    }
  }
}

}  // namespace

std::optional<ChatTemplate> ChatTemplate::load(const fs::path& model_directory) {
  return load(DirectoryTexts(model_directory));
}

std::optional<ChatTemplate> ChatTemplate::load(const ModelTexts& texts) {
  const Json config = read_object(texts, "tokenizer_config.json");
  std::string source = texts.where("chat_template.jinja");
  Sources sources = sources_from_files(texts);
  for (const std::string_view name : {"chat_template.json", "tokenizer_config.json"}) {
    if (!sources.empty()) break;
    source = texts.where(name);
    sources = sources_from_json(read_object(texts, name), source);
  }
  if (sources.empty()) return std::nullopt;
  ChatTemplate result;
  result.source_ = source;
  result.special_tokens_ = special_tokens(config, read_object(texts, "special_tokens_map.json"));
  for (const auto& [name, text] : sources) {
    Entry entry;
    try {
      entry.parsed.emplace(text, fmt::format("{}: chat template '{}'", source, name));
    } catch (const Error& reason) {
      entry.error = reason.what();
    }
    result.entries_.emplace(name, std::move(entry));
  }
  return result;
}

const jinja::Template& ChatTemplate::choose(const ChatOptions& options) const {
  auto chosen = entries_.end();
  if (!options.tools.is_null()) chosen = entries_.find("tool_use");
  if (chosen == entries_.end()) chosen = entries_.find("default");
  if (chosen == entries_.end()) {
    fail(ErrorKind::input, "{}: none of the model's chat templates is named 'default'", source_);
  }
  const Entry& entry = chosen->second;
  if (!entry.parsed) throw Error(ErrorKind::input, entry.error);
  return *entry.parsed;
}

std::string ChatTemplate::render(const Json& messages, const ChatOptions& options) const {
  check_messages(messages);
  if (!options.tools.is_null() && !options.tools.is_array()) {
    fail(ErrorKind::input, "tools must be an array of JSON schemas");
  }
  if (!options.extra.is_object() && !options.extra.is_null()) {
    fail(ErrorKind::input, "the template's extra variables must be an object");
  }
  const jinja::Template& chosen = choose(options);
  Json variables = special_tokens_;
  variables["documents"] = nullptr;
  for (const auto& [name, value] : options.extra.items()) variables[name] = value;
  variables["messages"] = messages;
  variables["tools"] = options.tools;
  variables["add_generation_prompt"] = options.add_generation_prompt;
  return chosen.render(variables, options.now);
}

}  // namespace trireme
