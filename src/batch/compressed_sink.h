// Bytes that are gzip- or zstd-compressed on their way. The same bytes in always give the same out:
// no time, no name.
#pragma once

#include <memory>

#include "batch/row_writer.h"

namespace trireme {

class CompressingSink : public ByteSink {
 public:
  /// Everything is in the sink behind, which is complete.
  virtual void finish() = 0;
};

/// `compression`: not none. The sink must stay.
std::unique_ptr<CompressingSink> compressing(OutputFormat::Compression compression, ByteSink& sink);

}  // namespace trireme
