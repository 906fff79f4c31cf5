#include "batch/row_reply.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <numeric>
#include <string_view>
#include <utility>

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

/// The start of every plain line, up to the id.
std::string opening(const RowReply& reply) {
  return fmt::format(R"({{{}"id":{})", reply.kept, reply.id);
}

std::string error_line(const RowReply& reply, const RequestError& error) {
  return fmt::format(R"({},"error":{}}})", opening(reply), error_object(error));
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

/// `body`: JSON, or what is wrong with the row.
std::string openai_line(const RowReply& reply, const std::optional<RequestError>& error,
                        const std::string& body) {
  return fmt::format(
      R"({{"id":"batch_req_{}","custom_id":{},"response":{{"status_code":{},"request_id":"{}",)"
      R"("body":{}}},"error":{}}})",
      row_digits(reply, "batch"), reply.custom_id, error ? 400 : 200, row_digits(reply, "request"),
      error ? openai_error_body(*error) : body, error ? error_object(*error) : "null");
}

template <typename T>
void append_number(std::string& out, T value) {
  if (std::isfinite(value)) {
    append(out, "{}", value);
  } else {
    out += "null";
  }
}

template <typename T>
void append_numbers(std::string& out, const std::vector<T>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i != 0) out += ',';
    append_number(out, values[i]);
  }
}

std::string openai_embedding_body(const RowReply& reply, const Embedding& embedding) {
  std::string out = R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[)";
  append_numbers(out, embedding.values);
  append(out, R"(]}}],"model":{},"usage":{{"prompt_tokens":{},"total_tokens":{}}}}})",
         json_string(reply.model), embedding.prompt_tokens, embedding.prompt_tokens);
  return out;
}

/// The end of what is made of a whole text.
template <typename Answer>
void append_end(std::string& out, const Answer& answer) {
  append(out, R"(,"prompt_tokens":{}{}}})", answer.prompt_tokens,
         answer.truncated ? R"(,"truncated":true)" : "");
}

/// Which labels are among the `count` best; the first of equals.
std::vector<bool> best(const std::vector<float>& scores, std::size_t count) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater{}, [&](std::size_t i) { return scores[i]; });
  std::vector<bool> listed(scores.size());
  for (std::size_t i = 0; i < std::min(count, order.size()); ++i) listed[order[i]] = true;
  return listed;
}

std::size_t count_of(std::int64_t top_k, std::span<const std::string> labels) {
  return top_k > 0 ? static_cast<std::size_t>(top_k) : labels.size();
}

/// {label: value} of the listed ones.
void append_labelled(std::string& out, std::span<const std::string> labels,
                     const std::vector<float>& values, const std::vector<bool>& listed) {
  const char* comma = "";
  out += '{';
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (!listed[i]) continue;
    append(out, "{}{}:", std::exchange(comma, ","), json_string(labels[i]));
    append_number(out, values[i]);
  }
  out += '}';
}

void append_candidate(std::string& out, const MaskFill::Candidate& candidate) {
  append(out, R"({{"token":{},"token_id":{},"probability":)", json_string(candidate.token),
         candidate.token_id);
  append_number(out, candidate.probability);
  out += '}';
}

}  // namespace

std::string encode_result(const RowReply& reply, const Result& result) {
  if (result.error) return encode_error(reply, *result.error);
  if (reply.kind != RowReply::Kind::plain) {
    return openai_line(reply, {}, openai_body(reply, result));
  }
  return fmt::format(
      R"({},"text":{},"prompt_tokens":{},"completion_tokens":{},"finish_reason":"{}"}})",
      opening(reply), json_string(result.text), result.prompt_tokens, result.token_ids.size(),
      reason_name(result.finish_reason));
}

std::string encode_score(const RowReply& reply, const Score& score) {
  if (score.error) return error_line(reply, *score.error);
  std::string out = opening(reply) + R"(,"token_ids":[)";
  for (std::size_t i = 0; i < score.token_ids.size(); ++i) {
    append(out, "{}{}", i == 0 ? "" : ",", score.token_ids[i]);
  }
  out += R"(],"logprobs":[)";
  append_numbers(out, score.logprobs);
  out += R"(],"sum":)";
  append_number(out, score.sum);
  return out + "}";
}

std::string encode_embedding(const RowReply& reply, const Embedding& embedding) {
  if (embedding.error) return encode_error(reply, *embedding.error);
  if (reply.kind != RowReply::Kind::plain) {
    return openai_line(reply, {}, openai_embedding_body(reply, embedding));
  }
  std::string out = opening(reply) + R"(,"embedding":[)";
  append_numbers(out, embedding.values);
  out += ']';
  append_end(out, embedding);
  return out;
}

std::string encode_classification(const RowReply& reply, const Classification& result,
                                  std::span<const std::string> labels, std::int64_t top_k) {
  if (result.error) return encode_error(reply, *result.error);
  const auto winner = static_cast<std::size_t>(result.label);
  std::string out =
      fmt::format(R"({},"label":{},"score":)", opening(reply), json_string(labels[winner]));
  append_number(out, result.scores[winner]);
  out += R"(,"scores":)";
  append_labelled(out, labels, result.scores, best(result.logits, count_of(top_k, labels)));
  append_end(out, result);
  return out;
}

std::string encode_choice(const RowReply& reply, const Choice& choice,
                          std::span<const std::string> labels, std::int64_t top_k) {
  if (choice.error) return encode_error(reply, *choice.error);
  const auto winner = static_cast<std::size_t>(choice.label);
  if (reply.kind != RowReply::Kind::plain) {
    return encode_result(reply, {.text = labels[winner], .prompt_tokens = choice.prompt_tokens});
  }
  std::string out =
      fmt::format(R"({},"label":{},"probability":)", opening(reply), json_string(labels[winner]));
  append_number(out, choice.probabilities[winner]);
  out += R"(,"probabilities":)";
  append_labelled(out, labels, choice.probabilities,
                  best(choice.logprobs, count_of(top_k, labels)));
  append(out, R"(,"prompt_tokens":{}}})", choice.prompt_tokens);
  return out;
}

std::string encode_mask_fill(const RowReply& reply, const MaskFill& fill) {
  if (fill.error) return encode_error(reply, *fill.error);
  std::string out = opening(reply) + R"(,"masks":[)";
  for (std::size_t mask = 0; mask < fill.masks.size(); ++mask) {
    out += mask == 0 ? "[" : ",[";
    const char* comma = "";
    for (const MaskFill::Candidate& candidate : fill.masks[mask]) {
      out += std::exchange(comma, ",");
      append_candidate(out, candidate);
    }
    out += ']';
  }
  out += ']';
  append_end(out, fill);
  return out;
}

std::string encode_error(const RowReply& reply, const RequestError& error) {
  return reply.kind == RowReply::Kind::plain ? error_line(reply, error)
                                             : openai_line(reply, error, "");
}

RequestError located(const RowReply& reply, RequestError error) {
  error.message = reply.place + ": " + error.message;
  return error;
}

bool is_openai_line(std::string_view line) {
  constexpr std::string_view begin = R"({"id":"batch_req_)";
  constexpr std::size_t digits = 32;
  return line.starts_with(begin) && line.size() > begin.size() + digits &&
         line.substr(begin.size() + digits).starts_with(R"(","custom_id":)");
}

RequestError error_in(std::string_view line) {
  simdjson::dom::parser parser;
  simdjson::dom::object error;
  std::string_view code;
  std::string_view message;
  if (parser.parse(simdjson::padded_string(line))["error"].get(error) != simdjson::SUCCESS)
    return {};
  if (error["code"].get(code) != simdjson::SUCCESS) code = "";
  if (error["message"].get(message) != simdjson::SUCCESS) message = "";
  return {std::string(code), std::string(message)};
}

}  // namespace trireme
