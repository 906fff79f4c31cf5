// Any bytes as a journal, or sound records of any rows with any bytes behind. It is refused, or its
// rows can be read again and the job goes on to a whole output.
#include <cstdint>
#include <string_view>

#include "batch/journal.h"
#include "batch/ledger.h"
#include "core/error.h"
#include "fault/test_disk.h"

namespace {

using namespace trireme;

constexpr const char* job = "model=fuzz\ninput=7 bytes\n";

/// The first bytes choose rows, two at a time, up to 0xffff; the rest comes as it is.
std::string journal_of(std::string_view bytes) {
  const JournalHead head{1000, job};
  std::string journal = encode(head);
  while (bytes.size() >= 2) {
    const auto low = static_cast<std::uint8_t>(bytes[0]),
               high = static_cast<std::uint8_t>(bytes[1]);
    const std::uint64_t row = low | std::uint64_t{high} << 8;
    bytes.remove_prefix(2);
    if (row == 0xffff) break;
    const std::uint64_t far = std::uint64_t{1} << 21;  // further than rows can be apart
    const JournalRecord record{row == 0xfffe ? far : row % 0x1000, row, low % 2 == 0, "{}"};
    journal += encode(record, head.crc());
  }
  return journal.append(bytes);
}

void read_all(Files& files) {
  const Journal journal(files, "out.trireme-journal", job, 0, false);
  Journal::Cursor cursor = journal.cursor();
  std::uint64_t rows = 0, failed = 0, line_bytes = 0;
  for (std::uint64_t row = 0; row < journal.row_limit(); ++row) {
    if (!journal.has(row)) continue;
    const JournalRecord& record = cursor.seek(row);
    TRIREME_ASSERT(record.row == row);
    ++rows;
    failed += record.failed ? 1 : 0;
    line_bytes += record.line.size();
  }
  TRIREME_ASSERT(rows == journal.rows() && failed == journal.failed_rows() &&
                 line_bytes == journal.line_bytes());
}

void go_on(Files& files) {
  const auto output = open_output({.path = "out", .job = job, .files = &files});
  const std::uint64_t before = output->resumed_rows();
  std::uint64_t rows = 0;
  for (std::uint64_t left = before; left > 0; ++rows) {
    // What is answered is answered with another input, or of a hash as journal_of() has it.
    const RawRow row{.index = rows, .line = rows + 1, .bytes = "row"};
    try {
      if (output->has(row)) --left;
    } catch (const Error&) {
      --left;
    }
    output->write(row, "{}", false);
  }
  output->finish(rows);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  testing::TestDisk disk(1);
  disk.write("out.trireme-journal", data[0] % 2 == 0 ? std::string(bytes) : journal_of(bytes));
  try {
    read_all(disk);
    go_on(disk);
    TRIREME_ASSERT(disk.read("out") && !disk.read("out.trireme-journal"));
  } catch (const Error&) {
  }
  return 0;
}
