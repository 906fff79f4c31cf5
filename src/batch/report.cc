#include "batch/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "batch/json_text.h"
#include "batch/report_parts.h"

namespace trireme {

std::string html(std::string_view text) {
  // What is not UTF-8 would end the page for some readers.
  std::string safe;
  if (!is_valid_utf8(text)) {
    for (const char c : text) safe += static_cast<unsigned char>(c) < 0x80 ? c : '?';
    text = safe;
  }
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? "\xEF\xBF\xBD"
                                                                              : std::string(1, c);
    }
  }
  return out;
}

std::string short_count(double value) {
  if (value < 10 && value != std::floor(value)) return fmt::format("{:.1f}", value);
  if (value < 1000) return fmt::format("{:.0f}", value);
  if (value < 999.95e3) return fmt::format("{:.3g} k", value / 1e3);
  return value < 999.95e6 ? fmt::format("{:.3g} M", value / 1e6)
                          : fmt::format("{:.3g} B", value / 1e9);
}

std::string short_bytes(double value) {
  for (const char* unit : {"B", "KiB", "MiB", "GiB"}) {
    if (value < 1023.95) return fmt::format("{:.{}f} {}", value, *unit == 'B' ? 0 : 1, unit);
    value /= 1024;
  }
  return fmt::format("{:.1f} TiB", value);
}

std::string short_rate(double per_second, std::string_view unit) {
  const char* prefix = "";
  for (const char* next : {"k", "M", "G", "T"}) {
    if (per_second < 999.5) break;
    per_second /= 1000;
    prefix = next;
  }
  return fmt::format("{:.3g} {}{}/s", per_second, prefix, unit);
}

std::string short_time(double seconds) {
  if (seconds <= 0) return "0 s";
  if (seconds < 1e-3) return fmt::format("{:.3g} \u00b5s", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.3g} ms", seconds * 1e3);
  if (seconds < 100) return fmt::format("{:.3g} s", seconds);
  const auto whole = std::llround(seconds);
  if (whole < 3600) {
    return whole % 60 == 0 ? fmt::format("{} min", whole / 60)
                           : fmt::format("{} min {} s", whole / 60, whole % 60);
  }
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

std::string short_percent(double share) {
  return fmt::format("{} %", std::lround(100 * std::clamp(share, 0.0, 9.99)));
}

namespace {

std::string tile(std::string_view label, const std::string& value, const std::string& more) {
  return fmt::format(
      R"(<div class="card tile"><span class="label">{}</span><b>{}</b><span>{}</span></div>)",
      label, value, more.empty() ? "&nbsp;" : more);
}

std::string header(const RunSummary& s) {
  const bool good = s.outcome == "done";
  std::string text = fmt::format(
      R"(<header><div class="brand">Trireme batch report</div><h1>{}<span class="badge {}">{}</span></h1>)",
      html(s.model), good ? "good" : "bad",
      good ? (s.failed > 0 ? "done, some rows failed" : "done") : "ended early");
  if (!good) text += fmt::format(R"(<p class="note">{}</p>)", html(s.outcome));
  text += fmt::format("<pre>{}</pre><dl class=\"facts\">", html(s.command));
  const auto fact = [&](const char* name, const std::string& value) {
    if (!value.empty()) text += fmt::format("<dt>{}</dt><dd>{}</dd>", name, html(value));
  };
  fact("Plan", s.plan);
  fact("Machine", s.machine);
  fact("Exit code", fmt::format("{}", s.exit_code));
  return text + "</dl></header>";
}

std::string limit_tiles(const RunSummary& s) {
  if (!s.limits || s.working_seconds <= 0) return "";
  const RunLimits& l = *s.limits;
  std::string text;
  if (l.math_operations_per_s > 0) {  // it is not measured on GPUs
    text += tile("Of the machine's limit", short_percent(l.limit_seconds / s.working_seconds),
                 fmt::format("{} read, {} measured", short_rate(l.read_bytes_per_s, "B"),
                             short_rate(l.math_operations_per_s, "op")));
  }
  if (l.predicted_seconds > 0) {
    text += tile("Of the planned speed", short_percent(l.predicted_seconds / s.working_seconds),
                 "what trireme plan predicts");
  }
  return text;
}

std::string tiles(const RunSummary& s) {
  const RowStats& rows = s.row_stats;
  const auto tokens = [&](const char* label, std::uint64_t count) {
    return tile(label, short_count(s.rate(count)),
                short_count(static_cast<double>(count)) + " in all");
  };
  std::string text = R"(<div class="tiles">)";
  const std::string known =
      s.input_ended ? fmt::format("of {}", s.rows_known) : std::string("of more");
  text += tile("Rows", fmt::format("{}", s.rows),
               s.resumed > 0 ? fmt::format("{}, {} by earlier runs", known, s.resumed) : known);
  text += tile("Failed", fmt::format("{}", s.failed), s.failed > 0 ? "error rows" : "");
  text += tokens("Input tokens/s", rows.prompt_tokens());
  if (rows.new_tokens() > 0) text += tokens("Output tokens/s", rows.new_tokens());
  text += tile("Time", short_time(s.seconds),
               short_time(s.seconds - s.working_seconds) + " until ready");
  if (rows.latency().count() > 0) {
    text += tile("Row time, p50", short_time(rows.latency().quantile(0.5)),
                 "p99 " + short_time(rows.latency().quantile(0.99)));
    text += tile("In queue, p50", short_time(rows.queued().quantile(0.5)),
                 "p99 " + short_time(rows.queued().quantile(0.99)));
  }
  return text + limit_tiles(s) + "</div>";
}

std::string section(std::string_view title, std::string_view note, const std::string& body) {
  if (body.empty()) return "";
  return fmt::format(R"(<section><h2>{}</h2><p class="note">{}</p>{}</section>)", title, note,
                     body);
}

std::string rates(const RunSummary& s) {
  std::string text = R"(<div class="grid">)";
  text += time_chart({.title = "Input tokens/s", .series = &s.prompt_rate}, s.seconds);
  if (s.row_stats.new_tokens() > 0) {
    text +=
        time_chart({.title = "Output tokens/s", .series = &s.new_rate, .colour = "c2"}, s.seconds);
  }
  text +=
      time_chart({.title = "Rows in flight", .series = &s.in_flight, .colour = "c4"}, s.seconds);
  if (s.kv_use.largest() > 0) {
    text += time_chart({.title = "KV cache in use",
                        .series = &s.kv_use,
                        .colour = "c3",
                        .top = 1,
                        .percent = true},
                       s.seconds);
  }
  return text + "</div>";
}

std::string utilisation(const RunSummary& s) {
  constexpr std::size_t most = 32;
  std::string text;
  for (std::size_t i = 0; i < std::min(most, s.ranks.size()); ++i) {
    const RankSummary& rank = s.ranks[i];
    text += time_chart(
        {.title = fmt::format("{}: {}", rank.name, short_percent(rank.rank.busy_share())),
         .series = &rank.rank.utilisation,
         .top = 1,
         .percent = true,
         .width = 340,
         .height = 100},
        s.seconds);
  }
  return text.empty() ? "" : R"(<div class="grid three">)" + text + "</div>";
}

std::string rank_row(const RankSummary& r) {
  const double busy = r.rank.busy_share();
  const double waited = std::min(1 - busy, r.rank.waited_share());
  return fmt::format(
      R"h(<tr><td>{}</td><td><div class="split"><i style="width:{:.1f}%;background:var(--c1)"></i>)h"
      R"h(<i style="width:{:.1f}%;background:var(--wait)"></i></div></td>)h"
      R"(<td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td>)"
      R"(<td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td></tr>)",
      html(r.name), 100 * busy, 100 * waited, short_percent(busy), short_percent(waited),
      short_bytes(static_cast<double>(r.rank.total.peak_bytes)),
      short_bytes(static_cast<double>(r.rank.total.shared_bytes)),
      r.planned_bytes > 0 ? short_bytes(static_cast<double>(r.planned_bytes)) : "-",
      r.rank.total.steps, short_count(static_cast<double>(r.rank.total.tokens)),
      std::max(0, r.rank.starts - 1));
}

std::string rank_table(const RunSummary& s) {
  if (s.ranks.empty()) return "";
  std::string text =
      R"(<div class="card wide"><table><tr><th></th><th>Time</th><th class="n">Busy</th><th class="n">Waited</th>)"
      R"(<th class="n">Peak memory</th><th class="n">Of it shared</th><th class="n">Planned</th><th class="n">Steps</th><th class="n">Tokens</th>)"
      R"(<th class="n">Restarts</th></tr>)";
  for (const RankSummary& rank : s.ranks) text += rank_row(rank);
  return text + "</table></div>";
}

std::string histograms(const RunSummary& s) {
  const RowStats& rows = s.row_stats;
  const std::string charts =
      histogram_chart("Row time (hand-out to answer)", rows.latency(), true) +
      histogram_chart("Prompt tokens a row", rows.prompts(), false) +
      (rows.new_tokens() > 0 ? histogram_chart("New tokens a row", rows.answers(), false) : "");
  return charts.empty() ? "" : R"(<div class="grid three">)" + charts + "</div>";
}

std::string errors(const RunSummary& s) {
  constexpr std::size_t most = 10;
  if (s.row_stats.errors().empty()) return "";
  std::string text =
      R"(<div class="card wide"><table><tr><th>Code</th><th class="n">Rows</th><th>For example</th></tr>)";
  for (const auto& [code, kind] : top_errors(s.row_stats.errors(), most)) {
    text += fmt::format(R"(<tr><td>{}</td><td class="n">{}</td><td class="message">)", html(code),
                        kind.count);
    for (const RowErrors::Example& example : kind.examples) {
      text += fmt::format("<div>row {} ({}): {}</div>", example.row, html(example.place),
                          html(example.message));
    }
    text += "</td></tr>";
  }
  return text + "</table></div>";
}

}  // namespace

std::string report_page(const RunSummary& s, const std::vector<RankTrace>& traces,
                        std::int64_t start_ns) {
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<title>Trireme: {}</title><style>{}</style></head><body><main>\n",
      html(s.model), report_style);
  page += header(s) + tiles(s);
  page += section("Timeline",
                  "A few steps in the middle of the run. Each line is a rank; a bar is one step of "
                  "it. What is between the bars is time that the pipeline loses; the many short "
                  "waits within a step are "
                  "drawn as one, at its end.",
                  timeline(traces, start_ns));
  page += section("Ranks",
                  "Busy: computing. Waited: with work at hand, for other ranks. The rest: no work. "
                  "Planned: the memory that trireme plan predicts; shared pages count.",
                  rank_table(s));
  page +=
      section("Over time", "From the start of the program; the first part is loading.", rates(s));
  page += section("Utilisation of each rank", "Share of the time spent computing.", utilisation(s));
  page += section("Distributions", "Of the rows answered in this run, on logarithmic axes.",
                  histograms(s));
  page += section("Errors", "The most frequent kinds, with the first rows of each.", errors(s));
  page += "<footer>Made by trireme batch --report.</footer></main></body></html>\n";
  return page;
}

}  // namespace trireme
