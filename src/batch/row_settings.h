// How the rows of one job are to be understood. Plain data, sent to every worker.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trireme/request.h"

namespace trireme {

enum class RowFormat : std::uint8_t {
  jsonl,  ///< a JSON object a line (OpenAI's batch rows too); blank lines are no rows
  text,   ///< a prompt a line; a blank line is an empty prompt, so that lines keep their numbers
  csv,    ///< RFC 4180 with a header line; blank lines are no rows
};

struct RowSettings {
  RowFormat format = RowFormat::jsonl;
  char delimiter = ',';                 ///< of CSV; a tab for TSV
  std::vector<std::string> csv_header;  ///< names of the columns
  std::string prompt_template;          ///< "Classify {question}"; empty: none
  bool chat = false;                    ///< prompts become the user's message of a chat
  bool token_ids = false;               ///< rows of text are token ids: "[1, 2]" or "1 2"
  SamplingParams sampling;              ///< of the command line; a row's own go first
};

}  // namespace trireme
