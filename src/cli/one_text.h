// A verb that answers one text on the terminal, over whatever ranks its plan needs.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/ranks.h"
#include "trireme/engine.h"

namespace trireme {

/// The text that was given, else what comes from standard input, without its last line end. Throws
/// Error(usage) where that is a terminal.
std::string text_or_standard_input(const std::optional<std::string>& given);

/// What `drive` does with the engine, on the rank that drives it; returns the exit code. `settle`:
/// what it needs to know of the model beforehand.
struct OneText {
  VerbNeeds needs;
  std::function<void(const Options&, const ModelFacts&)> settle;
  std::function<int(Engine&)> drive;
};

/// Throws Error(usage) for several replicas: one answers.
int answer_one_text(Options options, const OneText& work,
                    const std::vector<std::string>& arguments);

}  // namespace trireme
