#include "batch/json_row.h"

#include <limits>

#include "batch/choices.h"
#include "batch/json_text.h"
#include "batch/row_error.h"
#include "batch/sampling_fields.h"
#include "batch/unknown_fields.h"

namespace trireme {

namespace {

namespace dom = simdjson::dom;

std::string text_of(const dom::element& value) {
  return std::string(static_cast<std::string_view>(value));
}

/// A prompt may be a text, a list of token ids, or (OpenAI) a list of one text.
void read_prompt(std::string_view key, const dom::element& value, Request& request) {
  if (value.is_string()) {
    request.prompt = text_of(value);
    return;
  }
  dom::array list;
  if (value.get(list) != simdjson::SUCCESS) {
    bad_row("invalid_field", "field \"{}\" must be a string or a list of token ids, but is {}", key,
            kind_of(value));
  }
  if (list.size() == 1 && list.at(0).is_string()) {
    request.prompt = text_of(list.at(0).value());
    return;
  }
  if (list.size() > 0 && (list.at(0).is_string() || list.at(0).is_array())) {
    bad_row(
        "invalid_field",
        "field \"{}\" holds {} prompts; give each its own row, and the second text of a pair as "
        "\"text_pair\"",
        key, list.size());
  }
  request.token_ids = token_ids_of(list);
}

void read_messages(const dom::element& value, Request& request) {
  dom::array list;
  if (value.get(list) != simdjson::SUCCESS) {
    bad_row("invalid_field", "field \"messages\" must be a list, but is {}", kind_of(value));
  }
  std::size_t index = 0;
  for (const dom::element message : list) {
    const bool right = message.is_object() && message.at_key("role").is_string();
    if (!right) {
      bad_row("invalid_field", "message {} must be an object with a string \"role\"", index);
    }
    ++index;
  }
  if (index == 0) bad_row("invalid_field", "field \"messages\" is empty");
  request.messages = simdjson::minify(list);
}

void read_tools(const dom::object& row, Request& request) {
  const auto tools = find_field(row, "tools");
  dom::array list;
  if (!tools) return;
  if (tools->get(list) != simdjson::SUCCESS) {
    bad_row("invalid_field", "field \"tools\" must be a list, but is {}", kind_of(*tools));
  }
  if (list.size() > 0) request.tools = simdjson::minify(list);
}

/// Reads the one of these keys that is there into the request.
void read_input(const dom::object& row, std::initializer_list<const char*> keys, Request& request) {
  const char* found = nullptr;
  for (const char* key : keys) {
    const auto value = find_field(row, key);
    if (!value) continue;
    if (found != nullptr) bad_row("invalid_row", "both \"{}\" and \"{}\" are given", found, key);
    found = key;
    if (key == std::string_view("messages")) {
      read_messages(*value, request);
    } else {
      read_prompt(key, *value, request);
    }
  }
  if (found == nullptr) {
    bad_row("missing_field",
            "neither \"prompt\" nor \"messages\" is given; name other columns with "
            "--prompt-template");
  }
}

/// Features of OpenAI's API that change the answer and that Trireme does not have.
void refuse_unsupported(const dom::object& body) {
  std::int64_t count = 1;
  bool flag = false;
  for (const char* key : {"n", "best_of"}) {
    const auto value = find_field(body, key);
    if (value && (value->get(count) != simdjson::SUCCESS || count != 1)) {
      bad_row("unsupported_field", "field \"{}\" must be 1; give each answer its own row", key);
    }
  }
  for (const char* key : {"stream", "logprobs", "echo"}) {
    const auto value = find_field(body, key);
    if (value && (value->get(flag) != simdjson::SUCCESS || flag)) {
      bad_row("unsupported_field", "field \"{}\" is not supported; leave it out", key);
    }
  }
  const auto response_format = find_field(body, "response_format");
  if (!response_format) return;
  std::string_view type;
  if (response_format->at_key("type").get(type) != simdjson::SUCCESS || type != "text") {
    bad_row("unsupported_field", "field \"response_format\" must be of type \"text\"");
  }
}

std::string string_field(const dom::object& object, const char* key, std::string_view fallback) {
  const auto value = find_field(object, key);
  if (!value) return std::string(fallback);
  if (!value->is_string()) {
    bad_row("invalid_field", "field \"{}\" must be a string, but is {}", key, kind_of(*value));
  }
  return text_of(*value);
}

void read_truncate(const dom::object& row, Request& request) {
  const auto value = find_field(row, "truncate");
  bool flag = false;
  if (!value) return;
  if (value->get(flag) != simdjson::SUCCESS) {
    bad_row("invalid_field", "field \"truncate\" must be true or false, but is {}",
            kind_of(*value));
  }
  request.truncate = flag;
}

/// What a row's url asks for, if rows of this task may ask for it.
RowReply::Kind openai_kind(const dom::object& row, const dom::object& body, RowTask task) {
  using Kind = RowReply::Kind;
  if (task == RowTask::embed) {
    const std::string url = string_field(row, "url", "/v1/embeddings");
    if (url == "/v1/embeddings") return Kind::openai_embedding;
    bad_row("unsupported_url", "url \"{}\": only /v1/embeddings where vectors are made", url);
  }
  const bool has_messages = find_field(body, "messages").has_value();
  const std::string url =
      string_field(row, "url", has_messages ? "/v1/chat/completions" : "/v1/completions");
  if (reads_texts(task)) {
    bad_row("unsupported_url", "url \"{}\": OpenAI's API has nothing for `{}`; give plain rows",
            url, name_of(task));
  }
  if (url == "/v1/chat/completions") return Kind::openai_chat;
  if (url == "/v1/completions") return Kind::openai_completion;
  bad_row("unsupported_url", "url \"{}\": only /v1/chat/completions and /v1/completions{}", url,
          url == "/v1/embeddings" ? "; `trireme embed` makes vectors" : "");
}

/// Forms of vectors that Trireme does not give.
void refuse_other_embeddings(const dom::object& body) {
  const auto format = find_field(body, "encoding_format");
  std::string_view name;
  if (format && (format->get(name) != simdjson::SUCCESS || name != "float")) {
    bad_row("unsupported_field", "field \"encoding_format\" must be \"float\"");
  }
  if (find_field(body, "dimensions")) {
    bad_row("unsupported_field", "field \"dimensions\" is not supported; leave it out");
  }
}

}  // namespace

std::vector<std::int32_t> token_ids_of(const dom::array& list) {
  std::vector<std::int32_t> ids;
  for (const dom::element item : list) {
    std::int64_t id = -1;
    if (item.get(id) != simdjson::SUCCESS || id < 0 ||
        id > std::numeric_limits<std::int32_t>::max()) {
      bad_row("invalid_field", "token {} of the list is not a token id (a non-negative integer)",
              ids.size());
    }
    ids.push_back(static_cast<std::int32_t>(id));
  }
  if (ids.empty()) bad_row("invalid_field", "the list of token ids is empty");
  return ids;
}

void read_identity(const dom::object& row, RowReply& reply) {
  const auto custom_id = find_field(row, "custom_id");
  const auto id = find_field(row, "id");
  if (custom_id && find_field(row, "body")) {
    reply.kind = RowReply::Kind::openai_chat;
    reply.custom_id = "null";
    if (!custom_id->is_string()) {
      bad_row("invalid_field", "field \"custom_id\" must be a string, but is {}",
              kind_of(*custom_id));
    }
    reply.custom_id = json_string(text_of(*custom_id));
    reply.has_own_id = true;
  } else if (id && id->is_string()) {
    reply.id = json_string(text_of(*id));
    reply.has_own_id = true;
  } else if (id && id->is_number()) {
    reply.id = simdjson::minify(*id);
    reply.has_own_id = true;
  } else if (id) {
    bad_row("invalid_field", "field \"id\" must be a string or a number, but is {}", kind_of(*id));
  }
}

void read_plain_row(const dom::object& row, RowTask task, Request& request) {
  if (find_field(row, "custom_id") && find_field(row, "url")) {
    bad_row("missing_field",
            "an OpenAI batch row (it has \"custom_id\" and \"url\") needs a \"body\"");
  }
  const bool has_prompt =
      find_field(row, "prompt") || find_field(row, "messages") || find_field(row, "token_ids");
  // "text" and "ids" are common names of other things too: they count, in this order, only when
  // nothing else can be meant.
  if (has_prompt) {
    read_input(row, {"prompt", "messages", "token_ids"}, request);
  } else {
    read_input(row, {find_field(row, "text") ? "text" : "ids"}, request);
  }
  read_tools(row, request);
  if (!reads_texts(task)) {
    read_sampling(row, request.sampling);
    refuse_misspelled_sampling(row);
  }
  if (task != RowTask::generate) read_truncate(row, request);
}

void read_choices(const dom::object& row, std::string_view field, DecodedRow& decoded) {
  const auto value = find_field(row, field);
  if (value) decoded.reply.choices = choices_of(field, *value);
}

void read_text_pair(const dom::object& row, Request& request) {
  const auto value = find_field(row, "text_pair");
  if (!value) return;
  if (!value->is_string()) {
    bad_row("invalid_field", "field \"text_pair\" must be a string, but is {}", kind_of(*value));
  }
  request.text_pair = text_of(*value);
}

void read_openai_row(const dom::object& row, RowTask task, DecodedRow& decoded) {
  dom::object body;
  const dom::element element = *find_field(row, "body");
  if (element.get(body) != simdjson::SUCCESS) {
    bad_row("invalid_field", "field \"body\" must be an object, but is {}", kind_of(element));
  }
  decoded.reply.kind = openai_kind(row, body, task);
  if (const std::string method = string_field(row, "method", "POST"); method != "POST") {
    bad_row("invalid_field", "method \"{}\": must be POST", method);
  }
  decoded.reply.model = string_field(body, "model", "");
  if (decoded.reply.kind == RowReply::Kind::openai_embedding) {
    if (!find_field(body, "input")) bad_row("missing_field", "the body has no \"input\"");
    read_input(body, {"input"}, decoded.request);
    refuse_other_embeddings(body);
    refuse_unknown_body_fields(body, true);
    return;
  }
  const bool chat = decoded.reply.kind == RowReply::Kind::openai_chat;
  read_input(body, {chat ? "messages" : "prompt"}, decoded.request);
  read_tools(body, decoded.request);
  read_sampling(body, decoded.request.sampling);
  read_choices(body, "choices", decoded);
  refuse_unsupported(body);
  refuse_unknown_body_fields(body, false);
}

std::string fill_template(const PromptTemplate& prompt, const dom::object& row) {
  std::string text;
  for (const PromptTemplate::Piece& piece : prompt.pieces()) {
    if (!piece.is_column) {
      text += piece.text;
      continue;
    }
    const auto value = last_value(row, piece.text);
    if (!value) {
      bad_row("missing_column", "no column \"{}\", which {} names", piece.text, prompt.flag());
    }
    text += value->is_string() ? text_of(*value) : std::string(simdjson::minify(*value));
  }
  return text;
}

}  // namespace trireme
