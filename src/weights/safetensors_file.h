// One safetensors file, open: what it holds, and reads of rectangles of its tensors.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/range.h"
#include "weights/file.h"
#include "weights/tensor_source.h"

namespace trireme {

class SafetensorsFile {
 public:
  /// Opens the file and checks its header fully. Throws Error(input) naming file and tensor.
  explicit SafetensorsFile(const std::filesystem::path& path);

  struct Tensor {
    TensorInfo info;
    std::uint64_t offset = 0;  ///< of its first byte in the file
  };

  /// In order of name.
  const std::vector<Tensor>& tensors() const { return tensors_; }
  /// Tensors whose dtype Trireme cannot read, by name, with the format's name of that dtype.
  const std::map<std::string, std::string, std::less<>>& unreadable() const { return unreadable_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::string& name() const { return file_.name(); }
  FileStamp stamp() const { return file_.stamp(); }

  /// TensorSource::read of one of tensors(). Returns how many bytes were handed out.
  std::int64_t read(const Tensor& tensor, Range rows, Range cols, std::byte* out) const;
  /// TensorSource::will_read. A slice that is no single run of the file tells when it is read.
  void will_read(const Tensor& tensor, Range rows, Range cols) const;

 private:
  InputFile file_;
  std::vector<Tensor> tensors_;
  std::map<std::string, std::string, std::less<>> unreadable_;
  std::map<std::string, std::string> metadata_;
};

/// Opens one file, whatever its name, as a TensorSource.
std::unique_ptr<TensorSource> open_safetensors(const std::filesystem::path& path);

}  // namespace trireme
