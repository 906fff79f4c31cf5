// Writing arrays as a safetensors file (https://huggingface.co/docs/safetensors).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "trireme/error.h"

namespace trireme {

/// A named array, row-major; the caller's memory.
struct NamedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::variant<std::span<const float>, std::span<const std::int64_t>> values;
};

/// Writes F32 and I64 tensors; the file at `path` is either the old one or complete. Throws
/// Error(usage) when a shape and its values disagree, Error(resource) when it cannot be written.
void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors);

}  // namespace trireme
