// What the ranks of a job did within a few steps: where the bubbles of a pipeline show.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "batch/report_parts.h"

namespace trireme {

namespace {

constexpr double left = 170;  // room for the ranks' names
constexpr double width = 1060;
constexpr double lane = 20;
constexpr double gap = 6;
constexpr std::size_t most_ranks = 32;
constexpr std::array colours{"c1", "c2", "c3", "c4", "c5", "c6"};

struct Window {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  double scale() const { return (width - left) / static_cast<double>(end_ns - begin_ns); }
  double x(std::int64_t ns) const {
    return left + static_cast<double>(std::clamp(ns, begin_ns, end_ns) - begin_ns) * scale();
  }
};

std::vector<const TraceRecord*> steps_of(const RankTrace& trace) {
  std::vector<const TraceRecord*> steps;
  for (const TraceRecord& record : trace.records) {
    if (record.kind == TraceKind::step) steps.push_back(&record);
  }
  return steps;
}

/// About two rounds of a pipeline and a dozen steps at least, around a point `share` of the way
/// through what is recorded of the first rank.
std::optional<Window> window_at(const RankTrace& first, double share) {
  const std::vector<const TraceRecord*> steps = steps_of(first);
  if (steps.empty()) return std::nullopt;
  std::uint32_t most = 0;
  for (const TraceRecord* step : steps) most = std::max(most, step->micro_batch);
  const std::size_t shown = std::min<std::size_t>(steps.size(), std::max(12u, 4 * (most + 1)));
  const auto begin =
      static_cast<std::size_t>(share * static_cast<double>(steps.size() - shown) + 0.5);
  const TraceRecord& last = *steps[begin + shown - 1];
  const Window window{steps[begin]->begin_ns, last.end_ns};
  return window.end_ns > window.begin_ns ? std::optional(window) : std::nullopt;
}

std::string box(const Window& window, double y, std::int64_t begin_ns, std::int64_t end_ns,
                const char* colour, const std::string& title) {
  if (end_ns <= window.begin_ns || begin_ns >= window.end_ns || end_ns <= begin_ns) return "";
  const double x = window.x(begin_ns);
  const double size = std::max(0.6, window.x(end_ns) - x - 0.4);
  return fmt::format(
      R"(<rect class="{}" x="{:.2f}" y="{:.1f}" width="{:.2f}" height="{}" rx="1.5"><title>{}</title></rect>)",
      colour, x, y, size, lane, title);
}

std::string step_boxes(const Window& window, double y, const TraceRecord& r) {
  const auto ms = [](std::int64_t ns) { return short_time(static_cast<double>(ns) * 1e-9); };
  const std::int64_t input = r.begin_ns + r.input_wait_ns;
  const std::int64_t work_end = r.end_ns - r.other_wait_ns;
  return box(window, y, r.begin_ns, input, "wait",
             fmt::format("waits {} for the stage before", ms(r.input_wait_ns))) +
         box(window, y, input, work_end, colours[r.micro_batch % colours.size()],
             fmt::format("step {}, micro-batch {}: {} tokens of {} sequences, {}", r.step,
                         r.micro_batch, r.tokens, r.sequences, ms(work_end - input))) +
         box(window, y, work_end, r.end_ns, "wait",
             fmt::format("waits {} in sum for other ranks", ms(r.other_wait_ns)));
}

std::string record_boxes(const Window& window, double y, const TraceRecord& record) {
  const double seconds = static_cast<double>(record.end_ns - record.begin_ns) * 1e-9;
  switch (record.kind) {
    case TraceKind::step:
      return step_boxes(window, y, record);
    case TraceKind::result:
      return box(
          window, y, record.begin_ns, record.end_ns, "wait",
          fmt::format("waits {} for the result of step {}", short_time(seconds), record.step));
    case TraceKind::load:
      return box(window, y, record.begin_ns, record.end_ns, "load",
                 fmt::format("loads for {}", short_time(seconds)));
  }
  return "";
}

std::string axis(const Window& window, double y, std::int64_t start_ns) {
  std::string svg;
  const auto length = static_cast<double>(window.end_ns - window.begin_ns) * 1e-9;
  for (const double share : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    const double x = left + share * (width - left);
    svg +=
        fmt::format(R"(<line class="grid-line" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1:.1f}"/>)"
                    R"(<text x="{0:.1f}" y="{2:.1f}" text-anchor="{3}">{4}</text>)",
                    x, y, y + 14,
                    share == 0   ? "start"
                    : share == 1 ? "end"
                                 : "middle",
                    share == 0 ? short_time(static_cast<double>(window.begin_ns - start_ns) * 1e-9)
                               : fmt::format("+{}", short_time(share * length)));
  }
  return svg;
}

std::string lanes(const std::vector<RankTrace>& traces, const Window& window,
                  std::int64_t start_ns) {
  const std::size_t count = std::min(traces.size(), most_ranks);
  const double height = static_cast<double>(count) * (lane + gap);
  std::string svg = fmt::format(
      R"(<div class="card wide"><svg viewBox="0 0 {} {}" role="img" aria-label="timeline">)", width,
      height + 20);
  svg += axis(window, height, start_ns);
  for (std::size_t i = 0; i < count; ++i) {
    const double y = static_cast<double>(i) * (lane + gap);
    svg += fmt::format(R"(<text class="name" x="0" y="{:.1f}">{}</text>)"
                       R"(<rect class="lane" x="{}" y="{:.1f}" width="{}" height="{}" rx="2"/>)",
                       y + 14, html(traces[i].name), left, y, width - left, lane);
    for (const TraceRecord& record : traces[i].records) {
      svg += record_boxes(window, y, record);
    }
  }
  return svg + "</svg></div>";
}

std::string legend(std::uint32_t micro_batches) {
  std::string text = R"(<div class="legend">)";
  for (std::uint32_t i = 0; i < std::min<std::uint32_t>(micro_batches, colours.size()); ++i) {
    text += fmt::format(
        R"h(<span><i style="background:var(--{})"></i>{}</span>)h", colours[i],
        micro_batches == 1 ? std::string("computing") : fmt::format("micro-batch {}", i));
  }
  return text + R"h(<span><i style="background:var(--wait)"></i>waiting for another rank</span>)h"
                R"h(<span><i style="background:var(--grid)"></i>no work at hand</span></div>)h";
}

}  // namespace

std::string timeline(const std::vector<RankTrace>& traces, std::int64_t start_ns) {
  if (traces.empty()) return "";
  const std::optional<Window> middle = window_at(traces.front(), 0.5);
  if (!middle) return "";
  std::uint32_t micro_batches = 1;
  for (const TraceRecord* step : steps_of(traces.front())) {
    micro_batches = std::max(micro_batches, step->micro_batch + 1);
  }
  std::string text = legend(micro_batches) + lanes(traces, *middle, start_ns);
  const std::optional<Window> late = window_at(traces.front(), 0.95);
  if (late && late->begin_ns > middle->end_ns) {
    text += R"(<p class="note" style="margin:14px 0 6px">And near the end:</p>)";
    text += lanes(traces, *late, start_ns);
  }
  if (traces.size() > most_ranks) {
    text +=
        fmt::format(R"(<p class="note">The first {} of {} ranks.</p>)", most_ranks, traces.size());
  }
  return text;
}

}  // namespace trireme
