// Writes tensors as one safetensors file, atomically.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"

namespace trireme {

struct TensorToWrite {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> data;  ///< row-major; as many bytes as shape and dtype say
};

/// Writes `tensors` so that the file at `path` is either the old one or complete. Wider dtypes come
/// first, then names in order, so that every tensor is aligned and the same tensors give the same
/// bytes. Throws Error(resource) when the disk is full or may not be written.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace trireme
