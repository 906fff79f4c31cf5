// OpenAI's batches have a second file for the rows that failed, and so does an output of theirs:
// out.jsonl gets out.errors.jsonl.
#pragma once

#include <filesystem>
#include <memory>

#include "batch/final_output.h"

namespace trireme {

/// Where the errors of an output go: its name with ".errors.jsonl" in place of what says its form.
std::filesystem::path error_file_of(const std::filesystem::path& output);

/// The same output; if rows of it are OpenAI's, those that failed stand in that file, too, which
/// takes its name before the output does. A file of that name from an earlier job is replaced, or
/// removed where no row failed.
std::unique_ptr<FinalOutput> with_error_file(std::unique_ptr<FinalOutput> output,
                                             const FinalOutputOptions& options);

}  // namespace trireme
