#include "batch/final_output.h"

#include "batch/fail_point.h"
#include "core/error.h"

namespace trireme {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t write_bytes = std::size_t{1} << 20;

class JsonLines : public FinalOutput {
 public:
  explicit JsonLines(const FinalOutputOptions& options)
      : options_(options), partial_(options.path.string() + ".partial") {
    fail_point("output.create.before");
    file_ = options_.files->open(partial_, Opening::replace);
    fail_point("output.create.after");
  }

  ~JsonLines() override {
    if (committed_) return;
    file_.reset();
    try {
      options_.files->remove(partial_);  // it would only take up the space that is missing
    } catch (const Error&) {             // what went wrong before is on its way already
    }
  }

  void add(std::string_view json_line, bool) override {
    ready_.append(json_line).push_back('\n');
    if (ready_.size() >= write_bytes) flush();
  }

  void commit() override {
    flush();
    fail_point("output.sync.before");
    file_->sync();
    fail_point("output.sync.after");
    file_.reset();
    fail_point("output.rename.before");
    options_.files->rename(partial_, options_.path);
    committed_ = true;
    fail_point("output.rename.after");
    fail_point("output.directory.sync.before");
    options_.files->sync_directory_of(options_.path);
    fail_point("output.directory.sync.after");
  }

 private:
  void flush() {
    fail_point("output.write.before");
    file_->write(ready_, options_.advice);
    fail_point("output.write.after");
    ready_.clear();
  }

  FinalOutputOptions options_;
  fs::path partial_;
  std::unique_ptr<File> file_;
  std::string ready_;
  bool committed_ = false;
};

}  // namespace

std::unique_ptr<FinalOutput> open_final_output(const FinalOutputOptions& options) {
  return std::make_unique<JsonLines>(options);
}

}  // namespace trireme
