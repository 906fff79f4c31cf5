// Which files an input is: what -i names, with globs and folders written out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme {

struct InputFile {
  std::string path;                    ///< "-": standard input
  std::optional<std::uint64_t> bytes;  ///< of a regular file, which can be read again
};

/// Each of `inputs` is a file, "-", a pattern ("data/*.jsonl") or a folder. What a pattern or a
/// folder stands for is in the order of its bytes, whatever the locale. Of a folder those files
/// count whose extension says rows; names that begin with '.' or '_' do not, as Spark has it, nor
/// do folders within. Empty files count only if there are no others. Throws Error(input) for what
/// is not there or stands for nothing, Error(usage) for standard input given twice.
std::vector<InputFile> resolve_inputs(const std::vector<std::string>& inputs);

}  // namespace trireme
