#include "tasks/prompts.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"

namespace trireme {

namespace {

using Json = nlohmann::ordered_json;

Json parse_array(const std::string& text, std::string_view what) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_array()) {
    throw RequestFailure("invalid_request", fmt::format("{} must be a JSON array", what));
  }
  return json;
}

}  // namespace

Prompts::Prompts(const ModelTexts& texts, std::int64_t vocab_size, std::int64_t now)
    : texts_(texts), vocab_size_(vocab_size), now_(now) {}

const Tokenizer& Prompts::tokenizer() const {
  if (!tokenizer_) tokenizer_ = Tokenizer::load(texts_);
  return *tokenizer_;
}

void Prompts::check_input(const Request& request) const {
  const int given = int{request.prompt.has_value()} + int{request.messages.has_value()} +
                    int{request.token_ids.has_value()};
  if (given != 1) {
    throw RequestFailure("invalid_request", "give exactly one of prompt, messages and token ids");
  }
  if (!request.token_ids) tokenizer();  // a model without one is no fault of the request
}

Encoding Prompts::encode_text(const Request& request, std::size_t max_length) const {
  check_input(request);
  if (request.text_pair && !request.prompt) {
    throw RequestFailure("invalid_request", "a second text goes with a prompt only");
  }
  Encoding text;
  try {
    if (request.token_ids) {
      text.ids = *request.token_ids;
      text.ids.resize(std::min(text.ids.size(), max_length));
    } else if (request.prompt) {
      text = tokenizer().encode_segments(*request.prompt, request.text_pair,
                                         {.max_length = max_length});
    } else {
      text = tokenizer().encode_segments(render(request), std::nullopt,
                                         {.add_special_tokens = false, .max_length = max_length});
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::resource) throw;
    throw RequestFailure("invalid_prompt", error.what());
  }
  text.type_ids.resize(text.ids.size());
  check_ids(text.ids);
  return text;
}

std::int32_t Prompts::mask_token() const {
  std::vector<std::string> candidates;
  for (const char* file : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const std::optional<std::string> text = texts_.read(file);
    if (!text) continue;
    const Json json = Json::parse(*text, nullptr, false);
    if (!json.is_object() || !json.contains("mask_token")) continue;
    const Json& token = json["mask_token"];
    if (token.is_string()) candidates.push_back(token.get<std::string>());
    if (token.is_object() && token.contains("content") && token["content"].is_string()) {
      candidates.push_back(token["content"].get<std::string>());
    }
  }
  candidates.insert(candidates.end(), {"[MASK]", "<mask>"});
  for (const std::string& candidate : candidates) {
    if (const auto id = tokenizer().token_to_id(candidate)) return *id;
  }
  fail(ErrorKind::input, "{}: the tokenizer has no mask token, so there is nothing to fill in",
       texts_.where());
}

std::vector<std::int32_t> Prompts::encode(const Request& request,
                                          std::optional<std::int32_t> bos_token) const {
  check_input(request);
  if (request.text_pair) {
    throw RequestFailure("invalid_request", "this model reads one text, not a pair");
  }
  std::vector<std::int32_t> ids;
  try {
    if (request.token_ids) {
      ids = *request.token_ids;
    } else if (request.prompt) {
      ids = tokenizer().encode(*request.prompt, true);
    } else {
      ids = tokenizer().encode(render(request), false);
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::resource) throw;  // a file that may not be read: nor is that
    throw RequestFailure("invalid_prompt", error.what());
  }
  if (ids.empty() && bos_token) ids.push_back(*bos_token);
  check_ids(ids);
  return ids;
}

std::vector<std::int32_t> Prompts::encode_plain(std::string_view text, bool special) const {
  std::vector<std::int32_t> ids;
  try {
    ids = tokenizer().encode(text, special);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::resource) throw;
    throw RequestFailure("invalid_prompt", error.what());
  }
  check_known(ids);
  return ids;
}

std::vector<std::int32_t> Prompts::encode_source(const Request& request, std::int64_t most) const {
  std::vector<std::int32_t> source = encode(request, std::nullopt);
  if (static_cast<std::int64_t>(source.size()) <= most) return source;
  if (!request.truncate.value_or(false)) {
    throw RequestFailure("context_length_exceeded",
                         fmt::format("the text has {} tokens, the model reads {}; raise "
                                     "--max-model-len, shorten it, or let it be cut with "
                                     "--truncate",
                                     source.size(), most));
  }
  return encode_text(request, static_cast<std::size_t>(most)).ids;
}

const ChatTemplate& Prompts::chat_template() const {
  if (!std::exchange(template_read_, true)) {
    try {
      template_ = ChatTemplate::load(texts_);
    } catch (const Error& error) {
      template_error_ = error.what();
    }
  }
  if (!template_error_.empty()) throw Error(ErrorKind::input, template_error_);
  if (!template_) {
    throw RequestFailure("no_chat_template",
                         "the model has no chat template, so it cannot take messages; give a "
                         "prompt instead");
  }
  return *template_;
}

std::string Prompts::render(const Request& request) const {
  const ChatTemplate& chat = chat_template();
  ChatOptions options;
  options.now = now_;
  if (request.tools) options.tools = parse_array(*request.tools, "tools");
  return chat.render(parse_array(*request.messages, "messages"), options);
}

void Prompts::check_ids(const std::vector<std::int32_t>& ids) const {
  if (ids.empty()) throw RequestFailure("empty_prompt", "the prompt has no tokens");
  check_known(ids);
}

void Prompts::check_known(const std::vector<std::int32_t>& ids) const {
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= vocab_size_) {
      throw RequestFailure(
          "invalid_token",
          fmt::format("token id {} is outside the model's vocabulary of {}", id, vocab_size_));
    }
  }
}

}  // namespace trireme
