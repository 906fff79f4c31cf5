// A verb that answers the rows of a file: its flags, its progress line, its ranks.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "batch/job.h"
#include "cli/arguments.h"
#include "cli/ranks.h"

namespace trireme {

/// -i, -o, --input-format, --prompt-template, --overwrite, --restart, --stats, and the exit codes
/// of a job. `rows`: what the help says about them.
void add_row_job(Arguments& arguments, BatchJob& job, const std::string& rows);

/// --max-restarts, --peer-timeout and --stats: of whoever starts replicas.
void add_supervision(CLI::App& app, int& max_restarts, bool& stats);

/// --join-key, or TRIREME_JOIN_KEY_FILE.
CLI::Option* add_join_key(CLI::App& app, std::string& file);

/// --truncate and --no-truncate. `cuts`: what happens where neither is given.
void add_truncation(CLI::App& app, std::optional<bool>& truncate, bool cuts);

/// Throws Error(usage) where a flag of add_row_job() or of `more` is given without -i.
void refuse_row_flags(CLI::App& app, const std::vector<std::string>& more);

/// Throws Error(usage) where a flag that concerns the choice of tokens stands beside --choices.
/// --top-k does not: it says how many labels an answer lists.
void refuse_beside_choices(CLI::App& app);

struct RowVerb {
  VerbNeeds needs;
  /// Settles what depends on the model, once it is known to be of a right kind; on one process of
  /// the run. May be empty.
  std::function<void(BatchJob& job, const ModelFacts& facts)> settle;
};

/// Runs the job in this process, over ranks that it starts, or as one of those ranks. Returns the
/// exit code. `arguments`: the verb's own, itself first.
int run_row_job(BatchJob job, const RowVerb& verb, const std::vector<std::string>& arguments);

}  // namespace trireme
