// What the coordinator's side makes of rows that need no worker.
#include "batch/server.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "batch/byte_source.h"

namespace trireme {
namespace {

/// Counts what is written.
class CountingOutput : public RowOutput {
 public:
  std::int64_t started() const override { return 0; }
  bool resumable() const override { return true; }
  std::uint64_t resumed_rows() const override { return 0; }
  bool has(const RawRow&) override { return false; }
  void write(const RawRow&, std::string_view, bool failed) override {
    ++rows_;
    failed_ += failed ? 1 : 0;
  }
  void tick() override {}
  void finish(std::uint64_t) override {}
  std::uint64_t failed_rows() const override { return failed_; }
  std::uint64_t pending_bytes() const override { return 0; }
  std::uint64_t rows() const { return rows_; }

 private:
  std::uint64_t rows_ = 0;
  std::uint64_t failed_ = 0;
};

struct Served {
  explicit Served(const std::string& text, bool strict = false)
      : input(bytes_in_memory(text, "rows.jsonl"), {}),
        server(input, output, {}, [](auto, const auto&) {}, {.strict = strict}) {}

  RowReader input;
  CountingOutput output;
  BatchServer server;
};

TEST(BatchServer, UnderStrictAFailedLastRowIsNoEnd) {
  const std::string text = "{\"prompt\": 3}\n";
  Served served(text, true);
  for (int i = 0; i < 3; ++i) served.server.turn();
  EXPECT_TRUE(served.server.failure().has_value());
  EXPECT_FALSE(served.server.done());
  EXPECT_EQ(served.output.rows(), 0u);
}

TEST(BatchServer, AnswersRowsThatAreWrongWithoutAWorker) {
  const std::string text = "{\"prompt\": 3}\n{}\n";
  Served served(text);
  served.server.turn();
  EXPECT_TRUE(served.server.done());
  EXPECT_EQ(served.output.failed_rows(), 2u);
}

/// However many rows need nobody, others are looked after meanwhile, and a stop is heeded.
TEST(BatchServer, ReadsForAMomentAtATime) {
  std::string text;
  while (text.size() < (std::size_t{24} << 20)) text += "{}\n";
  Served served(text);
  served.server.turn();
  EXPECT_TRUE(served.server.has_more_to_read());
  EXPECT_FALSE(served.server.done());
  served.server.drain();
  served.server.turn();
  EXPECT_FALSE(served.server.has_more_to_read());
  EXPECT_TRUE(served.server.drained());
}

}  // namespace
}  // namespace trireme
