#include "cli/end_table.h"

#include <fmt/core.h>

#include <cmath>
#include <vector>

#include "cli/sizes.h"

namespace trireme {

namespace {

using Row = std::vector<std::string>;

std::string percent(double share) { return fmt::format("{} %", std::lround(100 * share)); }

std::string rows_text(const RunSummary& s) {
  std::string text = fmt::format("{}", s.rows);
  if (s.resumed > 0) text += fmt::format(" ({} by earlier runs)", s.resumed);
  if (s.failed > 0) text += fmt::format(", {} failed", s.failed);
  return text;
}

/// "too_long 12, invalid_json 3": of this run.
std::string errors_text(const RunSummary& s) {
  std::string text;
  for (const auto& [code, errors] : top_errors(s.row_stats.errors(), 5)) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", code, errors.count);
  }
  return text;
}

std::string tokens_text(const RunSummary& s, std::uint64_t tokens) {
  return fmt::format("{} ({} tok/s)", format_count(static_cast<double>(tokens)),
                     format_count(s.rate(tokens)));
}

/// To two digits: the histogram knows no more.
std::string short_seconds(double seconds) {
  if (seconds < 0.1) return fmt::format("{:.2g} ms", seconds * 1e3);
  if (seconds < 1) return fmt::format("{:.0f} ms", seconds * 1e3);
  return format_seconds(seconds);
}

std::string quantiles(const LogHistogram& times) {
  return fmt::format("p50 {}, p99 {}", short_seconds(times.quantile(0.5)),
                     short_seconds(times.quantile(0.99)));
}

std::string limit_text(const RunSummary& s) {
  const RunLimits& limits = *s.limits;
  std::string text = fmt::format("{} of the machine's measured limit",
                                 percent(limits.limit_seconds / s.working_seconds));
  if (limits.predicted_seconds > 0) {
    text += fmt::format("; {} of what plan predicted",
                        percent(limits.predicted_seconds / s.working_seconds));
  }
  return text;
}

/// `right`: columns from here on are numbers.
std::string table(const std::vector<Row>& rows, std::size_t right) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line = " ";
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += i < right ? fmt::format(" {:<{}} ", row[i], widths[i])
                        : fmt::format(" {:>{}} ", row[i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string ranks_table(const RunSummary& s) {
  std::vector<Row> rows{
      {"", "busy", "waited", "peak memory", "of it shared", "planned", "steps", "restarts"}};
  for (const RankSummary& r : s.ranks) {
    const RankStats::Rank& rank = r.rank;
    rows.push_back({r.name, percent(rank.busy_share()), percent(rank.waited_share()),
                    format_bytes(static_cast<std::int64_t>(rank.total.peak_bytes)),
                    format_bytes(static_cast<std::int64_t>(rank.total.shared_bytes)),
                    r.planned_bytes > 0 ? format_bytes(static_cast<std::int64_t>(r.planned_bytes))
                                        : std::string("-"),
                    fmt::format("{}", rank.total.steps),
                    fmt::format("{}", std::max(0, rank.starts - 1))});
  }
  return table(rows, 1);
}

}  // namespace

std::string end_table(const RunSummary& s, const Terminal& terminal) {
  std::vector<Row> lines{{"rows", rows_text(s)}};
  if (!s.row_stats.errors().empty()) lines.push_back({"errors", errors_text(s)});
  lines.push_back({"input", tokens_text(s, s.row_stats.prompt_tokens())});
  if (s.row_stats.new_tokens() > 0) {
    lines.push_back({"output", tokens_text(s, s.row_stats.new_tokens())});
  }
  if (s.row_stats.latency().count() > 0) {
    lines.push_back({"row time", quantiles(s.row_stats.latency())});
    lines.push_back({"in queue", quantiles(s.row_stats.queued())});
  }
  lines.push_back(
      {"time", fmt::format("{} ({} until the first replica was ready)", format_seconds(s.seconds),
                           format_seconds(s.seconds - s.working_seconds))});
  if (s.limits && s.working_seconds > 0) lines.push_back({"speed", limit_text(s)});
  const std::string text = table(lines, 2);
  return s.ranks.empty() ? text : text + paint(terminal, Colour::dim, ranks_table(s));
}

}  // namespace trireme
