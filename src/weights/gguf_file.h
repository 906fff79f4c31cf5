// One GGUF file, open: its header, and reads of rectangles of its tensors as the numbers that they
// stand for.
#pragma once

#include <cstddef>
#include <filesystem>

#include "core/range.h"
#include "weights/file.h"
#include "weights/gguf_format.h"

namespace trireme {

class GgufFile {
 public:
  /// Opens the file and checks its header fully. Throws Error(input) naming file and tensor or key.
  explicit GgufFile(const std::filesystem::path& path);

  const std::string& name() const { return file_.name(); }
  FileStamp stamp() const { return file_.stamp(); }
  const GgufMetadata& metadata() const { return header_.metadata; }
  /// In order of name.
  const std::vector<GgufTensor>& tensors() const { return header_.tensors; }

  /// A rectangle of the tensor seen as a matrix [shape[0], product of the rest] (a vector is [1,
  /// size]), in tensor.type->dtype, row-major, into `out`, aligned to its elements; columns may
  /// begin and end within a block. tensor.type must not be null. Thread-safe.
  void read(const GgufTensor& tensor, Range rows, Range cols, std::byte* out) const;
  /// Says that these rows are read soon, so that a disk may begin.
  void will_read(const GgufTensor& tensor, Range rows) const;

 private:
  InputFile file_;
  GgufHeader header_;
};

}  // namespace trireme
