// Blocks of a rank that stay on disk, because no device has room for them: packed once into a file
// without a name, mapped, and read while the blocks before them are computed. The kernel keeps of
// them what memory it has to spare.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "layers/parameter_store.h"
#include "weights/tensor_source.h"

namespace trireme {

class DiskBlocks {
 public:
  DiskBlocks(const Backend& backend, std::string folder)
      : backend_(backend), folder_(std::move(folder)) {}
  ~DiskBlocks();
  DiskBlocks(const DiskBlocks&) = delete;
  DiskBlocks& operator=(const DiskBlocks&) = delete;

  /// Where the next block declares its parameters.
  ParameterStore& add() { return stores_.emplace_back(backend_); }
  std::int64_t count() const { return static_cast<std::int64_t>(stores_.size()); }
  /// Bytes of the file.
  std::size_t bytes() const { return bytes_; }

  /// Packs all blocks into the file. Throws Error(resource) when it cannot be made or the disk is
  /// too small, Error(usage) when no folder is named.
  void fill(const TensorSource& source, ThreadPool& threads, const std::function<void()>& progress);

  /// Block `index` is about to be computed: it and the one that comes next (after the last one the
  /// first, for the next step) are read.
  void begin(std::size_t index) const;
  /// It has been computed; its pages are given back to the kernel.
  void end(std::size_t index) const;

 private:
  void open_file();
  void map_file();

  const Backend& backend_;
  std::string folder_;
  std::deque<ParameterStore> stores_;
  std::vector<std::size_t> offsets_;
  std::size_t bytes_ = 0;
  int fd_ = -1;
  std::byte* data_ = nullptr;
};

}  // namespace trireme
