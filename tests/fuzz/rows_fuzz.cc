// Any bytes as an input of rows (the first byte chooses the format), and as a message of the batch
// protocol. Every row must be answered by one line of valid JSON.
#include <simdjson.h>

#include <cstdint>
#include <string_view>

#include "batch/json_text.h"
#include "batch/messages.h"
#include "batch/row_codec.h"
#include "batch/row_reader.h"
#include "core/error.h"

namespace {

using namespace trireme;

void check_line(const std::string& line) {
  static simdjson::dom::parser parser;
  TRIREME_ASSERT(line.find('\n') == std::string::npos);
  TRIREME_ASSERT(parser.parse(line).is_object());
}

void answer_rows(RowReader& reader, RowCodec& codec) {
  std::uint64_t index = 0;
  while (const auto row = reader.next()) {
    TRIREME_ASSERT(row->index == index++);
    const DecodedRow decoded = codec.decode(*row);
    Result result;
    result.text = row->bytes;  // as bad as a model's output can be
    result.error = decoded.error;
    check_line(encode_result(decoded.reply, result));
    check_line(encode_embedding(decoded.reply, {.values = {0.5f}, .error = decoded.error}));
    if (decoded.error) check_line(encode_error(decoded.reply, *decoded.error));
  }
}

void read_rows(std::uint8_t choice, std::string_view bytes) {
  const char* formats[] = {"auto", "jsonl", "text", "csv", "tsv"};
  const ReaderOptions options{formats[choice % 5], 1000, (choice & 8) != 0};
  RowReader reader(bytes_in_memory(bytes, "fuzz"), options);
  RowSettings settings;
  settings.format = reader.format();
  settings.delimiter = reader.delimiter();
  settings.csv_header = reader.csv_header();
  settings.task = static_cast<RowTask>(choice % 7 % 5);
  settings.token_ids = options.token_ids;
  settings.chat = (choice & 16) != 0;
  if ((choice & 32) != 0) settings.prompt_template = "{prompt} and {prompt}";
  RowCodec codec(settings);
  answer_rows(reader, codec);
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
