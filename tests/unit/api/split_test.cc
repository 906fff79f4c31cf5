// Which items each process gets, beside what Accelerate 1.15 does.
#include "trireme/split.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "support/scratch.h"

namespace trireme {
namespace {

using Json = nlohmann::json;
using Strings = std::vector<std::string>;

constexpr int most_items = 64;
constexpr int most_processes = 8;

template <typename Action>
void for_all(const Action& action) {
  for (int total = 0; total <= most_items; ++total) {
    for (int processes = 1; processes <= most_processes; ++processes) action(total, processes);
  }
}

TEST(SplitRange, CoversEverythingOnceInOrderAndEvenly) {
  for_all([](int total, int processes) {
    std::int64_t next = 0;
    for (int process = 0; process < processes; ++process) {
      const SplitRange range = split_range(total, process, processes);
      ASSERT_EQ(range.begin, next);
      ASSERT_EQ(range.size(), total / processes + (process < total % processes ? 1 : 0));
      ASSERT_EQ(range.padding, 0);
      ASSERT_EQ(range.total, total);
      next = range.end;
    }
    ASSERT_EQ(next, total);
  });
}

TEST(SplitRange, PadsToTheLongest) {
  for_all([](int total, int processes) {
    for (int process = 0; process < processes; ++process) {
      const SplitRange range = split_range(total, process, processes, true);
      ASSERT_EQ(range.size(), (total + processes - 1) / processes);
      ASSERT_EQ(range.end, split_range(total, process, processes).end);
    }
  });
}

TEST(SplitRange, RefusesNonsense) {
  for (const auto& [total, process, processes] :
       std::vector<std::array<int, 3>>{{-1, 0, 1}, {3, 2, 2}, {3, -1, 2}, {3, 0, 0}}) {
    expect_contains(message_of(ErrorKind::usage, [&, t = total, p = process,
                                                  n = processes] { split_range(t, p, n); }),
                    "cannot split");
  }
}

TEST(Split, AsInTheDocumentation) {
  const Strings prompts{"a", "b", "c"};
  const auto take = [&](int process, bool padding) {
    return SplitTraits<Strings>::take(prompts, split_range(3, process, 2, padding));
  };
  EXPECT_EQ(take(0, false), (Strings{"a", "b"}));
  EXPECT_EQ(take(1, false), (Strings{"c"}));
  EXPECT_EQ(take(0, true), (Strings{"a", "b"}));
  EXPECT_EQ(take(1, true), (Strings{"c", "c"}));
}

TEST(Split, OfColumns) {
  const Columns inputs{{"id", HostTensor({3}, std::vector<std::int64_t>{7, 8, 9})},
                       {"text", Strings{"a", "b", "c"}}};
  EXPECT_EQ(SplitTraits<Columns>::length(inputs), 3);
  const Columns last = SplitTraits<Columns>::take(inputs, split_range(3, 1, 2, true));
  EXPECT_EQ(std::get<Strings>(last.at("text")), (Strings{"c", "c"}));
  EXPECT_EQ(std::get<HostTensor>(last.at("id")), HostTensor({2}, std::vector<std::int64_t>{9, 9}));
  EXPECT_EQ(SplitTraits<Columns>::length({}), 0);
}

TEST(Split, UnequalColumnsAreNamed) {
  const std::map<std::string, Strings> inputs{{"answer", {"x"}}, {"prompt", {"a", "b"}}};
  const std::string message = message_of(
      ErrorKind::usage, [&] { SplitTraits<std::map<std::string, Strings>>::length(inputs); });
  expect_contains(message, "column 'answer' has 1 items and column 'prompt' has 2");
}

TEST(Split, ATensorWithoutRowsCannotBe) {
  expect_contains(
      message_of(ErrorKind::usage,
                 [] { SplitTraits<HostTensor>::length(HostTensor(TensorDType::float32, {})); }),
      "no rows to split");
}

/// Lists and columns of Accelerate's own runs, but for where it fails on empty inputs.
TEST(Split, AsAccelerateDoes) {
  std::ifstream file(TRIREME_SOURCE_DIR "/tests/data/golden/accelerate.json");
  int compared = 0;
  for (const Json& run : Json::parse(file)) {
    if (run["what"] != "list" && run["what"] != "columns") continue;
    const int items = run["items"];
    const int processes = run["processes"];
    std::map<std::string, Strings> inputs;
    for (int i = 0; i < items; ++i) inputs["text"].push_back("item " + std::to_string(i));
    for (int process = 0; process < processes; ++process) {
      const Json& value = run["values"][static_cast<std::size_t>(process)];
      if (value.contains("error")) continue;
      const SplitRange range = split_range(items, process, processes, run["padding"]);
      const Strings mine = SplitTraits<std::map<std::string, Strings>>::take(inputs, range)["text"];
      const Json& theirs = run["what"] == "list" ? value : value["text"];
      EXPECT_EQ(mine, theirs.get<Strings>()) << run;
      ++compared;
    }
  }
  EXPECT_GT(compared, 400);
}

}  // namespace
}  // namespace trireme
