// Outputs: complete or not there, resumed, refused, and intact on a full disk.
#include "batch/ledger.h"

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>

#include "batch/journal.h"
#include "support/scratch.h"

namespace trireme {
namespace {

RawRow row_of(std::uint64_t index) { return {index, index + 1, "row " + std::to_string(index)}; }

std::string line_of(std::uint64_t index) {
  return "{\"id\":" + std::to_string(index) + "," + std::string(index * 7 % 50, 'x') + "}";
}

std::string expected(std::uint64_t rows) {
  std::string text;
  for (std::uint64_t row = 0; row < rows; ++row) text += line_of(row) + "\n";
  return text;
}

void answer(RowOutput& output, std::initializer_list<std::uint64_t> rows) {
  for (const std::uint64_t row : rows) output.write(row_of(row), line_of(row), row % 2 == 1);
}

OutputOptions options_for(const Scratch& scratch) {
  return {.path = scratch.file("out"), .job = "model=m\nseed=1"};
}

constexpr const char* journal = "out.trireme-journal";

/// What was begun with a wrong flag, say, and failed before its first row.
TEST(Ledger, AJobWithoutRowsGivesWayToAnother) {
  const Scratch scratch;
  open_output(options_for(scratch));
  OutputOptions other = options_for(scratch);
  other.job = "model=m\nseed=2";
  {
    const auto output = open_output(other);
    answer(*output, {0});
  }
  expect_contains(message_of(ErrorKind::usage, [&] { open_output(options_for(scratch)); }),
                  "another job");
}

/// Rows behind a record that the disk has changed are still somebody's.
TEST(Ledger, AJobWhoseFirstRowIsDamagedGivesWayToNone) {
  const Scratch scratch;
  { answer(*open_output(options_for(scratch)), {0, 1, 2}); }
  std::string bytes = scratch.read(journal);
  const std::size_t first = bytes.find("{\"id\":0");
  ASSERT_NE(first, std::string::npos);
  bytes[first] = '[';
  scratch.write(journal, bytes);
  OutputOptions other = options_for(scratch);
  other.job = "model=m\nseed=2";
  expect_contains(message_of(ErrorKind::usage, [&] { open_output(other); }), "another job");
}

TEST(Ledger, WritesInInputOrder) {
  const Scratch scratch;
  const auto output = open_output(options_for(scratch));
  answer(*output, {2, 0, 3, 1, 0});
  EXPECT_FALSE(scratch.has("out"));
  EXPECT_EQ(output->failed_rows(), 2u);
  output->finish(4);
  EXPECT_EQ(scratch.read("out"), expected(4));
  EXPECT_FALSE(scratch.has(journal));
  EXPECT_FALSE(scratch.has("out.partial"));
}

TEST(Ledger, AnEmptyInputGivesAnEmptyOutput) {
  const Scratch scratch;
  open_output(options_for(scratch))->finish(0);
  EXPECT_TRUE(scratch.has("out"));
  EXPECT_EQ(scratch.read("out"), "");
}

TEST(Ledger, KeepsTheTimeWhenTheJobBegan) {
  const Scratch scratch;
  OutputOptions options = options_for(scratch);
  options.now = 1000;
  EXPECT_EQ(open_output(options)->started(), 1000);
  options.now = 2000;
  EXPECT_EQ(open_output(options)->started(), 1000);
  options.restart = true;
  EXPECT_EQ(open_output(options)->started(), 2000);
}

TEST(Ledger, Resumes) {
  const Scratch scratch;
  answer(*open_output(options_for(scratch)), {3, 1});
  const auto output = open_output(options_for(scratch));
  EXPECT_EQ(output->resumed_rows(), 2u);
  EXPECT_EQ(output->failed_rows(), 2u);
  for (std::uint64_t row = 0; row < 5; ++row) {
    EXPECT_EQ(output->has(row_of(row)), row == 1 || row == 3) << row;
  }
  answer(*output, {0, 2, 3});
  output->finish(4);
  EXPECT_EQ(scratch.read("out"), expected(4));
}

TEST(Ledger, LongLinesComeBack) {
  const Scratch scratch;
  const std::string big(3 << 20, 'y');
  auto output = open_output(options_for(scratch));
  output->write(row_of(0), big, false);
  output.reset();
  output = open_output(options_for(scratch));
  output->finish(1);
  EXPECT_EQ(scratch.read("out"), big + "\n");
}

TEST(Ledger, DropsATornTailWhereverItTears) {
  const Scratch scratch;
  answer(*open_output(options_for(scratch)), {0, 1, 2});
  const std::string whole = scratch.read(journal);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    scratch.write(journal, whole.substr(0, size));
    auto output = open_output(options_for(scratch));
    ASSERT_LE(output->resumed_rows(), 3u);
    answer(*output, {2, 1, 0});
    output->finish(3);
    ASSERT_EQ(scratch.read("out"), expected(3)) << "torn at " << size;
    std::filesystem::remove(scratch.file("out"));
  }
}

TEST(Ledger, DropsGarbageInTheTail) {
  const Scratch scratch;
  answer(*open_output(options_for(scratch)), {0, 1, 2});
  const std::string whole = scratch.read(journal);
  constexpr std::size_t head = 32 + 14;
  for (std::size_t at = head; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    scratch.write(journal, changed);
    auto output = open_output(options_for(scratch));
    ASSERT_LT(output->resumed_rows(), 3u);
    answer(*output, {0, 1, 2});
    output->finish(3);
    ASSERT_EQ(scratch.read("out"), expected(3)) << "changed at " << at;
    std::filesystem::remove(scratch.file("out"));
  }
}

TEST(Ledger, RefusesAnotherJobsJournal) {
  const Scratch scratch;
  answer(*open_output(options_for(scratch)), {0});
  OutputOptions other = options_for(scratch);
  other.job = "model=m\nseed=2";
  const std::string message = message_of(ErrorKind::usage, [&] { open_output(other); });
  expect_contains(message, "(seed=2 here, seed=1 in the unfinished run)");
  expect_contains(message, "--restart");
  other.job = "short";
  message_of(ErrorKind::usage, [&] { open_output(other); });
  other.job = std::string(5000, 'j');
  message_of(ErrorKind::usage, [&] { open_output(other); });
  other.restart = true;
  EXPECT_EQ(open_output(other)->resumed_rows(), 0u);
}

TEST(Ledger, SaysAllThatDiffersUpToFive) {
  const Scratch scratch;
  OutputOptions options = options_for(scratch);
  options.job = "dtype=float32\ntask=embed\na=1\nb=1\nc=1\nd=1\nchat=true\n";
  options.now = 86400;
  answer(*open_output(options), {0});
  options.job = "dtype=bfloat16\na=2\nb=2\nc=2\nd=2\ne=" + std::string(500, 'e') + "\nchat=true\n";
  const std::string message = message_of(ErrorKind::usage, [&] { open_output(options); });
  expect_contains(message, "dtype=bfloat16 here, dtype=float32 in the unfinished run; a=2 here");
  expect_contains(message, "; and 2 more");
  expect_contains(message, "not that of 1970-01-02 00:00:00 UTC");
  EXPECT_LT(message.size(), 1000u);
  options.job = "dtype=float32\na=1\nb=1\nc=1\nd=1\nchat=true\n";
  expect_contains(message_of(ErrorKind::usage, [&] { open_output(options); }),
                  "no task here, task=embed in the unfinished run");
}

TEST(Ledger, AnInputOfAnotherSizeIsAnother) {
  const Scratch scratch;
  OutputOptions options = options_for(scratch);
  options.job += "\ninput=10 bytes\n";
  answer(*open_output(options), {0});
  OutputOptions longer = options_for(scratch);
  longer.job += "\ninput=11 bytes\n";
  expect_contains(message_of(ErrorKind::usage, [&] { open_output(longer); }),
                  "input=11 bytes here, input=10 bytes in the unfinished run");
  EXPECT_EQ(open_output(options_for(scratch))->resumed_rows(), 1u) << "a pipe has no size";
}

TEST(Ledger, RefusesAJournalOfAnotherVersion) {
  const Scratch scratch;
  answer(*open_output(options_for(scratch)), {0});
  std::string bytes = scratch.read(journal);
  bytes[8] = 2;
  scratch.write(journal, bytes);
  const std::string message =
      message_of(ErrorKind::usage, [&] { open_output(options_for(scratch)); });
  expect_contains(message, "journal version 2, this one's is 3");
  expect_contains(message, "--restart");
  EXPECT_EQ(scratch.read(journal), bytes) << "it is left for who can go on with it";
}

TEST(Ledger, RefusesAForeignFileAsJournal) {
  const Scratch scratch;
  scratch.write(journal, "this is some other file that is long enough to be a head");
  expect_contains(message_of(ErrorKind::input, [&] { open_output(options_for(scratch)); }),
                  "not a journal");
}

TEST(Ledger, RefusesAFinishedOutput) {
  const Scratch scratch;
  scratch.write("out", "precious");
  OutputOptions options = options_for(scratch);
  expect_contains(message_of(ErrorKind::usage, [&] { open_output(options); }), "--overwrite");
  options.restart = true;
  message_of(ErrorKind::usage, [&] { open_output(options); });
  options.overwrite = true;
  const auto output = open_output(options);
  answer(*output, {0});
  EXPECT_EQ(scratch.read("out"), "precious");  // until the new one is complete
  output->finish(1);
  EXPECT_EQ(scratch.read("out"), expected(1));
}

TEST(Ledger, RefusesAChangedInput) {
  const Scratch scratch;
  answer(*open_output(options_for(scratch)), {0, 1});
  const auto output = open_output(options_for(scratch));
  expect_contains(message_of(ErrorKind::usage,
                             [&] {
                               output->has({1, 2, "changed"});
                             }),
                  "--restart");
  expect_contains(message_of(ErrorKind::usage, [&] { output->finish(1); }), "the input has 1 rows");
}

TEST(Ledger, OneRunAtATime) {
  const Scratch scratch;
  const auto first = open_output(options_for(scratch));
  answer(*first, {0});
  expect_contains(message_of(ErrorKind::usage, [&] { open_output(options_for(scratch)); }),
                  "another run");
  OutputOptions again = options_for(scratch);
  again.restart = again.overwrite = true;
  expect_contains(message_of(ErrorKind::usage, [&] { open_output(again); }), "another run");
  first->finish(1);
}

/// A run that waited for the lock of one that was about to finish.
TEST(Ledger, DoesNotReplaceWhatAnotherRunHasJustFinished) {
  class Late : public Files {
   public:
    explicit Late(std::string finished) : finished_(std::move(finished)) {}
    std::unique_ptr<File> open(const std::filesystem::path& path, Opening opening) override {
      auto file = real_files().open(path, opening);
      std::ofstream(finished_) << "precious";
      return file;
    }
    Kind kind(const std::filesystem::path& path) override { return real_files().kind(path); }
    std::filesystem::path resolve(const std::filesystem::path& path) override { return path; }
    void rename(const std::filesystem::path&, const std::filesystem::path&) override {}
    void remove(const std::filesystem::path& path) override { real_files().remove(path); }
    void sync_directory_of(const std::filesystem::path&) override {}

   private:
    std::string finished_;
  };
  const Scratch scratch;
  Late files(scratch.file("out"));
  OutputOptions options = options_for(scratch);
  options.files = &files;
  expect_contains(message_of(ErrorKind::usage, [&] { open_output(options); }), "--overwrite");
  EXPECT_EQ(scratch.read("out"), "precious");
  EXPECT_FALSE(scratch.has(journal));
}

TEST(Ledger, ALinkThatLeadsNowhereYetNamesItsTarget) {
  const Scratch scratch;
  std::filesystem::create_symlink("out", scratch.file("link"));
  const auto first = open_output(options_for(scratch));
  OutputOptions options = options_for(scratch);
  options.path = scratch.file("link");
  expect_contains(message_of(ErrorKind::usage, [&] { open_output(options); }), "another run");
  answer(*first, {0});
  first->finish(1);
  EXPECT_TRUE(std::filesystem::is_symlink(scratch.file("link")));
  EXPECT_EQ(scratch.read("link"), expected(1));
}

TEST(Ledger, ALinkAndItsTargetAreOneOutput) {
  const Scratch scratch;
  scratch.write("out", "old");
  std::filesystem::create_symlink("out", scratch.file("link"));
  OutputOptions options = options_for(scratch);
  options.overwrite = true;
  const auto first = open_output(options);
  options.path = scratch.file("link");
  expect_contains(message_of(ErrorKind::usage, [&] { open_output(options); }), "another run");
}

TEST(Ledger, ExplainsImpossiblePlaces) {
  const Scratch scratch;
  OutputOptions options = options_for(scratch);
  options.path = scratch.file("no/such/out");
  message_of(ErrorKind::usage, [&] { open_output(options); });
  options.path = scratch.file("");
  expect_contains(message_of(ErrorKind::usage, [&] { open_output(options); }), "directory");
  const std::string same = scratch.write("in", "x");
  expect_contains(message_of(ErrorKind::usage, [&] { check_distinct(same, same); }), "the input");
  check_distinct(same, scratch.file("out"));
  for (const char* const beside : {"out.errors.jsonl", "out.jsonl.partial"}) {
    const std::string input = scratch.write(beside, "{}\n");
    expect_contains(
        message_of(ErrorKind::usage, [&] { check_distinct(input, scratch.file("out.jsonl")); }),
        "beside its output");
    check_distinct(input, scratch.file("other.jsonl"));
  }
  check_distinct("-", "-");
}

TEST(Ledger, DevicesAreWrittenThrough) {
  OutputOptions options{.path = "/dev/null", .job = "x"};
  auto output = open_output(options);
  answer(*output, {1, 0});
  EXPECT_EQ(output->pending_bytes(), 0u);
  output->finish(2);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  options.path = "/dev/full";
  output = open_output(options);
  message_of(ErrorKind::resource, [&] { answer(*output, {0}); });
}

TEST(Ledger, StreamsInOrder) {
  int ends[2] = {};
  ASSERT_EQ(pipe(ends), 0);
  const auto output = open_output({.path = "/dev/fd/" + std::to_string(ends[1]), .job = "x"});
  answer(*output, {2, 1});
  EXPECT_EQ(output->pending_bytes(), line_of(1).size() + line_of(2).size());
  answer(*output, {0, 1});
  output->finish(3);
  std::string got(1000, '\0');
  got.resize(static_cast<std::size_t>(::read(ends[0], got.data(), got.size())));
  EXPECT_EQ(got, expected(3));
  close(ends[0]);
  close(ends[1]);
}

/// Makes every file end at `bytes` bytes, as a full disk would.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() { setrlimit(RLIMIT_FSIZE, &old_); }

 private:
  rlimit old_{};
};

TEST(Ledger, AFullDiskLosesNothing) {
  const Scratch scratch;
  constexpr std::uint64_t rows = 200;
  std::uint64_t written = 0;
  auto output = open_output(options_for(scratch));
  {
    const FileLimit limit(2000);
    const std::string message = message_of(ErrorKind::resource, [&] {
      for (;; ++written) output->write(row_of(written), line_of(written), false);
    });
    expect_contains(message, "cannot write");
    expect_contains(message, "run the same command again");
  }
  output.reset();
  output = open_output(options_for(scratch));
  EXPECT_EQ(output->resumed_rows(), written);
  for (std::uint64_t row = written; row < rows; ++row)
    output->write(row_of(row), line_of(row), false);
  {
    const FileLimit limit(2000);
    const std::string message = message_of(ErrorKind::resource, [&] { output->finish(rows); });
    expect_contains(message, "needs " + std::to_string(expected(rows).size()) + " bytes in all");
  }
  EXPECT_FALSE(scratch.has("out"));
  EXPECT_FALSE(scratch.has("out.partial"));
  output.reset();
  output = open_output(options_for(scratch));
  EXPECT_EQ(output->resumed_rows(), rows);
  output->finish(rows);
  EXPECT_EQ(scratch.read("out"), expected(rows));
}

TEST(Ledger, HashesAreFrozen) {  // they are part of the journal's format
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(fnv1a("a"), 0xaf63dc4c8601ec8cull);
}

}  // namespace
}  // namespace trireme
