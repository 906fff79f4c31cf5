// The safetensors format (https://github.com/huggingface/safetensors): a u64 length, a JSON header
// of that length, then the tensors' bytes without holes. Pure functions over bytes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"

namespace trireme {

/// Bytes of the length that opens a file.
constexpr std::uint64_t safetensors_prefix = 8;
/// The format's limit on the header, bytes.
constexpr std::uint64_t safetensors_header_limit = 100'000'000;

struct SafetensorsEntry {
  std::string name;
  std::string dtype_name;  ///< as the file spells it
  std::optional<DType>
      dtype;  ///< nothing if the format has it but Trireme cannot read it (F8_E4M3)
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  ///< bytes from the end of the header
  std::uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  ///< in order of name
  std::map<std::string, std::string> metadata;
};

/// The format's name of a dtype, "BF16".
std::string_view safetensors_name(DType dtype);

/// Checks the length that opens `file` against its size.
std::uint64_t checked_header_length(std::uint64_t length, std::uint64_t file_size,
                                    std::string_view file);

/// Reads a header whose file holds `data_bytes` bytes after it. Throws Error(input) naming `file`
/// and the tensor unless the tensors have known dtypes, fit their shapes, and cover the data
/// exactly.
SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes,
                                           std::string_view file);

}  // namespace trireme
