// Compressed rows, however their bytes arrive and whatever is wrong with them.
#include "batch/compressed_source.h"

#include "batch/row_reader.h"
#include "support/compressed_bytes.h"
#include "support/scratch.h"
#include "support/trickle.h"

namespace trireme {
namespace {

std::string read_all(ByteSource& source, std::size_t piece) {
  std::string all, part(piece, '\0');
  while (const std::size_t got = source.read(part)) all.append(part, 0, got);
  return all;
}

std::string read_all(const std::string& bytes, const std::string& name, std::size_t step) {
  return read_all(*decompressed(std::make_unique<Trickle>(bytes, name, step)), step + 1);
}

/// Bytes that hardly compress.
std::string noise(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint64_t state = 1;
  for (char& c : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(state >> 56);
  }
  return bytes;
}

TEST(CompressedSource, AnyContentInAnyPieces) {
  for (const std::string& bytes :
       {std::string(), std::string("{}\n"), std::string(300'000, 'a'), noise(200'000)}) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{1} << 16}) {
      if (step == 1 && bytes.size() > 1000) continue;
      EXPECT_EQ(read_all(gzip_of(bytes), "x.gz", step), bytes) << step;
      EXPECT_EQ(read_all(zstd_of(bytes), "x.zst", step), bytes) << step;
      EXPECT_EQ(read_all(bytes, "x", step), bytes) << step;
    }
  }
}

TEST(CompressedSource, KnowsItWithoutAName) {
  EXPECT_EQ(read_all(gzip_of("hi"), "standard input", 3), "hi");
  EXPECT_EQ(read_all(zstd_of("hi"), "standard input", 3), "hi");
  EXPECT_EQ(read_all("\x1f", "standard input", 3), "\x1f");
}

TEST(CompressedSource, MembersAndFramesFollowOneAnother) {
  const std::string skipped("\x50\x2a\x4d\x18\x03\0\0\0abc", 11);
  for (const std::size_t step : {std::size_t{1}, std::size_t{1000}}) {
    EXPECT_EQ(read_all(gzip_of("one") + gzip_of("") + gzip_of("two"), "x.gz", step), "onetwo");
    EXPECT_EQ(read_all(skipped + zstd_of("one") + skipped + zstd_of("two"), "x.zst", step),
              "onetwo");
    EXPECT_EQ(read_all(gzip_of("one") + std::string(700, '\0'), "x.gz", step), "one");
  }
}

std::string failure(const std::string& bytes, const std::string& name) {
  return message_of(ErrorKind::input, [&] { read_all(bytes, name, 64); });
}

TEST(CompressedSource, EveryTruncationIsToldAndWhatCameBeforeIsThere) {
  const std::string text = noise(500);
  for (const auto& [whole, name] :
       {std::pair{gzip_of(text), "x.gz"}, std::pair{zstd_of(text), "x.zst"}}) {
    for (std::size_t size = 4; size < whole.size(); ++size) {
      expect_contains(failure(whole.substr(0, size), name),
                      fmt::format("{}: the {} data is cut short", name,
                                  name == std::string("x.gz") ? "gzip" : "zstd"));
    }
  }
}

TEST(CompressedSource, DamageIsToldWithItsPlace) {
  std::string gzip = gzip_of(noise(5000));
  gzip[gzip.size() - 7] ^= 1;  // of the checksum
  expect_contains(failure(gzip, "x.gz"), "x.gz: the gzip data is damaged near byte 50");
  std::string zstd = zstd_of(noise(5000));
  zstd[zstd.size() - 2] ^= 1;
  expect_contains(failure(zstd, "x.zst"), "x.zst: the zstd data is damaged near byte");
  expect_contains(failure(gzip_of("a") + "rest", "x.gz"), "damaged near byte");
  expect_contains(failure(gzip_of("a") + '\0' + gzip_of("b"), "x.gz"), "other bytes follow");
  expect_contains(failure(zstd_of("a") + "rest", "x.zst"), "other bytes follow");
}

TEST(CompressedSource, ANameThatPromisesMoreThanTheBytes) {
  expect_contains(failure("{\"prompt\":1}\n", "x.jsonl.gz"), "its name says gzip");
  expect_contains(failure("", "x.jsonl.zst"), "its name says zstd");
}

TEST(CompressedSource, AWindowIsBounded) {
  const std::string text(100, 'x');
  EXPECT_EQ(read_all(zstd_of(text, 27), "x.zst", 64), text);
  expect_contains(failure(zstd_of(text, 28), "x.zst"), "window is larger than 128 MiB");
}

TEST(CompressedSource, WaitsForNothingThatHasNotCome) {
  const std::string whole = gzip_of("{\"prompt\": 1}\n" + noise(1000) + "\n");
  std::string pipe = whole.substr(0, 30);
  const auto source = decompressed(std::make_unique<SlowPipe>(pipe));
  std::string seen, part(100, '\0');
  for (const std::size_t size : {whole.size() / 2, whole.size()}) {
    while (source->ready()) seen.append(part, 0, source->read(part));  // a read that waits throws
    pipe += whole.substr(30 + (size == whole.size() ? whole.size() / 2 - 30 : 0),
                         size == whole.size() ? whole.npos : whole.size() / 2 - 30);
  }
  while (source->ready()) seen.append(part, 0, source->read(part));
  EXPECT_EQ(seen, "{\"prompt\": 1}\n" + noise(1000) + "\n");
}

TEST(CompressedSource, RowsSayHowFarTheyCame) {
  std::string text;
  for (int i = 0; i < 20'000; ++i)
    text += fmt::format("{{\"prompt\": \"{}\"}}\n", i * 7919 % 10007);
  const std::string whole = gzip_of(text);
  for (const bool asks : {false, true}) {  // as a job does, which must not wait for a pipe
    RowReader reader(
        bytes_in_memory(std::string_view(whole).substr(0, whole.size() / 2), "x.jsonl.gz"), {});
    std::uint64_t rows = 0;
    const std::string message = message_of(ErrorKind::input, [&] {
      while ((!asks || reader.ready()) && reader.next()) ++rows;
    });
    EXPECT_GT(rows, 5000u);
    expect_contains(message, fmt::format("cut short at byte {}", whole.size() / 2));
    expect_contains(message,
                    fmt::format("in line {} of what it holds, after {} rows", rows + 1, rows));
  }
}

TEST(CompressedSource, ABombIsOneRowTooLong) {
  const std::string bomb = zstd_of(std::string(std::size_t{64} << 20, ' ') + "x\n{}\n");
  ASSERT_LT(bomb.size(), 20'000u);
  RowReader reader(bytes_in_memory(bomb, "x.jsonl.zst"), {.max_row_bytes = 1000});
  EXPECT_EQ(reader.next()->defect, RowDefect::too_long);
  EXPECT_EQ(reader.next()->bytes, "{}");
  EXPECT_FALSE(reader.next());
}

TEST(CompressedSource, TheFormatIsWhatStandsBeforeTheCompression) {
  const auto format = [](const std::string& name) {
    const std::string bytes = gzip_of("a,b\n1,2\n");
    return RowReader(bytes_in_memory(bytes, name), {}).format();
  };
  EXPECT_EQ(format("x.csv.gz"), RowFormat::csv);
  EXPECT_EQ(format("X.CSV.GZ"), RowFormat::csv);
  EXPECT_EQ(format("x.jsonl"), RowFormat::jsonl);
  EXPECT_EQ(format("dir.csv/x.gz"), RowFormat::text);
}

}  // namespace
}  // namespace trireme
