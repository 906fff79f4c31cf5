#include "batch/row_reply.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <string_view>

#include "batch/json_text.h"
#include "core/hash.h"

namespace trireme {

namespace {

template <typename... Args>
void append(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

std::string_view reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::error:
      return "error";
  }
  return "error";
}

std::string error_object(const RequestError& error) {
  return fmt::format(R"({{"code":{},"message":{}}})", json_string(error.code),
                     json_string(error.message));
}

std::string error_line(const RowReply& reply, const RequestError& error) {
  return fmt::format(R"({{"id":{},"error":{}}})", reply.id, error_object(error));
}

/// Hexadecimal digits for an OpenAI id: the same for the same row of the same input.
std::string row_digits(const RowReply& reply, std::string_view purpose) {
  const std::uint64_t first = mixed(fnv1a(purpose, reply.hash) + reply.index);
  return fmt::format("{:016x}{:016x}", first, mixed(first + reply.hash));
}

std::string openai_choice(const RowReply& reply, const Result& result) {
  const std::string text = json_string(result.text);
  const std::string content =
      reply.kind == RowReply::Kind::openai_chat
          ? fmt::format(R"("message":{{"role":"assistant","content":{}}})", text)
          : fmt::format(R"("text":{})", text);
  return fmt::format(R"({{"index":0,{},"logprobs":null,"finish_reason":"{}"}})", content,
                     reason_name(result.finish_reason));
}

std::string openai_body(const RowReply& reply, const Result& result) {
  const bool chat = reply.kind == RowReply::Kind::openai_chat;
  const auto completion_tokens = static_cast<std::int64_t>(result.token_ids.size());
  return fmt::format(R"({{"id":"{}-{}","object":"{}","created":{},"model":{},"choices":[{}],)"
                     R"("usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}}}})",
                     chat ? "chatcmpl" : "cmpl", row_digits(reply, "completion"),
                     chat ? "chat.completion" : "text_completion", reply.index,
                     json_string(reply.model), openai_choice(reply, result), result.prompt_tokens,
                     completion_tokens, result.prompt_tokens + completion_tokens);
}

std::string openai_error_body(const RequestError& error) {
  return fmt::format(
      R"({{"error":{{"message":{},"type":"invalid_request_error","param":null,"code":{}}}}})",
      json_string(error.message), json_string(error.code));
}

std::string openai_line(const RowReply& reply, const Result& result) {
  return fmt::format(
      R"({{"id":"batch_req_{}","custom_id":{},"response":{{"status_code":{},"request_id":"{}",)"
      R"("body":{}}},"error":{}}})",
      row_digits(reply, "batch"), reply.custom_id, result.error ? 400 : 200,
      row_digits(reply, "request"),
      result.error ? openai_error_body(*result.error) : openai_body(reply, result),
      result.error ? error_object(*result.error) : "null");
}

template <typename T>
void append_number(std::string& out, T value) {
  if (std::isfinite(value)) {
    append(out, "{}", value);
  } else {
    out += "null";
  }
}

}  // namespace

std::string encode_result(const RowReply& reply, const Result& result) {
  if (reply.kind != RowReply::Kind::plain) return openai_line(reply, result);
  if (result.error) return error_line(reply, *result.error);
  return fmt::format(
      R"({{"id":{},"text":{},"prompt_tokens":{},"completion_tokens":{},"finish_reason":"{}"}})",
      reply.id, json_string(result.text), result.prompt_tokens, result.token_ids.size(),
      reason_name(result.finish_reason));
}

std::string encode_score(const RowReply& reply, const Score& score) {
  if (score.error) return error_line(reply, *score.error);
  std::string out = fmt::format(R"({{"id":{},"token_ids":[)", reply.id);
  for (std::size_t i = 0; i < score.token_ids.size(); ++i) {
    append(out, "{}{}", i == 0 ? "" : ",", score.token_ids[i]);
  }
  out += R"(],"logprobs":[)";
  for (std::size_t i = 0; i < score.logprobs.size(); ++i) {
    if (i != 0) out += ',';
    append_number(out, score.logprobs[i]);
  }
  out += R"(],"sum":)";
  append_number(out, score.sum);
  return out + "}";
}

}  // namespace trireme
