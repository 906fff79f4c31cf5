#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "batch/report_parts.h"

namespace trireme {

namespace {

constexpr double left = 46;  // room for the numbers of the axis
constexpr double below = 20;
constexpr std::size_t most_points = 160;

/// 1, 2 or 5 times a power of ten, not below `value`.
double nice_above(double value) {
  if (!(value > 0)) return 1;
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (value <= factor * power) return factor * power;
  }
  return 10 * power;
}

/// A round length of time of which `seconds` holds no more than `most`.
double time_tick(double seconds, double most) {
  constexpr std::array ticks{1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0};
  for (const double tick : ticks) {
    if (seconds / tick <= most) return seconds < 4 ? nice_above(seconds / most) : tick;
  }
  return nice_above(seconds / 3600 / most) * 3600;
}

/// No more than `most_points`, neighbours merged.
std::vector<Series::Point> thinned(const Series& series) {
  const std::vector<Series::Point> points = series.points();
  const std::size_t each = points.size() / most_points + 1;
  std::vector<Series::Point> few;
  for (std::size_t i = 0; i < points.size(); i += each) {
    Series::Point sum{points[i].begin, 0, 0};
    for (std::size_t j = i; j < std::min(points.size(), i + each); ++j) {
      sum.seconds += points[j].seconds;
      sum.value += points[j].value * points[j].seconds;
    }
    sum.value /= sum.seconds;
    few.push_back(sum);
  }
  return few;
}

struct Frame {
  double width = 0;
  double height = 0;
  double bottom() const { return height - below; }
};

std::string time_axis(const Frame& frame, double seconds, double scale) {
  std::string svg;
  const double tick = time_tick(seconds, frame.width / 70);
  for (double at = 0; at <= seconds * 1.0001; at += tick) {
    const double x = left + at * scale;
    if (x > frame.width - 12) break;
    svg += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)", x,
                       frame.height - 5, short_time(at));
  }
  return svg;
}

std::string value_axis(const Frame& frame, double top, bool percent) {
  std::string svg;
  for (const double share : {0.0, 0.5, 1.0}) {
    const double y = frame.bottom() - share * (frame.bottom() - 8);
    svg += fmt::format(R"(<line class="grid-line" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>)"
                       R"(<text x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>)",
                       left, frame.width, y, left - 7, y + 4,
                       percent ? short_percent(share * top) : short_count(share * top));
  }
  return svg;
}

std::string points_text(const std::vector<Series::Point>& points, const Frame& frame, double scale,
                        double top) {
  std::string text;
  for (const Series::Point& point : points) {
    const double x = left + (point.begin + point.seconds / 2) * scale;
    const double y = frame.bottom() - std::min(1.0, point.value / top) * (frame.bottom() - 8);
    fmt::format_to(std::back_inserter(text), "{:.1f},{:.1f} ", x, y);
  }
  return text;
}

/// Neighbouring buckets of a histogram together: four to a factor of two.
struct Bar {
  double begin = 0;
  double end = 0;
  std::uint64_t count = 0;
};

std::vector<Bar> bars_of(const LogHistogram& histogram) {
  constexpr int merged = LogHistogram::per_octave / 4;
  std::vector<Bar> bars;
  for (int bucket = 0; bucket < LogHistogram::buckets; bucket += merged) {
    Bar bar{LogHistogram::bucket_begin(bucket), LogHistogram::bucket_begin(bucket + merged), 0};
    for (int i = 0; i < merged; ++i) bar.count += histogram.in_bucket(bucket + i);
    if (bar.count > 0 || !bars.empty()) bars.push_back(bar);
  }
  while (!bars.empty() && bars.back().count == 0) bars.pop_back();
  return bars;
}

}  // namespace

std::string time_chart(const TimeChart& chart, double seconds) {
  const Frame frame{static_cast<double>(chart.width), static_cast<double>(chart.height)};
  const double scale = (frame.width - left) / std::max(seconds, 1e-3);
  const double top = chart.top > 0 ? chart.top : nice_above(chart.series->largest());
  const std::vector<Series::Point> points = thinned(*chart.series);
  std::string svg = fmt::format(
      R"(<div class="card"><h3>{}</h3><svg viewBox="0 0 {} {}" role="img" aria-label="{}">)",
      html(chart.title), frame.width, frame.height, html(chart.title));
  svg += value_axis(frame, top, chart.percent) + time_axis(frame, seconds, scale);
  if (!points.empty()) {
    const std::string line = points_text(points, frame, scale, top);
    const double begin = left + points.front().seconds / 2 * scale;
    const double end = left + (points.back().begin + points.back().seconds / 2) * scale;
    svg += fmt::format(R"(<polygon class="area {0}" points="{1:.1f},{2:.1f} {3}{4:.1f},{2:.1f}"/>)"
                       R"(<polyline class="curve {0}" style="fill:none" points="{3}"/>)",
                       chart.colour, begin, frame.bottom(), line, end);
  }
  return svg + "</svg></div>";
}

std::string histogram_chart(const std::string& title, const LogHistogram& histogram, bool time) {
  const std::vector<Bar> bars = bars_of(histogram);
  if (bars.empty()) return "";
  const Frame frame{360, 150};
  // Counts are whole: the first that a bucket holds.
  const auto number = [&](double value) {
    return time ? short_time(value) : short_count(std::ceil(value));
  };
  std::uint64_t most = 1;
  for (const Bar& bar : bars) most = std::max(most, bar.count);
  std::string svg = fmt::format(
      R"(<div class="card"><h3>{0}</h3><svg viewBox="0 0 {1} {2}" role="img" aria-label="{0}">)",
      html(title), frame.width, frame.height);
  const double step = frame.width / static_cast<double>(std::max<std::size_t>(bars.size(), 6));
  for (std::size_t i = 0; i < bars.size(); ++i) {
    if (bars[i].count == 0) continue;
    const double share = static_cast<double>(bars[i].count) / static_cast<double>(most);
    const double height = std::max(1.5, share * (frame.bottom() - 6));
    svg += fmt::format(
        R"(<rect class="c1" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1.5">)"
        R"(<title>{} to {}: {}</title></rect>)",
        static_cast<double>(i) * step + 0.5, frame.bottom() - height, std::max(1.0, step - 1),
        height, number(bars[i].begin), number(bars[i].end), bars[i].count);
  }
  svg += fmt::format(R"(<line class="axis" x1="0" x2="{0}" y1="{1}" y2="{1}"/>)", frame.width,
                     frame.bottom());
  const std::size_t every = std::max<std::size_t>(1, bars.size() / 5);
  for (std::size_t i = 0; i < bars.size(); i += every) {
    if (static_cast<double>(i) * step > frame.width - 48) break;
    svg += fmt::format(R"(<text x="{:.1f}" y="{}">{}</text>)", static_cast<double>(i) * step,
                       frame.height - 5, number(bars[i].begin));
  }
  svg += "</svg>";
  svg +=
      fmt::format(R"(<p class="note" style="margin:6px 0 0">p50 {}, p99 {}, at most {}</p></div>)",
                  number(histogram.quantile(0.5)), number(histogram.quantile(0.99)),
                  number(histogram.largest()));
  return svg;
}

}  // namespace trireme
