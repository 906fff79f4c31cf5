// Writes tensors as one safetensors file, atomically; or says where each would lie, for who writes
// them as they come.
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

/// A tensor whose values come later.
struct TensorShape {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::uint64_t bytes() const;
};

/// Where the tensors of a safetensors file lie.
struct SafetensorsLayout {
  std::string start;                  ///< the first bytes: the header and its length
  std::vector<std::uint64_t> begins;  ///< of each tensor, in the order in which they were given
  std::uint64_t bytes = 0;            ///< of the whole file
};

/// Wider dtypes come first, then names in order, so that every tensor is aligned and the same
/// tensors give the same bytes. Throws Error(input) naming `file` when they are too many for the
/// format.
SafetensorsLayout lay_out_safetensors(const std::string& file,
                                      const std::vector<TensorShape>& tensors,
                                      const std::map<std::string, std::string>& metadata = {});

/// Writes `tensors` so that the file at `path` is either the old one or complete. Throws
/// Error(resource) when the disk is full or may not be written.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace trireme
