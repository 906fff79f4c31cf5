#include "batch/metrics_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace trireme {

namespace {

class Metrics {
 public:
  /// What the lines up to the next call are about.
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    append("# HELP {} {}\n# TYPE {} {}\n", name_, help, name_, type);
  }
  void value(double value, const std::string& labels = "") { line("", labels, value); }
  void line(std::string_view suffix, const std::string& labels, double value) {
    append("{}{}{} {}\n", name_, suffix, labels.empty() ? "" : "{" + labels + "}", value);
  }
  std::string take() { return std::move(text_); }

 private:
  template <typename... Args>
  void append(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
  }

  std::string name_;
  std::string text_;
};

double number(std::uint64_t value) { return static_cast<double>(value); }

void add_rows(Metrics& metrics, const JobWatch& watch) {
  const JobCounts& counts = watch.counts();
  const auto state = [&](const char* name, std::uint64_t rows) {
    metrics.value(number(rows), fmt::format("state=\"{}\"", name));
  };
  metrics.family("trireme_rows", "gauge",
                 "Rows of the input that have been read, by what has become of them.");
  const std::uint64_t known = counts.rows_known;
  state("queued", known - std::min(known, counts.rows_done + counts.in_flight));
  state("in_flight", counts.in_flight);
  state("answered", counts.rows_done - std::min(counts.rows_done, counts.rows_failed));
  state("failed", counts.rows_failed);
  metrics.family("trireme_rows_resumed", "gauge", "Rows that earlier runs of the job answered.");
  metrics.value(number(counts.rows_resumed));
  metrics.family("trireme_input_complete", "gauge", "1 once the whole input has been read.");
  metrics.value(counts.input_ended ? 1 : 0);
}

void add_tokens(Metrics& metrics, const RowStats& rows) {
  metrics.family("trireme_prompt_tokens_total", "counter", "Input tokens of answered rows.");
  metrics.value(number(rows.prompt_tokens()));
  metrics.family("trireme_new_tokens_total", "counter", "Output tokens of answered rows.");
  metrics.value(number(rows.new_tokens()));
}

void add_latency(Metrics& metrics, const LogHistogram& latency) {
  constexpr int first_power = -7;  // 8 ms
  constexpr int last_power = 12;   // an hour
  metrics.family("trireme_row_seconds", "histogram",
                 "Time of a row from being handed to a replica until it is answered.");
  for (int power = first_power; power <= last_power; ++power) {
    const double limit = std::exp2(power);
    metrics.line("_bucket", fmt::format("le=\"{}\"", limit), number(latency.below(limit)));
  }
  metrics.line("_bucket", "le=\"+Inf\"", number(latency.count()));
  metrics.line("_sum", "", latency.sum());
  metrics.line("_count", "", number(latency.count()));
}

void add_ranks(Metrics& metrics, const RankStats& stats) {
  const auto ranks = stats.ranks();
  const auto each = [&](const char* name, const char* type, const char* help, auto value) {
    metrics.family(name, type, help);
    for (const RankStats::Rank* rank : ranks) {
      metrics.value(value(*rank),
                    fmt::format("replica=\"{}\",rank=\"{}\"", rank->replica, rank->rank));
    }
  };
  using Rank = RankStats::Rank;
  each("trireme_rank_utilisation_ratio", "gauge", "Share of the last ten seconds spent computing.",
       [](const Rank& r) { return std::clamp(r.busy.rate(), 0.0, 1.0); });
  each("trireme_rank_busy_seconds_total", "counter", "Time spent computing.",
       [](const Rank& r) { return number(r.total.busy_ns) * 1e-9; });
  each("trireme_rank_waited_seconds_total", "counter",
       "Time spent waiting for other ranks with work at hand.",
       [](const Rank& r) { return number(r.total.waited_ns) * 1e-9; });
  each("trireme_rank_steps_total", "counter", "Steps through the rank's blocks.",
       [](const Rank& r) { return number(r.total.steps); });
  each("trireme_rank_tokens_total", "counter", "Tokens that went through the rank's blocks.",
       [](const Rank& r) { return number(r.total.tokens); });
  each("trireme_rank_restarts_total", "counter", "How often the rank was started again.",
       [](const Rank& r) { return std::max(0, r.starts - 1); });
  each("trireme_rank_peak_memory_bytes", "gauge", "Resident memory at most, shared pages included.",
       [](const Rank& r) { return number(r.total.peak_bytes); });
}

}  // namespace

std::string metrics_text(const JobWatch& watch, std::int64_t now) {
  Metrics metrics;
  add_rows(metrics, watch);
  add_tokens(metrics, watch.rows());
  metrics.family("trireme_kv_cache_use_ratio", "gauge", "Share of the cache blocks in use.");
  metrics.value(watch.ranks().kv_use().value_or(0));
  add_latency(metrics, watch.rows().latency());
  add_ranks(metrics, watch.ranks());
  metrics.family("trireme_job_seconds", "gauge", "Time since this run of the job began.");
  metrics.value(watch.seconds(now));
  return metrics.take();
}

}  // namespace trireme
