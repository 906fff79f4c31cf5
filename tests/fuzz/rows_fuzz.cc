// Any bytes as an input of rows, compressed or not (the first byte chooses the format), and as a
// message of the batch protocol. Every row must be answered by one line of valid JSON, which any
// form of output takes; and the rows are the same in whatever pieces the bytes arrive.
#include <simdjson.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "../support/trickle.h"
#include "batch/json_text.h"
#include "batch/messages.h"
#include "batch/row_codec.h"
#include "batch/row_reader.h"
#include "batch/row_writer.h"
#include "core/error.h"

namespace {

using namespace trireme;

void check_line(const std::string& line) {
  static simdjson::dom::parser parser;
  TRIREME_ASSERT(line.find('\n') == std::string::npos);
  TRIREME_ASSERT(parser.parse(line).is_object());
}

class CountingSink : public ByteSink {
 public:
  void write(std::string_view bytes) override { count += bytes.size(); }
  std::size_t count = 0;
};

/// What is written of the answers, besides JSON Lines.
class Tables {
 public:
  explicit Tables(RowTask task) {
    for (const char* name : {"x.csv", "x.tsv"}) {
      writers_.push_back(
          open_row_writer({output_format_of(name, "auto"), answer_columns(task)}, sink_));
    }
  }
  void add(const std::string& line) {
    check_line(line);
    for (const auto& writer : writers_) writer->add(line);
  }
  ~Tables() {
    for (const auto& writer : writers_) writer->finish();
  }

 private:
  CountingSink sink_;
  std::vector<std::unique_ptr<RowWriter>> writers_;
};

void answer_rows(RowReader& reader, RowCodec& codec, RowTask task) {
  Tables tables(task);
  std::uint64_t index = 0;
  while (const auto row = reader.next()) {
    TRIREME_ASSERT(row->index == index++);
    const DecodedRow decoded = codec.decode(*row);
    Result result;
    result.text = row->bytes;  // as bad as a model's output can be
    result.error = decoded.error;
    tables.add(encode_result(decoded.reply, result));
    tables.add(encode_embedding(decoded.reply, {.values = {0.5f}, .error = decoded.error}));
    Choice chosen{.probabilities = {0.5f, 0.5f}, .logprobs = {-1, -1}, .error = decoded.error};
    const std::vector<std::string>& labels = decoded.request.choices;
    chosen.probabilities.resize(labels.size());
    chosen.logprobs.resize(labels.size());
    if (!labels.empty()) tables.add(encode_choice(decoded.reply, chosen, labels, 1));
    if (decoded.error) tables.add(encode_error(decoded.reply, *decoded.error));
  }
}

struct Reading {
  std::vector<std::uint64_t> rows;
  bool failed = false;
};

Reading read_all(std::unique_ptr<ByteSource> bytes, const ReaderOptions& options) {
  Reading reading;
  try {
    RowReader reader(std::move(bytes), options);
    while (reader.ready()) {
      const auto row = reader.next();
      if (!row) return reading;
      reading.rows.push_back(mixed(row->hash() + row->line));
    }
  } catch (const Error&) {
    reading.failed = true;
  }
  return reading;
}

/// How far a decompressor comes before it sees damage depends on the pieces.
void check_same(const Reading& a, const Reading& b) {
  TRIREME_ASSERT(a.failed == b.failed);
  TRIREME_ASSERT(a.failed || a.rows.size() == b.rows.size());
  const std::size_t both = std::min(a.rows.size(), b.rows.size());
  TRIREME_ASSERT(std::equal(a.rows.begin(), a.rows.begin() + static_cast<std::ptrdiff_t>(both),
                            b.rows.begin()));
}

void read_rows(std::uint8_t choice, std::string_view bytes) {
  const char* formats[] = {"auto", "jsonl", "text", "csv", "tsv"};
  const ReaderOptions options{formats[choice % 5], 1000, (choice & 8) != 0};
  const Reading whole = read_all(bytes_in_memory(bytes, "fuzz"), options);
  for (const std::size_t step : {std::size_t{1}, std::size_t{13}}) {
    auto pieces = std::make_unique<Trickle>(std::string(bytes), "fuzz", step);
    check_same(whole, read_all(std::move(pieces), options));
  }
  RowReader reader(bytes_in_memory(bytes, "fuzz"), options);
  RowSettings settings;
  settings.format = reader.format();
  settings.delimiter = reader.delimiter();
  settings.csv_header = reader.csv_header();
  settings.task = static_cast<RowTask>(choice % 7 % 6);
  settings.choices = {"yes", "no"};
  settings.token_ids = options.token_ids;
  settings.chat = (choice & 16) != 0;
  if ((choice & 32) != 0) settings.prompt_template = "{prompt} and {prompt}";
  if ((choice & 128) != 0) settings.keep_columns.emplace();
  RowCodec codec(settings);
  answer_rows(reader, codec, settings.task);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if ((data[0] & 64) != 0) {
      const std::string encoded = encode(decode(bytes));
      TRIREME_ASSERT(encoded == bytes);
    } else {
      read_rows(data[0], bytes);
    }
  } catch (const Error&) {
  }
  return 0;
}
