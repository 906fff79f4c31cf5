#include "batch/row_writer.h"

#include <algorithm>
#include <string>

#include "batch/answer_cells.h"
#include "batch/compressed_sink.h"
#include "batch/parquet.h"
#include "core/error.h"

namespace trireme {

namespace {

using Rows = OutputFormat::Rows;

class JsonLines : public RowWriter {
 public:
  explicit JsonLines(ByteSink& sink) : sink_(sink) {}
  void add(std::string_view json_line) override {
    sink_.write(json_line);
    sink_.write("\n");
  }
  void finish() override {}

 private:
  ByteSink& sink_;
};

/// RFC 4180, with LF for line ends. Null is an empty field; an empty string is quoted.
class Delimited : public RowWriter {
 public:
  Delimited(char delimiter, const std::vector<RowColumn>& columns, ByteSink& sink)
      : special_(std::string("\"\r\n") + delimiter),
        delimiter_(delimiter),
        cells_(columns),
        sink_(sink) {
    std::vector<Cell> names;
    for (const RowColumn& column : columns) names.emplace_back(column.name);
    write(names);
  }
  void add(std::string_view json_line) override { write(cells_.of(json_line)); }
  void finish() override {}

 private:
  void write(const std::vector<Cell>& cells) {
    std::string record;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (i != 0) record += delimiter_;
      if (cells[i]) append_field(record, *cells[i]);
    }
    sink_.write(record += '\n');
  }

  void append_field(std::string& record, const std::string& text) const {
    const bool quoted = text.empty() || text.find_first_of(special_) != text.npos ||
                        text.front() == ' ' || text.back() == ' ';
    if (!quoted) {
      record += text;
      return;
    }
    record += '"';
    for (const char c : text) record.append(c == '"' ? 2 : 1, c);
    record += '"';
  }

  std::string special_;
  char delimiter_;
  AnswerCells cells_;
  ByteSink& sink_;
};

/// The column that is an answer's text, if it has one.
const RowColumn* text_column(const std::vector<RowColumn>& columns) {
  for (const std::string_view name : {"text", "label"}) {
    const auto found = std::ranges::find(columns, name, &RowColumn::name);
    if (found != columns.end()) return &*found;
  }
  return nullptr;
}

/// A line a row, so that line n is row n: line ends and backslashes are escaped, an error is empty.
class TextLines : public RowWriter {
 public:
  TextLines(const std::vector<RowColumn>& columns, ByteSink& sink)
      : cells_({*text_column(columns)}), sink_(sink) {}
  void add(std::string_view json_line) override {
    const Cell& text = cells_.of(json_line)[0];
    std::string line;
    for (const char c : text.value_or("")) append(line, c);
    sink_.write(line += '\n');
  }
  void finish() override {}

 private:
  static void append(std::string& line, char c) {
    if (c == '\n') {
      line += "\\n";
    } else if (c == '\r') {
      line += "\\r";
    } else {
      line.append(c == '\\' ? 2 : 1, c);
    }
  }

  AnswerCells cells_;
  ByteSink& sink_;
};

class Parquet : public RowWriter {
 public:
  Parquet(const std::vector<RowColumn>& columns, ByteSink& sink)
      : cells_(columns), table_(parquet_plugin(what).write(columns, sink)) {}
  void add(std::string_view json_line) override { table_->add(cells_.of(json_line)); }
  void finish() override { table_->finish(); }

  static constexpr const char* what = "the output";

 private:
  AnswerCells cells_;
  std::unique_ptr<ParquetTable> table_;
};

std::unique_ptr<RowWriter> open_plain(const RowForm& form, ByteSink& sink) {
  switch (form.format.rows) {
    case Rows::jsonl:
      return std::make_unique<JsonLines>(sink);
    case Rows::csv:
      return std::make_unique<Delimited>(',', form.columns, sink);
    case Rows::tsv:
      return std::make_unique<Delimited>('\t', form.columns, sink);
    case Rows::text:
      return std::make_unique<TextLines>(form.columns, sink);
    case Rows::parquet:
      return std::make_unique<Parquet>(form.columns, sink);
  }
  return nullptr;
}

/// A writer into a compressor, which ends when it does.
class Compressed : public RowWriter {
 public:
  Compressed(const RowForm& form, ByteSink& sink)
      : compressor_(compressing(form.format.compression, sink)),
        writer_(open_plain(form, *compressor_)) {}
  void add(std::string_view json_line) override { writer_->add(json_line); }
  void finish() override {
    writer_->finish();
    compressor_->finish();
  }

 private:
  std::unique_ptr<CompressingSink> compressor_;
  std::unique_ptr<RowWriter> writer_;
};

}  // namespace

void check_form(const RowForm& form) {
  if (form.format.rows == Rows::parquet) parquet_plugin(Parquet::what);
  if (form.format.rows == Rows::text && text_column(form.columns) == nullptr) {
    fail(ErrorKind::usage,
         "text (.txt) holds answers that are texts or labels, and these are neither; write .jsonl, "
         ".csv or .parquet");
  }
}

std::unique_ptr<RowWriter> open_row_writer(const RowForm& form, ByteSink& sink) {
  if (form.format.compression == OutputFormat::Compression::none) return open_plain(form, sink);
  return std::make_unique<Compressed>(form, sink);
}

}  // namespace trireme
