#include "cli/progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "cli/sizes.h"

namespace trireme {

namespace {

constexpr std::chrono::milliseconds live_interval{100};
constexpr std::chrono::seconds plain_interval{10};
constexpr std::size_t plain_room = 400;

/// Goes first: 0. The line keeps parts of a lower number longer.
struct Part {
  int rank = 0;
  std::string text;
};

std::string joined(const std::vector<Part>& parts) {
  std::string line;
  for (const Part& part : parts) line += (line.empty() ? "" : ", ") + part.text;
  return line;
}

std::string rows_text(const std::string& verb, const ProgressState& state) {
  std::string text = fmt::format("{}: {}", verb, state.rows);
  if (state.total) text += fmt::format("/{}", *state.total);
  text += state.rows == 1 && !state.total ? " row" : " rows";
  if (state.total && *state.total > 0) {
    text += fmt::format(" ({} %)", 100 * state.rows / *state.total);
  }
  return text;
}

/// What is generated counts; where nothing is (score), what is read is all there is.
std::string rate_text(const ProgressState& state) {
  const std::string read = format_count(state.prompt_tokens_per_s);
  if (state.new_tokens_per_s <= 0) return fmt::format("{} tok/s", read);
  return fmt::format("in {} out {} tok/s", read, format_count(state.new_tokens_per_s));
}

std::string percents(const std::vector<double>& shares) {
  constexpr std::size_t most_listed = 16;
  const auto percent = [](double share) { return std::lround(100 * share); };
  if (shares.size() > most_listed) {
    std::vector<double> sorted = shares;
    std::ranges::sort(sorted);
    return fmt::format("{} ranks {}-{} %, median {} %", sorted.size(), percent(sorted.front()),
                       percent(sorted.back()), percent(sorted[sorted.size() / 2]));
  }
  std::string text = shares.size() == 1 ? "rank" : "ranks";
  for (const double share : shares) text += fmt::format(" {}", percent(share));
  return text + " %";
}

std::vector<Part> parts_of(const std::string& verb, const ProgressState& state) {
  std::vector<Part> parts{{0, rows_text(verb, state)}};
  const auto add = [&](int rank, std::string text) { parts.push_back({rank, std::move(text)}); };
  if (state.loading) add(1, "loading");
  if (state.in_flight > 0) add(5, fmt::format("{} in flight", state.in_flight));
  if (state.errors > 0) add(1, fmt::format("{} failed", state.errors));
  if (!state.loading && state.seconds > 0) add(3, rate_text(state));
  if (state.seconds_left) {
    add(2, duration_range(*state.seconds_left) + " left");
  } else {
    add(6, format_seconds(state.seconds));
  }
  if (state.kv_use) add(8, fmt::format("KV {} %", std::lround(100 * *state.kv_use)));
  if (!state.utilisation.empty() && !state.loading) add(7, percents(state.utilisation));
  for (const ProgressState::Straggler& slow : state.stragglers) {
    add(4, fmt::format("replica {} at {} % of the others' rate", slow.replica,
                       std::lround(100 * slow.share)));
  }
  return parts;
}

}  // namespace

std::string duration_range(const Spread& seconds) {
  struct Unit {
    const char* name;
    double seconds;
  };
  constexpr Unit units[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"days", 86400}};
  const double high = std::max(seconds.high, 0.0);
  const auto fits = [&](const Unit& unit) { return high >= 1.5 * unit.seconds; };
  const Unit* unit = &units[0];
  for (const Unit& larger : units) unit = fits(larger) ? &larger : unit;
  // Down for the best case, up for the worst; seconds in fives, nobody believes more.
  const double grain = unit == &units[0] && high > 10 ? 5 : 1;
  const double low = std::floor(std::max(seconds.low, 0.0) / unit->seconds / grain) * grain;
  const double most = std::max(1.0, std::ceil(high / unit->seconds / grain) * grain);
  if (low >= most || most == 1) return fmt::format("about {:.0f} {}", most, unit->name);
  return fmt::format("{:.0f}-{:.0f} {}", low, most, unit->name);
}

std::string progress_line(const std::string& verb, const ProgressState& state, std::size_t room) {
  std::vector<Part> parts = parts_of(verb, state);
  std::string line = joined(parts);
  while (line.size() > room && parts.size() > 1) {
    parts.erase(std::ranges::max_element(parts, {}, &Part::rank));
    line = joined(parts);
  }
  if (line.size() > room) line.resize(room);
  return line;
}

std::string last_line(const std::string& verb, const ProgressState& state) {
  std::vector<Part> parts{{0, rows_text(verb, state)}};
  if (state.errors > 0) parts.push_back({0, fmt::format("{} failed", state.errors)});
  if (state.seconds > 0) parts.push_back({0, rate_text(state)});
  parts.push_back({0, format_seconds(state.seconds)});
  return joined(parts);
}

Progress::Progress(std::string verb, std::optional<std::int64_t> total, bool quiet)
    : verb_(std::move(verb)), quiet_(quiet), terminal_(look_at_terminal(STDERR_FILENO)) {
  state_.total = total;
}

Progress::~Progress() { clear(); }

bool Progress::due() const {
  if (quiet_) return false;
  const auto since = Clock::now() - printed_;
  return terminal_.interactive ? since >= live_interval : since >= plain_interval;
}

void Progress::update(std::int64_t rows_done, std::int64_t errors, std::int64_t prompt_tokens,
                      std::int64_t new_tokens) {
  state_.rows = rows_done;
  state_.errors = errors;
  prompt_tokens_ = prompt_tokens;
  new_tokens_ = new_tokens;
  update([this] {
    state_.seconds = seconds();
    rows_rate_.add(state_.seconds, static_cast<double>(state_.rows));
    prompt_rate_.add(state_.seconds, static_cast<double>(prompt_tokens_));
    new_rate_.add(state_.seconds, static_cast<double>(new_tokens_));
    state_.prompt_tokens_per_s = prompt_rate_.rate();
    state_.new_tokens_per_s = new_rate_.rate();
    state_.seconds_left.reset();
    if (state_.total) {
      state_.seconds_left = rows_rate_.time_for(static_cast<double>(*state_.total - state_.rows));
    }
    return state_;
  });
}

void Progress::update(const std::function<ProgressState()>& state) {
  if (!due()) return;
  // A line that wraps could not be overwritten.
  const auto room =
      terminal_.interactive ? static_cast<std::size_t>(terminal_.width - 1) : plain_room;
  print(progress_line(verb_, state(), room), false);
}

void Progress::finish() {
  state_.seconds = seconds();
  const auto rate = [&](std::int64_t tokens) {
    return state_.seconds > 0 ? static_cast<double>(tokens) / state_.seconds : 0;
  };
  state_.prompt_tokens_per_s = rate(prompt_tokens_);
  state_.new_tokens_per_s = rate(new_tokens_);
  finish(state_);
}

void Progress::finish(const ProgressState& state) {
  if (finished_) return;
  finished_ = true;
  print(last_line(verb_, state), true);
}

void Progress::clear() {
  if (!line_open_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  line_open_ = false;
}

void Progress::print(const std::string& line, bool last) {
  printed_ = Clock::now();
  if (!terminal_.interactive) {
    std::fprintf(stderr, "%s\n", line.c_str());
    return;
  }
  std::fprintf(stderr, "\r\033[K%s%s", line.c_str(), last ? "\n" : "");
  std::fflush(stderr);
  line_open_ = !last;
}

}  // namespace trireme
