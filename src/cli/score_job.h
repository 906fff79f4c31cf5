// Scoring rows over the replicas of a run: rank 0 reads, writes and drives the first replica; each
// replica scores every so-manyth row.
#pragma once

#include <string>

#include "trireme/engine.h"

namespace trireme {

struct ScoreSettings {
  Options options;
  std::string input;
  std::string output = "-";
  std::string logits;  ///< file; empty: none
  std::string input_format = "auto";
  std::string prompt_template;
  bool token_ids = false;
};

/// Collective over the ranks of the engine. `input`: where a driver reads the rows, which rank 0
/// reads twice if there are logits to write. Returns the exit code.
int score_rows(Engine& engine, const ScoreSettings& settings, const std::string& input);

}  // namespace trireme
