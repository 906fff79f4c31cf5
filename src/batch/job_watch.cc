#include "batch/job_watch.h"

#include <algorithm>

namespace trireme {

namespace {

constexpr double tick_seconds = 0.25;

}  // namespace

void JobWatch::sample(int replica, int rank, const RankSample& sample, std::int64_t now) {
  ranks_.sample(replica, rank, sample, seconds(now));
}

void JobWatch::tick(const JobCounts& counts, std::int64_t now) {
  counts_ = counts;
  const double at = seconds(now);
  // At once, not a quarter of a second later: a small job may be over by then.
  if (!work_began_ && (counts.in_flight > 0 || ranks_.any_ready())) work_began_ = at;
  const double passed = at - ticked_at_;
  if (passed < tick_seconds) return;
  ticked_at_ = at;
  ranks_.tick(
      at, [this](int replica) { return rows_.in_flight(static_cast<std::uint32_t>(replica)) > 0; });
  const auto prompt = static_cast<double>(rows_.prompt_tokens());
  const auto fresh = static_cast<double>(rows_.new_tokens());
  prompt_series_.add((prompt - prompt_seen_) / passed, passed);
  new_series_.add((fresh - new_seen_) / passed, passed);
  prompt_seen_ = prompt;
  new_seen_ = fresh;
  in_flight_series_.add(static_cast<double>(counts.in_flight), passed);
  kv_series_.add(ranks_.kv_use().value_or(0), passed);
  if (!work_began_) return;  // loading says nothing about the rate
  prompt_rate_.add(at, prompt);
  new_rate_.add(at, fresh);
  work_.add(at, static_cast<double>(rows_.bytes_answered()));
}

/// By bytes: rows differ in length, and the number of rows may not be known yet. The bytes of an
/// input that is all read are known, too.
std::optional<Spread> JobWatch::seconds_left() const {
  std::optional<std::uint64_t> total = input_bytes_;
  if (counts_.input_ended) total = rows_.bytes_read();
  if (!total) return std::nullopt;
  const std::uint64_t done = rows_.bytes_answered() + rows_.bytes_skipped();
  return work_.time_for(static_cast<double>(*total > done ? *total - done : 0));
}

ProgressState JobWatch::state(std::int64_t now) const {
  ProgressState state{.rows = static_cast<std::int64_t>(counts_.rows_done),
                      .in_flight = static_cast<std::int64_t>(counts_.in_flight),
                      .errors = static_cast<std::int64_t>(counts_.rows_failed),
                      .prompt_tokens_per_s = prompt_rate_.rate(),
                      .new_tokens_per_s = new_rate_.rate(),
                      .seconds_left = seconds_left(),
                      .kv_use = ranks_.kv_use(),
                      .stragglers = ranks_.stragglers(),
                      .loading = !work_began_.has_value(),
                      .seconds = seconds(now)};
  if (counts_.input_ended) state.total = static_cast<std::int64_t>(counts_.rows_known);
  for (const RankStats::Rank* rank : ranks_.ranks()) {
    state.utilisation.push_back(std::clamp(rank->busy.rate(), 0.0, 1.0));
  }
  return state;
}

RunSummary JobWatch::summary(std::int64_t now) const {
  RunSummary summary{.rows = counts_.rows_done,
                     .rows_known = counts_.rows_known,
                     .input_ended = counts_.input_ended,
                     .resumed = counts_.rows_resumed,
                     .failed = counts_.rows_failed,
                     .seconds = seconds(now),
                     .row_stats = rows_,
                     .prompt_rate = prompt_series_,
                     .new_rate = new_series_,
                     .in_flight = in_flight_series_,
                     .kv_use = kv_series_};
  summary.working_seconds = work_began_ ? summary.seconds - *work_began_ : 0;
  for (const RankStats::Rank* rank : ranks_.ranks()) summary.ranks.push_back({*rank, "", 0});
  return summary;
}

}  // namespace trireme
