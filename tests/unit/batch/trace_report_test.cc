// The trace is JSON whose spans nest and do not overlap; the report is a page on its own that no
// row can break out of.
#include <simdjson.h>

#include <map>
#include <memory>

#include "batch/report.h"
#include "batch/trace_file.h"
#include "support/scratch.h"

namespace trireme {
namespace {

constexpr std::int64_t ms = 1'000'000;

RankTrace rank_of(int rank, int steps) {
  RankTrace trace{0, rank, "rank " + std::to_string(rank) + " \"<&>\"", rank, {}, 0};
  trace.records.push_back({0, 40 * ms, 0, 0, TraceKind::load});
  for (int i = 0; i < steps; ++i) {
    const std::int64_t begin = 50 * ms + i * 10 * ms;
    const auto number = static_cast<std::uint32_t>(i);
    trace.records.push_back(
        {begin, begin + 6 * ms, rank * ms, ms, TraceKind::step, number, number % 2, 16, 4});
    trace.records.push_back(
        {begin + 6 * ms, begin + 9 * ms, 0, 0, TraceKind::result, number, number % 2});
  }
  return trace;
}

RunSummary summary_of() {
  RunSummary summary;
  summary.command = "trireme batch --model 'x</pre><script>alert(1)</script>'";
  summary.model = "<model>";
  summary.outcome = "stopped";
  for (std::uint64_t row = 0; row < 5; ++row) {
    const RawRow raw{row, row + 1, "{}"};
    summary.row_stats.read(raw, ms);
    summary.row_stats.hand_out(raw, 0, 2 * ms);
    const bool bad = row == 3;
    const char* const line =
        bad ? R"({"id":1,"error":{"code":"a<b","message":"<img src=x onerror=\"y\">'\u0001"}})"
            : "{}";
    summary.row_stats.answer(raw, {row, bad, line, 3, 4}, 50 * ms);
  }
  summary.in_flight.add(4, 0.5);
  summary.kv_use.add(0.5, 0.5);
  summary.prompt_rate.add(100, 0.5);
  summary.new_rate.add(50, 0.5);
  summary.seconds = 0.5;
  summary.ranks.push_back({{}, "rank 0", 1000});
  return summary;
}

std::string trace_of(const std::vector<RankTrace>& ranks, const RunSummary& summary) {
  std::string text;
  write_trace(ranks, summary, 0, [&](std::string_view part) { text += part; });
  return text;
}

struct Span {
  double begin = 0;
  double end = 0;
};

/// The finished events of each track, in the order of the file.
std::map<std::pair<std::int64_t, std::int64_t>, std::vector<Span>> spans_of(
    simdjson::dom::element document) {
  std::map<std::pair<std::int64_t, std::int64_t>, std::vector<Span>> tracks;
  for (simdjson::dom::element event : document["traceEvents"]) {
    if (std::string_view(event["ph"]) != "X") continue;
    const double begin = event["ts"];
    tracks[{event["pid"], event["tid"]}].push_back(
        {begin, begin + static_cast<double>(event["dur"])});
  }
  return tracks;
}

TEST(TraceFile, IsJsonWhoseSpansNest) {
  simdjson::dom::parser parser;
  const std::string text = trace_of({rank_of(0, 50), rank_of(1, 50)}, summary_of());
  simdjson::dom::element document;
  ASSERT_EQ(parser.parse(text).get(document), simdjson::SUCCESS) << text.substr(0, 500);
  const auto tracks = spans_of(document);
  ASSERT_EQ(tracks.size(), 2u);
  constexpr double rounding = 0.002;
  for (const auto& [track, spans] : tracks) {
    std::vector<Span> open;
    for (const Span& span : spans) {
      while (!open.empty() && span.begin >= open.back().end - rounding) open.pop_back();
      EXPECT_TRUE(open.empty() || span.end <= open.back().end + rounding) << "overlaps";
      open.push_back(span);
    }
    EXPECT_GE(spans.size(), 150u);
  }
}

TEST(TraceFile, HasTracksRowsAndCounters) {
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  const std::string text = trace_of({rank_of(0, 3)}, summary_of());
  ASSERT_EQ(parser.parse(text).get(document), simdjson::SUCCESS);
  std::map<std::string, int> phases;
  for (simdjson::dom::element event : document["traceEvents"]) {
    ++phases[std::string(std::string_view(event["ph"]))];
  }
  EXPECT_EQ(phases["b"], 5);
  EXPECT_EQ(phases["e"], 5);
  EXPECT_EQ(phases["C"], 2);
  EXPECT_GE(phases["M"], 3);
  EXPECT_EQ(std::string_view(document["otherData"]["outcome"]), "stopped");
}

TEST(TraceFile, LeavesOutTheOldestOfTooMany) {
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  RankTrace rank = rank_of(0, static_cast<int>(most_traced_records));
  rank.dropped = 7;
  const std::string text = trace_of({rank}, {});
  ASSERT_EQ(parser.parse(text).get(document), simdjson::SUCCESS);
  EXPECT_EQ(document["otherData"]["steps_left_out"].get_uint64().value(),
            most_traced_records + 1 + 7);
}

TEST(TraceRing, KeepsTheYoungestAndDropsNonsense) {
  const auto ring = std::make_unique<TraceRing>();
  ring->add({1, 2});
  EXPECT_TRUE(read(*ring).records.empty()) << "it is off";
  ring->on = 1;
  const std::int64_t count = static_cast<std::int64_t>(TraceRing::capacity) + 100;
  for (std::int64_t i = 0; i < count; ++i) ring->add({10 * i, 10 * i + 5});
  TracePart part = read(*ring);
  EXPECT_LE(part.records.size(), TraceRing::capacity);
  EXPECT_GE(part.records.size(), TraceRing::capacity - 1);
  EXPECT_EQ(part.records.back().begin_ns, 10 * (count - 1));
  EXPECT_EQ(part.dropped + part.records.size(), static_cast<std::uint64_t>(count));
  ring->records[500] = {50, 20};                        // ends before it begins
  ring->records[501].kind = static_cast<TraceKind>(9);  // unknown
  ring->records[502].begin_ns = 1;                      // before the one before
  EXPECT_EQ(read(*ring).records.size() + 3, part.records.size());
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++count;
  return count;
}

TEST(Report, NothingFromOutsideBecomesMarkup) {
  const std::string page = report_page(summary_of(), {rank_of(0, 40), rank_of(1, 40)}, 0);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("<img"), std::string::npos);
  EXPECT_EQ(page.find("<model>"), std::string::npos);
  EXPECT_EQ(page.find('\x01'), std::string::npos);
  expect_contains(page, "&lt;img src=x onerror=&quot;y&quot;&gt;");
  expect_contains(page, "a&lt;b");
  expect_contains(page, "row 3 (line 4)");
}

TEST(Report, NeedsNothingElseAndIsBalanced) {
  const std::string page = report_page(summary_of(), {rank_of(0, 40), rank_of(1, 40)}, 0);
  for (const char* outside : {"http://", "https://", "src=\"", "@import", "url("}) {
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  }
  for (const std::string tag :
       {"div", "svg", "table", "section", "main", "pre", "title", "style"}) {
    EXPECT_EQ(count_of(page, "<" + tag + ">") + count_of(page, "<" + tag + " "),
              count_of(page, "</" + tag + ">"))
        << tag;
  }
  expect_contains(page, "micro-batch 1");
  expect_contains(page, "ended early");
  EXPECT_EQ(page.find("nan"), std::string::npos);
  EXPECT_EQ(page.find("inf"), page.find("info")) << "a number that is none";
}

TEST(Report, AJobThatHadNoTimeForAnything) {
  const std::string page = report_page({}, {}, 0);
  expect_contains(page, "</html>");
  EXPECT_EQ(page.find("<svg viewBox=\"0 0 nan"), std::string::npos);
}

}  // namespace
}  // namespace trireme
