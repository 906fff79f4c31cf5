#include "batch/final_output.h"

#include <utility>

#include "batch/error_file.h"
#include "batch/fail_point.h"
#include "batch/file_sink.h"
#include "batch/sharded_output.h"
#include "core/error.h"

namespace trireme {

namespace {

namespace fs = std::filesystem;

class OneFile : public FinalOutput {
 public:
  explicit OneFile(const FinalOutputOptions& options)
      : options_(options),
        partial_(options.path.string() + ".partial"),
        sink_(std::make_unique<FileSink>(*options.files, partial_, options.advice)),
        writer_(open_row_writer(options.form, *sink_)) {}

  ~OneFile() override {
    if (committed_) return;
    writer_.reset();
    sink_.reset();
    try {
      options_.files->remove(partial_);  // it would only take up the space that is missing
    } catch (const Error&) {             // what went wrong before is on its way already
    }
  }

  void add(std::string_view json_line, bool) override { writer_->add(json_line); }

  void commit() override {
    writer_->finish();
    sink_->close();
    fail_point("output.rename.before");
    options_.files->rename(partial_, options_.path);
    committed_ = true;
    fail_point("output.rename.after");
    fail_point("output.directory.sync.before");
    options_.files->sync_directory_of(options_.path);
    fail_point("output.directory.sync.after");
  }

 private:
  FinalOutputOptions options_;
  fs::path partial_;
  std::unique_ptr<FileSink> sink_;
  std::unique_ptr<RowWriter> writer_;
  bool committed_ = false;
};

}  // namespace

std::unique_ptr<FinalOutput> open_final_output(const FinalOutputOptions& options) {
  std::unique_ptr<FinalOutput> output = options.form.format.shards > 0
                                            ? open_sharded_output(options)
                                            : std::make_unique<OneFile>(options);
  return with_error_file(std::move(output), options);
}

}  // namespace trireme
