#include "batch/trace_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "batch/json_text.h"

namespace trireme {

namespace {

constexpr int job_process = 1'000'000;  // beyond all replicas

/// Puts events together and passes them on in large pieces.
class Events {
 public:
  Events(std::int64_t start_ns, const std::function<void(std::string_view)>& write)
      : start_ns_(start_ns), write_(write) {
    text_ = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[";
  }

  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    text_ += first_ ? "\n" : ",\n";
    first_ = false;
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    if (text_.size() < large) return;
    write_(text_);
    text_.clear();
  }
  /// A finished event; `more`: further members, with a comma before each.
  void span(std::string_view name, const RankTrace& rank, std::int64_t begin_ns,
            std::int64_t end_ns, std::string_view more = "") {
    add(R"({{"ph":"X","name":"{}","pid":{},"tid":{},"ts":{},"dur":{}{}}})", name, rank.replica,
        rank.rank, time(begin_ns), microseconds(end_ns - begin_ns), more);
  }
  std::string time(std::int64_t ns) const { return microseconds(ns - start_ns_); }
  void end(std::string_view other) {
    text_ += "\n],\"otherData\":";
    text_ += other;
    text_ += "}\n";
    write_(text_);
  }

 private:
  static constexpr std::size_t large = 1 << 16;

  static std::string microseconds(std::int64_t ns) {
    return fmt::format("{}{}.{:03}", ns < 0 ? "-" : "", std::abs(ns) / 1000, std::abs(ns) % 1000);
  }

  std::int64_t start_ns_;
  const std::function<void(std::string_view)>& write_;
  std::string text_;
  bool first_ = true;
};

void name_tracks(Events& events, const std::vector<RankTrace>& ranks) {
  int replica = -1;
  for (const RankTrace& rank : ranks) {
    if (rank.replica != replica) {
      events.add(R"({{"ph":"M","name":"process_name","pid":{},"args":{{"name":"replica {}"}}}})",
                 rank.replica, rank.replica);
    }
    replica = rank.replica;
    events.add(R"({{"ph":"M","name":"thread_name","pid":{},"tid":{},"args":{{"name":{}}}}})",
               rank.replica, rank.rank, json_string(rank.name));
    events.add(
        R"({{"ph":"M","name":"thread_sort_index","pid":{},"tid":{},"args":{{"sort_index":{}}}}})",
        rank.replica, rank.rank, rank.rank);
  }
  events.add(R"({{"ph":"M","name":"process_name","pid":{},"args":{{"name":"job"}}}})", job_process);
}

/// A step with what it consists of. Waits within a tensor group are many and short: they are drawn
/// as one, at the end.
void add_step(Events& events, const RankTrace& rank, const TraceRecord& r) {
  events.span(fmt::format("step {}", r.step), rank, r.begin_ns, r.end_ns,
              fmt::format(R"(,"args":{{"micro_batch":{},"tokens":{},"sequences":{}}})",
                          r.micro_batch, r.tokens, r.sequences));
  const std::int64_t input = r.begin_ns + r.input_wait_ns;
  const std::int64_t work_end = r.end_ns - r.other_wait_ns;
  if (r.input_wait_ns > 0) {
    events.span(fmt::format("wait for stage {}", rank.stage - 1), rank, r.begin_ns, input);
  }
  events.span("compute", rank, input, work_end);
  if (r.other_wait_ns > 0) {
    events.span("waits for other ranks, summed", rank, work_end, r.end_ns);
  }
}

void add_record(Events& events, const RankTrace& rank, const TraceRecord& record) {
  switch (record.kind) {
    case TraceKind::load:
      return events.span("load", rank, record.begin_ns, record.end_ns);
    case TraceKind::step:
      return add_step(events, rank, record);
    case TraceKind::result:
      return events.span(fmt::format("wait for the result of step {}", record.step), rank,
                         record.begin_ns, record.end_ns);
  }
}

void add_rows(Events& events, const RowStats& rows) {
  for (const RowSpan& row : rows.spans()) {
    const std::string common = fmt::format(
        R"("cat":"row","name":"row {}","id":"{}","pid":{},"tid":0)", row.row, row.row, row.worker);
    events.add(R"({{"ph":"b",{},"ts":{}}})", common, events.time(row.begin_ns));
    events.add(
        R"({{"ph":"e",{},"ts":{},"args":{{"prompt_tokens":{},"new_tokens":{},"failed":{}}}}})",
        common, events.time(row.end_ns), row.prompt_tokens, row.new_tokens, row.failed);
  }
}

void add_counter(Events& events, std::string_view name, const Series& series) {
  for (const Series::Point& point : series.points()) {
    events.add(R"({{"ph":"C","name":"{}","pid":{},"ts":{:.0f},"args":{{"value":{:.4f}}}}})", name,
               job_process, point.begin * 1e6, point.value);
  }
}

}  // namespace

void write_trace(const std::vector<RankTrace>& ranks, const RunSummary& summary,
                 std::int64_t start_ns, const std::function<void(std::string_view)>& write) {
  Events events(start_ns, write);
  name_tracks(events, ranks);
  const std::size_t each = most_traced_records / std::max<std::size_t>(1, ranks.size());
  std::uint64_t dropped = 0;
  for (const RankTrace& rank : ranks) {
    const std::size_t skip = rank.records.size() > each ? rank.records.size() - each : 0;
    dropped += rank.dropped + skip;
    for (std::size_t i = skip; i < rank.records.size(); ++i) {
      add_record(events, rank, rank.records[i]);
    }
  }
  add_rows(events, summary.row_stats);
  add_counter(events, "rows in flight", summary.in_flight);
  add_counter(events, "KV cache use", summary.kv_use);
  events.end(fmt::format(R"({{"command":{},"outcome":{},"steps_left_out":{},"rows_left_out":{}}})",
                         json_string(summary.command), json_string(summary.outcome), dropped,
                         summary.row_stats.dropped_spans()));
}

}  // namespace trireme
