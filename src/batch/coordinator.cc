#include "batch/coordinator.h"

#include <algorithm>

#include "core/error.h"
#include "core/range.h"

namespace trireme {

bool Coordinator::wants_rows() const {
  return !input_ended_ && queue_.size() < limits_.queued_rows &&
         queue_bytes_ < limits_.queued_bytes;
}

void Coordinator::add_row(RawRow row) {
  TRIREME_ASSERT(!input_ended_ && row.index == next_index_);
  ++next_index_;
  queue_bytes_ += row.bytes.size();
  queue_.emplace_hint(queue_.end(), row.index, std::move(row));
}

void Coordinator::skip_row(std::uint64_t index) {
  TRIREME_ASSERT(!input_ended_ && index == next_index_);
  ++next_index_;
}

void Coordinator::add_worker(WorkerId worker, std::uint64_t capacity) {
  TRIREME_ASSERT(capacity > 0);
  TRIREME_ASSERT(workers_.try_emplace(worker, Worker{capacity, 0}).second);
}

std::uint64_t Coordinator::remove_worker(WorkerId worker) {
  TRIREME_ASSERT(workers_.erase(worker) == 1);
  std::uint64_t requeued = 0;
  for (auto entry = in_flight_.begin(); entry != in_flight_.end();) {
    if (entry->second.worker != worker) {
      ++entry;
      continue;
    }
    queue_bytes_ += entry->second.row.bytes.size();
    queue_.emplace(entry->first, std::move(entry->second.row));
    entry = in_flight_.erase(entry);
    ++requeued;
  }
  return requeued;
}

std::uint64_t Coordinator::first_unfinished() const {
  std::uint64_t first = next_index_;
  if (!queue_.empty()) first = std::min(first, queue_.begin()->first);
  if (!in_flight_.empty()) first = std::min(first, in_flight_.begin()->first);
  return first;
}

/// While more rows may come, a worker may fill up; what is left at the end is shared out evenly.
std::uint64_t Coordinator::share() const {
  const std::uint64_t unfinished = queue_.size() + in_flight_.size();
  return std::max<std::uint64_t>(1, (unfinished + workers_.size() - 1) / workers_.size());
}

bool Coordinator::within_window(std::uint64_t row) const {
  const std::uint64_t first = first_unfinished();
  return row == first || (row - first < limits_.window_rows && ahead_bytes_ < limits_.window_bytes);
}

RawRow Coordinator::take_from_queue() {
  RawRow row = std::move(queue_.begin()->second);
  queue_.erase(queue_.begin());
  queue_bytes_ -= row.bytes.size();
  return row;
}

std::vector<RawRow> Coordinator::rows_for(WorkerId id) {
  const auto found = workers_.find(id);
  TRIREME_ASSERT(found != workers_.end());
  Worker& worker = found->second;
  const std::uint64_t target = std::min(worker.capacity, share());
  std::vector<RawRow> rows;
  while (worker.rows < target && !queue_.empty() && within_window(queue_.begin()->first)) {
    rows.push_back(take_from_queue());
    in_flight_.emplace(rows.back().index, InFlight{rows.back(), id});
    ++worker.rows;
  }
  return rows;
}

std::optional<RawRow> Coordinator::take_unfinished(std::uint64_t row) {
  if (const auto entry = in_flight_.find(row); entry != in_flight_.end()) {
    --workers_.at(entry->second.worker).rows;
    RawRow taken = std::move(entry->second.row);
    in_flight_.erase(entry);
    return taken;
  }
  if (const auto entry = queue_.find(row); entry != queue_.end()) {
    RawRow taken = std::move(entry->second);
    queue_bytes_ -= taken.bytes.size();
    queue_.erase(entry);
    return taken;
  }
  return std::nullopt;
}

std::optional<RawRow> Coordinator::on_result(std::uint64_t row, std::uint64_t line_bytes,
                                             bool failed) {
  std::optional<RawRow> taken = take_unfinished(row);
  if (!taken) return std::nullopt;
  failed_rows_ += failed ? 1 : 0;
  ahead_.emplace(row, line_bytes);
  ahead_bytes_ += line_bytes;
  const std::uint64_t first = first_unfinished();
  while (!ahead_.empty() && ahead_.begin()->first < first) {
    ahead_bytes_ -= ahead_.begin()->second;
    ahead_.erase(ahead_.begin());
  }
  return taken;
}

std::uint64_t Coordinator::finished_rows() const {
  return next_index_ - queue_.size() - in_flight_.size();
}

std::uint64_t Coordinator::in_flight(WorkerId worker) const {
  const auto found = workers_.find(worker);
  return found == workers_.end() ? 0 : found->second.rows;
}

}  // namespace trireme
