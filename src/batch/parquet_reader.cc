#include "batch/parquet_reader.h"

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>

#include <algorithm>
#include <utility>

#include "batch/arrow_json.h"
#include "batch/json_text.h"
#include "core/error.h"

namespace trireme {

namespace {

constexpr std::int64_t batch_bytes = std::int64_t{16} << 20;
constexpr std::int64_t most_rows = 4096;

void check(const arrow::Status& status, const std::string& name) {
  if (status.ok()) return;
  fail(ErrorKind::input, "{}: cannot be read as Parquet: {}", name, status.message());
}

template <typename T>
T take(arrow::Result<T> result, const std::string& name) {
  check(result.status(), name);
  return std::move(result).ValueUnsafe();
}

RowColumnType list_type(const arrow::DataType& items) {
  if (items.id() == arrow::Type::FLOAT) return RowColumnType::reals32;
  if (items.id() == arrow::Type::DOUBLE) return RowColumnType::reals64;
  const bool integers = arrow::is_integer(items.id()) && items.id() != arrow::Type::UINT64;
  return integers ? RowColumnType::integers : RowColumnType::text;
}

/// As which a column is written again: other types as the text of their JSON.
RowColumnType type_of(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::BOOL:
      return RowColumnType::boolean;
    case arrow::Type::UINT64:
      return RowColumnType::unsigned_integer;
    case arrow::Type::FLOAT:
      return RowColumnType::real32;
    case arrow::Type::DOUBLE:
      return RowColumnType::real64;
    case arrow::Type::LIST:
    case arrow::Type::LARGE_LIST:
    case arrow::Type::FIXED_SIZE_LIST:
      return list_type(*static_cast<const arrow::BaseListType&>(type).value_type());
    default:
      return arrow::is_integer(type.id()) ? RowColumnType::integer : RowColumnType::text;
  }
}

class ArrowRows : public ParquetRows {
 public:
  explicit ArrowRows(std::string path) : name_(std::move(path)) {
    parquet::ReaderProperties properties(arrow::system_memory_pool());
    properties.enable_buffered_stream();  // pages as they are needed, no whole column chunks
    parquet::arrow::FileReaderBuilder builder;
    check(builder.Open(take(arrow::io::ReadableFile::Open(name_), name_), properties), name_);
    parquet::ArrowReaderProperties wishes(false);  // no threads
    wishes.set_pre_buffer(false);
    wishes.set_batch_size(rows_at_once(*builder.raw_reader()->metadata()));
    check(builder.memory_pool(arrow::system_memory_pool())->properties(wishes)->Build(&file_),
          name_);
    read_schema();
    batches_ = take(file_->GetRecordBatchReader(), name_);
  }

  std::size_t read(std::span<char> out) override {
    while (position_ == text_.size() && next_rows()) {
    }
    const std::size_t count = std::min(out.size(), text_.size() - position_);
    text_.copy(out.data(), count, position_);
    position_ += count;
    return count;
  }

  const std::string& name() const override { return name_; }
  const std::vector<RowColumn>& columns() const override { return columns_; }

 private:
  /// So many that they take about `batch_bytes`, by what the file says of itself.
  static std::int64_t rows_at_once(const parquet::FileMetaData& metadata) {
    std::int64_t bytes = 0;
    for (int group = 0; group < metadata.num_row_groups(); ++group) {
      bytes += std::max<std::int64_t>(metadata.RowGroup(group)->total_byte_size(), 0);
    }
    const std::int64_t each = bytes / std::max<std::int64_t>(metadata.num_rows(), 1) + 1;
    return std::clamp<std::int64_t>(batch_bytes / each, 1, most_rows);
  }

  void read_schema() {
    std::shared_ptr<arrow::Schema> schema;
    check(file_->GetSchema(&schema), name_);
    for (const auto& field : schema->fields()) {
      columns_.push_back({field->name(), type_of(*field->type())});
    }
  }

  /// The next row as a line, of the next batch where this one is done; false at the end.
  bool next_rows() {
    while (!batch_ || row_ == batch_->num_rows()) {
      check(batches_->ReadNext(&batch_), name_);
      if (!batch_) return false;
      row_ = 0;
    }
    text_.assign(1, '{');
    position_ = 0;
    for (int column = 0; column < batch_->num_columns(); ++column) {
      if (column != 0) text_ += ',';
      append_json_string(text_, columns_[static_cast<std::size_t>(column)].name);
      text_ += ':';
      append_json(text_, *batch_->column(column), row_);
    }
    text_ += "}\n";
    ++row_;
    return true;
  }

  std::string name_;
  std::unique_ptr<parquet::arrow::FileReader> file_;
  std::vector<RowColumn> columns_;
  std::shared_ptr<arrow::RecordBatchReader> batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  std::int64_t row_ = 0;  ///< of the batch
  std::string text_;
  std::size_t position_ = 0;
};

/// What Arrow throws besides what it returns.
template <typename Action>
auto guarded(const std::string& name, Action action) {
  try {
    return action();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail(ErrorKind::input, "{}: cannot be read as Parquet: {}", name, error.what());
  }
}

class GuardedRows : public ParquetRows {
 public:
  explicit GuardedRows(const std::string& path)
      : rows_(guarded(path, [&] { return std::make_unique<ArrowRows>(path); })) {}
  std::size_t read(std::span<char> out) override {
    return guarded(name(), [&] { return rows_->read(out); });
  }
  const std::string& name() const override { return rows_->name(); }
  const std::vector<RowColumn>& columns() const override { return rows_->columns(); }

 private:
  std::unique_ptr<ArrowRows> rows_;
};

}  // namespace

std::unique_ptr<ParquetRows> open_arrow_rows(const std::string& path) {
  return std::make_unique<GuardedRows>(path);
}

}  // namespace trireme
