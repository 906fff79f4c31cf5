// A verb over several ranks: this process becomes the launcher and starts itself on each of them.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "trireme/options.h"
#include "trireme/plan.h"
#include "trireme/ranks.h"

namespace trireme {

/// Makes a device map that is asked for a map of the model's blocks, and the plan its stages: once
/// for a run, as free memory changes; the launcher's ranks do as it has decided.
void place_devices(Options& options);

/// Whether the plan needs ranks and nobody (mpirun, Slurm, `trireme launch`) has started this
/// process as one.
bool needs_ranks(const Options& options);

struct RankStart {
  std::vector<std::string> arguments;  ///< of the verb, itself first
  bool share_input = false;            ///< every rank is to read standard input: see input_path()
  /// Rank 0 may wait for a person: silence is no sign of a hang.
  bool patient = false;
};

/// Starts this program on every rank of the plan and waits. Returns the first failed rank's exit
/// code, 128 + the signal that stopped the run, or 0.
int run_on_ranks(const Options& options, const RankStart& start);

/// Where a rank finds the input `path`: "-" becomes the launcher's copy of standard input, if there
/// is one. Throws Error(usage) when several MPI ranks would have to read standard input.
std::string input_path(const std::string& path, const Options& options);

/// What a model says about itself.
struct ModelFacts {
  ModelKind kind = ModelKind::decoder;
  bool says_how_long = false;  ///< generation_config.json limits the length of an answer
  std::vector<std::string> generation_warnings;  ///< for verbs that generate: print_once
};

/// A verb, and the kinds of models that it is for: none named are all.
struct VerbNeeds {
  const char* verb = "";
  std::vector<ModelKind> kinds;
};

/// Refuses models of a kind that the verb is not for: Error(usage), naming verbs that are.
void check_kind(const PlanReport& report, const VerbNeeds& needs);

/// Refuses, before anything is loaded, what check_kind() refuses, sizes that the model cannot be
/// cut into (Error(usage)) and models that do not fit in memory (Error(resource), naming flags that
/// would). By who starts the ranks, or by the first of those that mpirun or Slurm has started: see
/// Ranks. Returns what the model says about itself. Also warns of what is odd about the files.
ModelFacts check_plan_fits(const Options& options, const Hosts& hosts = {},
                           const VerbNeeds& needs = {});

/// Warnings on standard error, by one process of a run.
void print_once(const std::vector<std::string>& warnings);

/// The arguments of a verb's main function as strings.
std::vector<std::string> as_strings(int argc, char** argv);

}  // namespace trireme
