#include "batch/row_stats.h"

#include <algorithm>

#include "batch/row_reply.h"

namespace trireme {

namespace {

constexpr std::size_t longest_message = 300;
constexpr const char* other_codes = "(other)";

double seconds(std::int64_t begin_ns, std::int64_t end_ns) {
  return static_cast<double>(std::max<std::int64_t>(0, end_ns - begin_ns)) * 1e-9;
}

/// Not within a character of UTF-8.
std::string cut(std::string text) {
  if (text.size() <= longest_message) return text;
  std::size_t end = longest_message;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0u) == 0x80u) --end;
  return text.substr(0, end) + "...";
}

}  // namespace

void RowStats::read(const RawRow& row, std::int64_t now) {
  unfinished_[row.index].read_ns = now;
  bytes_read_ += row.bytes.size() + 1;
}

void RowStats::skip(const RawRow& row) {
  ++skipped_;
  bytes_read_ += row.bytes.size() + 1;
  bytes_skipped_ += row.bytes.size() + 1;
}

void RowStats::hand_out(const RawRow& row, std::uint32_t worker, std::int64_t now) {
  const auto found = unfinished_.find(row.index);
  if (found == unfinished_.end()) return;
  Times& times = found->second;
  if (times.handed_ns == 0) queued_.add(seconds(times.read_ns, now));
  times.handed_ns = now;
  times.worker = worker;
  ++in_flight_[worker];
}

void RowStats::take_back(std::uint32_t worker, const std::vector<std::uint64_t>& rows,
                         std::int64_t now) {
  for (const std::uint64_t row : rows) {
    const auto found = unfinished_.find(row);
    if (found == unfinished_.end() || found->second.handed_ns == 0) continue;
    if (found->second.worker != worker) continue;
    found->second = {now, 0, 0};
    std::uint64_t& held = in_flight_[worker];
    held -= held > 0 ? 1 : 0;
  }
}

void RowStats::lose(std::uint32_t worker, std::int64_t now) {
  in_flight_.erase(worker);
  for (auto& [row, times] : unfinished_) {
    if (times.handed_ns != 0 && times.worker == worker) times = {now, 0, 0};
  }
}

void RowStats::answer(const RawRow& row, const RowResult& result, std::int64_t now) {
  const auto found = unfinished_.extract(row.index);
  const Times times = found.empty() ? Times{} : found.mapped();
  if (times.handed_ns != 0) {
    latency_.add(seconds(times.handed_ns, now));
    std::uint64_t& held = in_flight_[times.worker];
    held -= held > 0 ? 1 : 0;
    keep_span(result, times, now);
  } else {
    ++unasked_;
  }
  bytes_answered_ += row.bytes.size() + 1;
  if (result.failed) return count_error(row, result);
  prompts_.add(static_cast<double>(result.prompt_tokens));
  answers_.add(static_cast<double>(result.new_tokens));
}

void RowStats::count_error(const RawRow& row, const RowResult& result) {
  ++failed_;
  RequestError error = error_in(result.line);
  const bool fresh = !errors_.contains(error.code);
  if (fresh && errors_.size() >= most_codes) error.code = other_codes;
  RowErrors& same = errors_[error.code];
  ++same.count;
  if (same.examples.size() >= most_examples) return;
  same.examples.push_back({row.index, row.place(), cut(std::move(error.message))});
}

void RowStats::keep_span(const RowResult& result, const Times& times, std::int64_t now) {
  if (spans_.size() >= most_spans) {
    ++dropped_spans_;
    return;
  }
  spans_.push_back({result.row, times.worker, result.failed, times.handed_ns, now,
                    result.prompt_tokens, result.new_tokens});
}

std::uint64_t RowStats::in_flight(std::uint32_t worker) const {
  const auto found = in_flight_.find(worker);
  return found == in_flight_.end() ? 0 : found->second;
}

std::vector<std::pair<std::string, RowErrors>> top_errors(
    const std::map<std::string, RowErrors>& errors, std::size_t most) {
  std::vector<std::pair<std::string, RowErrors>> sorted(errors.begin(), errors.end());
  std::ranges::stable_sort(sorted, std::greater{}, [](const auto& e) { return e.second.count; });
  if (sorted.size() > most) sorted.resize(most);
  return sorted;
}

}  // namespace trireme
