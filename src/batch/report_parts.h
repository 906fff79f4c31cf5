// The parts that a report is put together from. Each returns HTML; texts that come from outside are
// escaped here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "batch/histogram.h"
#include "batch/run_summary.h"
#include "batch/series.h"
#include "batch/trace_file.h"

namespace trireme {

/// `text` where HTML expects text or a quoted attribute. Control characters become U+FFFD.
std::string html(std::string_view text);

/// "12.3 k", "8.5 GiB", "3 min 20 s": for people.
std::string short_count(double value);
std::string short_bytes(double value);
std::string short_rate(double per_second, std::string_view unit);  ///< "34.5 GB/s"
std::string short_time(double seconds);
/// "43 %"
std::string short_percent(double share);

extern const char* const report_style;  ///< the style sheet

/// A line over time with the area below it. `unit` follows the numbers of the axis.
struct TimeChart {
  std::string title;
  const Series* series = nullptr;
  const char* colour = "c1";  ///< a class of the style sheet
  double top = 0;             ///< of the axis; 0: what the series needs
  bool percent = false;
  int width = 520;  ///< about that of its card on the screen, for the size of its letters
  int height = 120;
};
std::string time_chart(const TimeChart& chart, double seconds);

/// Bars over a logarithmic axis; "" where nothing was counted. `time`: the values are seconds.
std::string histogram_chart(const std::string& title, const LogHistogram& histogram, bool time);

/// What the ranks did within a few steps, in one or two windows of the run; "" without records.
std::string timeline(const std::vector<RankTrace>& traces, std::int64_t start_ns);

}  // namespace trireme
