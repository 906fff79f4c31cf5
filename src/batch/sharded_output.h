// An output of several files in a folder, as Spark writes and reads them: contiguous ranges of
// rows, and an empty _SUCCESS that says that all are there.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "batch/final_output.h"

namespace trireme {

/// PATH.partial, a folder, until it is committed; the name is given by one rename. A folder of
/// shards of that name is replaced.
std::unique_ptr<FinalOutput> open_sharded_output(const FinalOutputOptions& options);

/// "part-00002-of-00008.jsonl".
std::string shard_name(std::uint32_t shard, const OutputFormat& format);

/// A file in the folder that is none of an output's, and would be lost if it were replaced; "" if
/// there is none.
std::string foreign_file_in(const std::filesystem::path& folder);

}  // namespace trireme
