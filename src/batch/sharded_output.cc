#include "batch/sharded_output.h"

#include <fmt/format.h>

#include <algorithm>

#include "batch/fail_point.h"
#include "batch/file_sink.h"
#include "core/error.h"

namespace trireme {

namespace {

namespace fs = std::filesystem;

constexpr const char* success = "_SUCCESS";

class Shards : public FinalOutput {
 public:
  explicit Shards(const FinalOutputOptions& options)
      : options_(options), partial_(options.path.string() + ".partial") {
    files().remove_tree(partial_);  // of a run that was killed here
    files().make_directory(partial_);
  }

  ~Shards() override {
    if (committed_) return;
    writer_.reset();
    sink_.reset();
    try {
      files().remove_tree(partial_);
    } catch (const Error&) {  // what went wrong before is on its way already
    }
  }

  void add(std::string_view json_line, bool) override {
    TRIREME_ASSERT(row_ < options_.total_rows);
    while (row_ >= end_of(opened_)) next_shard();
    writer_->add(json_line);
    ++row_;
  }

  void commit() override {
    while (opened_ < shards()) next_shard();
    close_shard();
    // Last of all: who sees it sees all.
    fail_point("shards.mark.before");
    FileSink(files(), partial_ / success, options_.advice).close();
    fail_point("shards.mark.after");
    files().sync_directory_of(partial_ / success);
    fail_point("shards.replace.before");
    // What --overwrite replaces, or a run that ended just below.
    files().remove_tree(options_.path);
    fail_point("shards.replace.after");
    fail_point("output.rename.before");
    files().rename(partial_, options_.path);
    committed_ = true;
    fail_point("output.rename.after");
    fail_point("output.directory.sync.before");
    files().sync_directory_of(options_.path);
    fail_point("output.directory.sync.after");
  }

 private:
  Files& files() const { return *options_.files; }
  std::uint32_t shards() const { return options_.form.format.shards; }
  /// The row behind the first `count` shards.
  std::uint64_t end_of(std::uint32_t count) const {
    const std::uint64_t each = options_.total_rows / shards(),
                        more = options_.total_rows % shards();
    return each * count + std::min<std::uint64_t>(more, count);
  }

  void next_shard() {
    close_shard();
    const std::string name = shard_name(opened_, options_.form.format);
    sink_ = std::make_unique<FileSink>(files(), partial_ / name, options_.advice);
    writer_ = open_row_writer(options_.form, *sink_);
    ++opened_;
  }

  void close_shard() {
    if (!writer_) return;
    writer_->finish();
    sink_->close();
    writer_.reset();
  }

  FinalOutputOptions options_;
  fs::path partial_;
  std::unique_ptr<FileSink> sink_;
  std::unique_ptr<RowWriter> writer_;
  std::uint32_t opened_ = 0;  ///< shards, of which the last may still be open
  std::uint64_t row_ = 0;
  bool committed_ = false;
};

}  // namespace

std::unique_ptr<FinalOutput> open_sharded_output(const FinalOutputOptions& options) {
  return std::make_unique<Shards>(options);
}

std::string shard_name(std::uint32_t shard, const OutputFormat& format) {
  return fmt::format("part-{:05}-of-{:05}{}", shard, format.shards, format.extension());
}

std::string foreign_file_in(const fs::path& folder) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const bool own = name == success || name == "._SUCCESS.crc" || name.starts_with("part-") ||
                     name.starts_with(".part-");
    if (!own || !entry.is_regular_file(error)) return name;
  }
  return "";
}

}  // namespace trireme
