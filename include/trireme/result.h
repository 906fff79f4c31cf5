// What an engine answers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme {

enum class FinishReason : std::uint8_t {
  stop,    ///< an end-of-sequence token or a stop string
  length,  ///< max_new_tokens, or the model's context is full
  error,   ///< see Result::error
};

/// Something wrong with one request. It stops nobody else.
struct RequestError {
  std::string code;     ///< "invalid_row", "context_length_exceeded", "invalid_utf8", ...
  std::string message;  ///< what, why, and what to do
};

struct Result {
  std::string text;  ///< UTF-8, without special tokens and without the stop string
  std::vector<std::int32_t>
      token_ids;  ///< what was generated, with the end-of-sequence token if any
  std::int64_t prompt_tokens = 0;
  FinishReason finish_reason = FinishReason::stop;
  std::optional<RequestError> error;
};

/// Log-probabilities of a given text, for `score`.
struct Score {
  std::vector<std::int32_t> token_ids;
  std::vector<float> logprobs;  ///< of token_ids[1], token_ids[2], ...
  double sum = 0;               ///< of logprobs, added in order
  std::vector<float> logits;    ///< [tokens, vocab_size] if they were asked for, else empty
  std::optional<RequestError> error;
};

/// A text's vector, for `embed`.
struct Embedding {
  std::vector<float> values;
  std::int64_t prompt_tokens = 0;  ///< that were read
  bool truncated = false;          ///< the text was longer
  std::optional<RequestError> error;
};

/// What kind of text it is, for `classify`.
struct Classification {
  std::vector<float> logits;  ///< one per label of Engine::labels()
  /// From 0 to 1, as transformers' text-classification has them: softmax; the logistic function
  /// where labels do not exclude each other or there is one; the logits of a regression.
  std::vector<float> scores;
  std::int64_t label = 0;  ///< the largest score; the first of equals
  std::int64_t prompt_tokens = 0;
  bool truncated = false;
  std::optional<RequestError> error;
};

/// Which of a request's choices it is, for `choose`.
struct Choice {
  std::int64_t label = 0;  ///< its place among Request::choices; the first of equals
  /// One per label, together 1: how likely each is if it must be one of them.
  std::vector<float> probabilities;
  /// log of the probability that the prompt goes on with the label, among all that it might go on
  /// with. A label that others begin with is closed by an end-of-sequence token.
  std::vector<float> logprobs;
  std::int64_t prompt_tokens = 0;
  std::optional<RequestError> error;
};

/// What may stand where a text has the mask token, for `fill-mask`.
struct MaskFill {
  struct Candidate {
    std::int32_t token_id = 0;
    std::string token;  ///< decoded
    float probability = 0;
  };
  /// For each mask in the text, the likeliest first; the lowest id first of equals.
  std::vector<std::vector<Candidate>> masks;
  std::int64_t prompt_tokens = 0;
  bool truncated = false;
  std::optional<RequestError> error;
};

}  // namespace trireme
