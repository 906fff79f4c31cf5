#include "cli/progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

#include "cli/sizes.h"

namespace trireme {

namespace {

constexpr std::chrono::milliseconds live_interval{100};
constexpr std::chrono::seconds plain_interval{10};

}  // namespace

std::string progress_line(const std::string& verb, const ProgressState& state) {
  std::string line = fmt::format("{}: {}", verb, state.rows);
  if (state.total) line += fmt::format("/{}", *state.total);
  line += state.rows == 1 && !state.total ? " row" : " rows";
  if (state.total && *state.total > 0) {
    line += fmt::format(" ({} %)", 100 * state.rows / *state.total);
  }
  if (state.errors > 0)
    line += fmt::format(", {} error{}", state.errors, state.errors > 1 ? "s" : "");
  if (state.seconds > 0) {
    // What was generated counts; where nothing is (score), what was read.
    const std::int64_t tokens = state.new_tokens > 0 ? state.new_tokens : state.prompt_tokens;
    line += fmt::format(", {} tok/s", format_count(static_cast<double>(tokens) / state.seconds));
  }
  if (state.total && state.rows > 0 && state.rows < *state.total) {
    const double left = state.seconds * static_cast<double>(*state.total - state.rows) /
                        static_cast<double>(state.rows);
    line += fmt::format(", {} left", format_seconds(left));
  } else {
    line += fmt::format(", {}", format_seconds(state.seconds));
  }
  return line;
}

Progress::Progress(std::string verb, std::optional<std::int64_t> total)
    : verb_(std::move(verb)), terminal_(look_at_terminal(STDERR_FILENO)) {
  state_.total = total;
}

Progress::~Progress() { clear(); }

void Progress::update(std::int64_t rows_done, std::int64_t errors, std::int64_t prompt_tokens,
                      std::int64_t new_tokens) {
  state_.rows = rows_done;
  state_.errors = errors;
  state_.prompt_tokens = prompt_tokens;
  state_.new_tokens = new_tokens;
  const auto since = Clock::now() - printed_;
  const bool due = terminal_.interactive ? since >= live_interval : since >= plain_interval;
  if (due) print(false);
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  print(true);
}

void Progress::clear() {
  if (!line_open_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  line_open_ = false;
}

void Progress::print(bool last) {
  printed_ = Clock::now();
  state_.seconds = std::chrono::duration<double>(printed_ - start_).count();
  std::string line = progress_line(verb_, state_);
  if (!terminal_.interactive) {
    std::fprintf(stderr, "%s\n", line.c_str());
    return;
  }
  // A line that wraps could not be overwritten.
  const auto room = static_cast<std::size_t>(terminal_.width - 1);
  if (!last && line.size() > room) line.resize(room);
  std::fprintf(stderr, "\r\033[K%s%s", line.c_str(), last ? "\n" : "");
  std::fflush(stderr);
  line_open_ = !last;
}

}  // namespace trireme
