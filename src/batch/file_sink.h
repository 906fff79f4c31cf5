// A file of an output on its way: written in large pieces, then made durable.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "batch/files.h"
#include "batch/row_writer.h"

namespace trireme {

class FileSink : public ByteSink {
 public:
  /// Writes the file anew. `advice`: for a write that fails.
  FileSink(Files& files, const std::filesystem::path& path, std::string advice);

  void write(std::string_view bytes) override;
  /// All is written: makes it durable and closes the file.
  void close();

 private:
  void flush();

  std::unique_ptr<File> file_;
  std::string advice_;
  std::string ready_;
};

}  // namespace trireme
