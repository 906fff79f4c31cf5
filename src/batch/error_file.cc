#include "batch/error_file.h"

#include <optional>
#include <string>
#include <utility>

#include "batch/file_sink.h"
#include "batch/row_reply.h"
#include "core/error.h"

namespace trireme {

namespace {

namespace fs = std::filesystem;

class WithErrorFile : public FinalOutput {
 public:
  WithErrorFile(std::unique_ptr<FinalOutput> output, const FinalOutputOptions& options)
      : output_(std::move(output)),
        files_(*options.files),
        advice_(options.advice),
        path_(error_file_of(options.path)),
        partial_(path_.string() + ".partial") {}

  ~WithErrorFile() override {
    try {
      drop();
    } catch (const Error&) {  // what went wrong before is on its way already
    }
  }

  void add(std::string_view json_line, bool failed) override {
    output_->add(json_line, failed);
    is_openai_ = is_openai_ || is_openai_line(json_line);
    if (!failed) return;
    if (!sink_) sink_.emplace(files_, partial_, advice_);
    sink_->write(json_line);
    sink_->write("\n");
  }

  void commit() override {
    if (is_openai_) {
      put_in_place();
    } else {
      drop();
    }
    output_->commit();
  }

 private:
  void put_in_place() {
    if (sink_) {
      sink_->close();
      files_.rename(partial_, path_);
      sink_.reset();
    } else {
      files_.remove(path_);
    }
    files_.sync_directory_of(path_);
  }

  void drop() {
    if (!sink_) return;
    sink_.reset();
    files_.remove(partial_);
  }

  std::unique_ptr<FinalOutput> output_;
  Files& files_;
  std::string advice_;
  fs::path path_;
  fs::path partial_;
  std::optional<FileSink> sink_;  ///< once a row has failed
  bool is_openai_ = false;
};

}  // namespace

fs::path error_file_of(const fs::path& output) {
  fs::path stem = output;
  for (const char* const packed : {".gz", ".zst"}) {
    if (stem.extension() == packed) stem.replace_extension();
  }
  for (const char* const form :
       {".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt", ".parquet"}) {
    if (stem.extension() != form) continue;
    stem.replace_extension();
    break;
  }
  return stem.string() + ".errors.jsonl";
}

std::unique_ptr<FinalOutput> with_error_file(std::unique_ptr<FinalOutput> output,
                                             const FinalOutputOptions& options) {
  return std::make_unique<WithErrorFile>(std::move(output), options);
}

}  // namespace trireme
