#include "batch/file_sink.h"

#include "batch/fail_point.h"

namespace trireme {

namespace {

constexpr std::size_t write_bytes = std::size_t{1} << 20;

}  // namespace

FileSink::FileSink(Files& files, const std::filesystem::path& path, std::string advice)
    : advice_(std::move(advice)) {
  fail_point("output.create.before");
  file_ = files.open(path, Opening::replace);
  fail_point("output.create.after");
}

void FileSink::write(std::string_view bytes) {
  ready_.append(bytes);
  if (ready_.size() >= write_bytes) flush();
}

void FileSink::close() {
  flush();
  fail_point("output.sync.before");
  file_->sync();
  fail_point("output.sync.after");
  file_.reset();
}

void FileSink::flush() {
  fail_point("output.write.before");
  file_->write(ready_, advice_);
  fail_point("output.write.after");
  ready_.clear();
}

}  // namespace trireme
