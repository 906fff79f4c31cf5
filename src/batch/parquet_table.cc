#include "batch/parquet_table.h"

#include <arrow/api.h>
#include <arrow/io/interfaces.h>
#include <parquet/arrow/writer.h>

#include <charconv>
#include <exception>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace trireme {

namespace {

void check(const arrow::Status& status) {
  if (!status.ok()) fail(ErrorKind::resource, "cannot write Parquet: {}", status.ToString());
}

template <typename T>
T take(arrow::Result<T> result) {
  check(result.status());
  return std::move(result).ValueUnsafe();
}

/// Our sink as Arrow's stream. What the sink throws must not pass through Arrow, and least of all
/// out of the destructor by which Arrow ends a file that was given up.
class SinkStream : public arrow::io::OutputStream {
 public:
  explicit SinkStream(ByteSink& sink) : sink_(&sink) {}

  arrow::Status Write(const void* data, std::int64_t bytes) override {
    written_ += bytes;
    if (sink_ == nullptr) return arrow::Status::OK();
    try {
      sink_->write({static_cast<const char*>(data), static_cast<std::size_t>(bytes)});
      return arrow::Status::OK();
    } catch (...) {
      failure_ = std::current_exception();
      sink_ = nullptr;
      return arrow::Status::IOError("the output cannot be written");
    }
  }
  arrow::Status Close() override { return arrow::Status::OK(); }
  bool closed() const override { return false; }
  arrow::Result<std::int64_t> Tell() const override { return written_; }

  void give_up() { sink_ = nullptr; }
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  ByteSink* sink_;
  std::int64_t written_ = 0;
  std::exception_ptr failure_;
};

std::shared_ptr<arrow::DataType> arrow_type(RowColumnType type) {
  switch (type) {
    case RowColumnType::text:
      return arrow::utf8();
    case RowColumnType::boolean:
      return arrow::boolean();
    case RowColumnType::integer:
      return arrow::int64();
    case RowColumnType::unsigned_integer:
      return arrow::uint64();
    case RowColumnType::real32:
      return arrow::float32();
    case RowColumnType::real64:
      return arrow::float64();
    case RowColumnType::integers:
      return arrow::list(arrow::int64());
    case RowColumnType::reals32:
      return arrow::list(arrow::float32());
    case RowColumnType::reals64:
      return arrow::list(arrow::float64());
  }
  return arrow::utf8();
}

/// Cells hold what JSON has as text; the columns are declared so that it fits.
[[noreturn]] void fail_misfit(std::string_view text) {
  fail(ErrorKind::input, "cannot write Parquet: \"{}\" does not fit its column's type",
       text.substr(0, 100));
}

template <typename Builder>
void append_number(arrow::ArrayBuilder& builder, std::string_view text) {
  typename Builder::value_type value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) fail_misfit(text);
  check(static_cast<Builder&>(builder).Append(value));
}

/// "[1, null, 3]".
template <typename Builder>
void append_list(arrow::ArrayBuilder& builder, std::string_view text) {
  constexpr std::string_view between = " \t\r\n,]";
  auto& list = static_cast<arrow::ListBuilder&>(builder);
  check(list.Append());
  if (!text.starts_with('[')) fail_misfit(text);
  text.remove_prefix(1);
  for (;;) {
    text.remove_prefix(std::min(text.find_first_not_of(between), text.size()));
    if (text.empty()) return;
    const std::string_view item = text.substr(0, text.find_first_of(between));
    if (item == "null") {
      check(list.value_builder()->AppendNull());
    } else {
      append_number<Builder>(*list.value_builder(), item);
    }
    text.remove_prefix(item.size());
  }
}

void append_cell(arrow::ArrayBuilder& builder, RowColumnType type, const Cell& cell) {
  if (!cell) return check(builder.AppendNull());
  switch (type) {
    case RowColumnType::text:
      return check(static_cast<arrow::StringBuilder&>(builder).Append(*cell));
    case RowColumnType::boolean:
      return check(static_cast<arrow::BooleanBuilder&>(builder).Append(*cell == "true"));
    case RowColumnType::integer:
      return append_number<arrow::Int64Builder>(builder, *cell);
    case RowColumnType::unsigned_integer:
      return append_number<arrow::UInt64Builder>(builder, *cell);
    case RowColumnType::real32:
      return append_number<arrow::FloatBuilder>(builder, *cell);
    case RowColumnType::real64:
      return append_number<arrow::DoubleBuilder>(builder, *cell);
    case RowColumnType::integers:
      return append_list<arrow::Int64Builder>(builder, *cell);
    case RowColumnType::reals32:
      return append_list<arrow::FloatBuilder>(builder, *cell);
    case RowColumnType::reals64:
      return append_list<arrow::DoubleBuilder>(builder, *cell);
  }
}

class ArrowTable : public ParquetTable {
 public:
  ArrowTable(const std::vector<RowColumn>& columns, ByteSink& sink)
      : columns_(columns), stream_(std::make_shared<SinkStream>(sink)) {
    arrow::FieldVector fields;
    for (const RowColumn& column : columns_) {
      fields.push_back(arrow::field(column.name, arrow_type(column.type)));
      builders_.push_back(take(arrow::MakeBuilder(fields.back()->type())));
    }
    schema_ = arrow::schema(std::move(fields));
    const auto properties = parquet::WriterProperties::Builder()
                                .compression(parquet::Compression::SNAPPY)
                                ->max_row_group_length(parquet_group_rows)
                                ->build();
    auto file = parquet::arrow::FileWriter::Open(*schema_, arrow::default_memory_pool(), stream_,
                                                 properties);
    tell(file.status());
    file_ = std::move(file).ValueUnsafe();
  }

  ~ArrowTable() override {
    stream_->give_up();
    file_.reset();
  }

  void add(const std::vector<Cell>& cells) override {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      append_cell(*builders_[i], columns_[i].type, cells[i]);
      held_bytes_ += cells[i] ? cells[i]->size() : 0;
    }
    if (++held_rows_ == parquet_group_rows || held_bytes_ >= parquet_group_bytes) write_group();
  }

  void finish() override {
    if (held_rows_ > 0) write_group();
    tell(file_->Close());
  }

 private:
  void write_group() {
    arrow::ArrayVector arrays;
    for (const auto& builder : builders_) arrays.push_back(take(builder->Finish()));
    const auto table =
        arrow::Table::Make(schema_, std::move(arrays), static_cast<std::int64_t>(held_rows_));
    tell(file_->WriteTable(*table, static_cast<std::int64_t>(held_rows_)));
    held_rows_ = held_bytes_ = 0;
  }

  /// The sink's own error says more than Arrow's about it.
  void tell(const arrow::Status& status) const {
    stream_->rethrow();
    check(status);
  }

  std::vector<RowColumn> columns_;
  std::shared_ptr<SinkStream> stream_;
  std::shared_ptr<arrow::Schema> schema_;
  std::vector<std::unique_ptr<arrow::ArrayBuilder>> builders_;
  std::unique_ptr<parquet::arrow::FileWriter> file_;
  std::size_t held_rows_ = 0, held_bytes_ = 0;
};

}  // namespace

std::unique_ptr<ParquetTable> open_arrow_table(const std::vector<RowColumn>& columns,
                                               ByteSink& sink) {
  return std::make_unique<ArrowTable>(columns, sink);
}

}  // namespace trireme
