// From a result to the row's line of output.
#pragma once

#include <cstdint>
#include <string>

#include "trireme/result.h"

namespace trireme {

/// What must be remembered of a row until its result is there. Everything in an output line derives
/// from this and from the result: no clock, no randomness, nothing of the plan.
struct RowReply {
  enum class Kind : std::uint8_t { plain, openai_chat, openai_completion };
  Kind kind = Kind::plain;
  std::string id;         ///< JSON: the row's own id, else its index
  std::string custom_id;  ///< JSON, of an OpenAI batch row
  std::string model;      ///< as an OpenAI batch row spells it
  std::uint64_t index = 0;
  std::uint64_t hash = 0;  ///< of the row's bytes
};

/// One line, without its end: {"id", "text", "prompt_tokens", "completion_tokens",
/// "finish_reason"}, or {"id", "error": {"code", "message"}}, or OpenAI's batch output, whose ids
/// hash the row and whose `created` is the row's index.
std::string encode_result(const RowReply& reply, const Result& result);

/// {"id", "token_ids", "logprobs", "sum"}, or {"id", "error"}. Infinities become null.
std::string encode_score(const RowReply& reply, const Score& score);

}  // namespace trireme
