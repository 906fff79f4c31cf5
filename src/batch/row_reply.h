// From a result to the row's line of output.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trireme/result.h"

namespace trireme {

/// What must be remembered of a row until its result is there. Everything in an output line derives
/// from this and from the result: no clock, no randomness, nothing of the plan.
struct RowReply {
  enum class Kind : std::uint8_t { plain, openai_chat, openai_completion, openai_embedding };
  Kind kind = Kind::plain;
  std::string id;                    ///< JSON: the row's own id, else its index
  std::string custom_id;             ///< JSON, of an OpenAI batch row
  std::vector<std::string> choices;  ///< the row's own labels; none: the job's
  std::string model;                 ///< as an OpenAI batch row spells it
  std::string kept;   ///< the row's own columns, as fields that go first: `"a":1,"b":2,`
  std::string place;  ///< "line 3": for what an engine finds wrong
  std::uint64_t index = 0;
  std::uint64_t hash = 0;  ///< of the row's bytes
  bool has_own_id = false;

  /// JSON: what the row calls itself; empty if nothing.
  std::string_view own_id() const {
    if (!has_own_id) return {};
    return kind == Kind::plain ? id : custom_id;
  }
};

/// One line, without its end, as are all that follow: what is kept of the row, and then {"id",
/// "text", "prompt_tokens", "completion_tokens", "finish_reason"}, or {"id", "error": {"code",
/// "message"}}, or OpenAI's batch output, whose ids hash the row and whose `created` is the row's
/// index.
std::string encode_result(const RowReply& reply, const Result& result);

/// {"id", "token_ids", "logprobs", "sum"}, or {"id", "error"}. Infinities become null.
std::string encode_score(const RowReply& reply, const Score& score);

/// {"id", "embedding", "prompt_tokens"}, with "truncated": true where the text was cut; or {"id",
/// "error"}; or OpenAI's batch output of /v1/embeddings. Floats are the shortest that read back the
/// same, infinities null: as in the next two.
std::string encode_embedding(const RowReply& reply, const Embedding& embedding);

/// {"id", "label", "score", "scores": {label: score}, "prompt_tokens"}, or {"id", "error"}. The
/// scores of the `top_k` best labels, or of all (0), in the order of `labels`.
std::string encode_classification(const RowReply& reply, const Classification& result,
                                  std::span<const std::string> labels, std::int64_t top_k);

/// {"id", "label", "probability", "probabilities": {label: probability}, "prompt_tokens"}, or
/// {"id", "error"}; the probabilities of the `top_k` likeliest labels, or of all (0), in the order
/// of `labels`. In OpenAI's batch output the label is the text.
std::string encode_choice(const RowReply& reply, const Choice& choice,
                          std::span<const std::string> labels, std::int64_t top_k);

/// {"id", "masks": [[{"token", "token_id", "probability"}]], "prompt_tokens"}, or {"id", "error"}.
std::string encode_mask_fill(const RowReply& reply, const MaskFill& fill);

/// The line of a row that failed, whatever was asked for.
std::string encode_error(const RowReply& reply, const RequestError& error);

/// What an engine finds wrong with a row, with the row's place before it.
RequestError located(const RowReply& reply, RequestError error);

/// Whether a line answers an OpenAI batch row.
bool is_openai_line(std::string_view line);

/// What a failed row's line says, in any of these forms.
RequestError error_in(std::string_view line);

}  // namespace trireme
