// What is asked of an engine: a prompt, and how to continue it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme {

/// How to choose tokens. A field that is not set takes the model's generation_config.json, then the
/// default named here, which are those of transformers' generate().
struct SamplingParams {
  std::optional<std::int64_t> max_new_tokens;  ///< default 20, or what max_length leaves
  std::optional<bool> do_sample;     ///< default false (greedy), true when temperature > 0 is given
  std::optional<float> temperature;  ///< default 1; 0 means greedy
  std::optional<std::int64_t> top_k;        ///< default 50; 0 or -1: off
  std::optional<float> top_p;               ///< default 1
  std::optional<float> min_p;               ///< default 0 (off)
  std::optional<float> repetition_penalty;  ///< default 1 (off); over prompt and output
  std::optional<std::uint64_t> seed;        ///< default 0; with the row it fixes the random numbers
  std::optional<bool> ignore_eos;           ///< default false
  std::vector<std::string> stop;            ///< strings that end the text; not part of it
};

/// One thing to generate, or to read. Exactly one of prompt, messages and token_ids is given.
struct Request {
  std::optional<std::string> prompt;    ///< UTF-8
  std::optional<std::string> messages;  ///< a JSON array of {"role", "content"}: the chat template
  std::optional<std::vector<std::int32_t>> token_ids;
  std::optional<std::string> tools;      ///< a JSON array, for the chat template
  std::optional<std::string> text_pair;  ///< the second text of a pair; encoders only
  /// Whether a text beyond the model's limit is cut (of a pair the longer one first) or an error;
  /// not said: embed() cuts, as sentence-transformers does, the others do not.
  std::optional<bool> truncate;
  /// For choose(): the labels, each once. A label is what the prompt goes on with, letter by
  /// letter, or what the assistant would answer; docs/choices.md says how it becomes tokens.
  /// Sampling is not looked at there.
  std::vector<std::string> choices;
  SamplingParams sampling;
  std::uint64_t row = 0;  ///< keys the random numbers: the same row gives the same text anywhere
};

}  // namespace trireme
