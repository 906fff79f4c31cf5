#include "batch/rank_stats.h"

#include <algorithm>

namespace trireme {

namespace {

constexpr double slow = 0.6;  // of the median replica's rate
constexpr double slow_for_seconds = 10;

double as_seconds(std::uint64_t ns) { return static_cast<double>(ns) * 1e-9; }

/// Counts add up, what is held does not.
RankSample sum(const RankSample& before, const RankSample& now) {
  RankSample sum = now;
  sum.busy_ns += before.busy_ns;
  sum.waited_ns += before.waited_ns;
  sum.steps += before.steps;
  sum.tokens += before.tokens;
  for (int i = 0; i < step_classes; ++i) {
    sum.step_count[i] += before.step_count[i];
    sum.step_tokens[i] += before.step_tokens[i];
  }
  sum.peak_bytes = std::max(before.peak_bytes, now.peak_bytes);
  sum.shared_bytes = std::max(before.shared_bytes, now.shared_bytes);
  sum.kv_blocks = std::max(before.kv_blocks, now.kv_blocks);
  return sum;
}

double share(double part, double whole) {
  return whole > 0 ? std::clamp(part / whole, 0.0, 1.0) : 0;
}

}  // namespace

// What is counted in seconds begins with the first sample, which comes a little after the first
// step.
double RankStats::Rank::busy_share() const {
  return share(as_seconds(total.busy_ns),
               std::max(seconds, as_seconds(total.busy_ns + total.waited_ns)));
}
double RankStats::Rank::waited_share() const {
  return share(as_seconds(total.waited_ns),
               std::max(seconds, as_seconds(total.busy_ns + total.waited_ns)));
}

void RankStats::sample(int replica, int rank, const RankSample& sample, double now) {
  State& state = states_[{replica, rank}];
  state.rank.replica = replica;
  state.rank.rank = rank;
  if (sample.began_ns != state.last.began_ns) {  // a fresh process
    state.before = state.rank.total;
    state.seen_at.reset();
    ++state.rank.starts;
  } else if (sample.busy_ns < state.last.busy_ns || sample.steps < state.last.steps) {
    return;  // older than what is known: a message that was overtaken
  }
  state.last = sample;
  state.rank.total = sum(state.before, sample);
  if (sample.ready_ns == 0) return;
  if (state.seen_at) state.rank.seconds += std::max(0.0, now - *state.seen_at);
  state.seen_at = now;
}

void RankStats::ended(int replica) {
  for (auto& [place, state] : states_) {
    if (place.first != replica) continue;
    state.seen_at.reset();
    state.last.kv_used = state.rank.total.kv_used = 0;
  }
}

void RankStats::tick(double now, const std::function<bool(int replica)>& at_work) {
  const double seconds = now - ticked_at_;
  if (seconds <= 0) return;
  ticked_at_ = now;
  for (auto& [place, state] : states_) {
    const double busy = as_seconds(state.rank.total.busy_ns);
    // A step that ends now may have begun before: more than the whole time does not fit in here.
    state.rank.utilisation.add(share(busy - state.busy_seen, seconds), seconds);
    state.busy_seen = busy;
    if (!state.seen_at) continue;
    state.rank.busy.add(now, busy);
    state.rank.tokens.add(now, static_cast<double>(state.rank.total.tokens));
  }
  find_stragglers(now, at_work);
}

void RankStats::find_stragglers(double now, const std::function<bool(int replica)>& at_work) {
  stragglers_.clear();
  std::vector<std::pair<double, int>> rates;  // of replicas with work, by their first ranks
  for (const auto& [place, state] : states_) {
    if (place.second != 0 || !state.seen_at || !at_work(place.first)) continue;
    if (state.rank.seconds < slow_for_seconds) continue;
    rates.emplace_back(state.rank.tokens.rate(), place.first);
  }
  std::map<int, double> still_slow;
  if (rates.size() >= 2) {
    std::ranges::sort(rates);
    const double median = rates[rates.size() / 2].first;  // of two: the faster
    for (const auto& [rate, replica] : rates) {
      if (rate >= slow * median) continue;
      const auto since = slow_since_.find(replica);
      still_slow[replica] = since == slow_since_.end() ? now : since->second;
      if (now - still_slow[replica] < slow_for_seconds) continue;
      stragglers_.push_back({replica, rate / median});
    }
  }
  slow_since_ = std::move(still_slow);
}

std::vector<const RankStats::Rank*> RankStats::ranks() const {
  std::vector<const Rank*> ranks;
  for (const auto& [place, state] : states_) ranks.push_back(&state.rank);
  return ranks;
}

bool RankStats::any_ready() const {
  return std::ranges::any_of(states_, [](const auto& s) { return s.second.seen_at.has_value(); });
}

std::optional<double> RankStats::kv_use() const {
  double used = 0;
  double blocks = 0;
  for (const auto& [place, state] : states_) {
    if (place.second != 0 || !state.seen_at) continue;
    used += static_cast<double>(state.last.kv_used);
    blocks += static_cast<double>(state.last.kv_blocks);
  }
  if (blocks <= 0) return std::nullopt;
  return share(used, blocks);
}

}  // namespace trireme
