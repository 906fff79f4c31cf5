// How the rows of one job are to be understood. Plain data, sent to every worker.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trireme/request.h"

namespace trireme {

enum class RowFormat : std::uint8_t {
  jsonl,  ///< a JSON object a line (OpenAI's batch rows too); blank lines are no rows
  text,   ///< a prompt a line; a blank line is an empty prompt, so that lines keep their numbers
  csv,    ///< RFC 4180 with a header line; blank lines are no rows
};

/// What is made of a row.
enum class RowTask : std::uint8_t {
  generate,   ///< a text that goes on, or an answer
  translate,  ///< the same of a model that answers texts, with `prefix` before each
  embed,      ///< a vector
  classify,   ///< a label, and scores
  fill_mask,  ///< tokens for each mask
  choose,     ///< one of given labels
};

/// As verbs have it: "fill-mask".
constexpr std::string_view name_of(RowTask task) {
  constexpr std::string_view names[] = {"generate", "translate", "embed",
                                        "classify", "fill-mask", "choose"};
  return names[static_cast<std::size_t>(task)];
}

/// Whole texts are read, alone or in pairs; nothing is generated.
constexpr bool reads_texts(RowTask task) {
  return task >= RowTask::embed && task <= RowTask::fill_mask;
}

struct RowSettings {
  RowFormat format = RowFormat::jsonl;
  char delimiter = ',';                 ///< of CSV; a tab for TSV
  std::vector<std::string> csv_header;  ///< names of the columns
  std::string prompt_template;          ///< "Classify {question}"; empty: none
  bool chat = false;                    ///< prompts become the user's message of a chat
  bool token_ids = false;               ///< rows of text are token ids: "[1, 2]" or "1 2"
  SamplingParams sampling;              ///< of the command line; a row's own go first
  RowTask task = RowTask::generate;
  std::string pair_template;     ///< the second text of a pair; empty: the column "text_pair"
  std::string prefix;            ///< goes before every prompt
  std::optional<bool> truncate;  ///< see Request::truncate; a row's own goes first
  /// The row's own columns that go into its answer: none, all (an empty list) or these.
  std::optional<std::vector<std::string>> keep_columns;
  std::vector<std::string> choices;  ///< labels to choose from; a row's own go first
  std::string choices_column;        ///< which holds each row's labels; empty: "choices" may
  std::int64_t top_k = 0;  ///< labels or tokens that an answer lists; 0: the task's default
};

}  // namespace trireme
