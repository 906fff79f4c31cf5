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

Coordinator::Lost Coordinator::remove_worker(WorkerId id, bool crashed) {
  const auto worker = workers_.find(id);
  TRIREME_ASSERT(worker != workers_.end());
  const bool suspect = worker->second.has_suspect;
  workers_.erase(worker);
  Lost lost;
  for (auto entry = in_flight_.begin(); entry != in_flight_.end();) {
    if (entry->second.worker != id) {
      ++entry;
      continue;
    }
    RawRow& row = entry->second.row;
    if (suspect && crashed) {
      lost.convicted = row;
    } else {
      ++lost.again;
    }
    if (!suspect && !crashed) queue_bytes_ += row.bytes.size();
    (suspect || crashed ? suspects_ : queue_).emplace(entry->first, std::move(row));
    entry = in_flight_.erase(entry);
  }
  return lost;
}

std::uint64_t Coordinator::first_unfinished() const {
  std::uint64_t first = next_index_;
  if (!queue_.empty()) first = std::min(first, queue_.begin()->first);
  if (!suspects_.empty()) first = std::min(first, suspects_.begin()->first);
  if (!in_flight_.empty()) first = std::min(first, in_flight_.begin()->first);
  return first;
}

/// While more rows may come, a worker may fill up; what is left at the end is shared out evenly.
std::uint64_t Coordinator::share() const {
  return std::max<std::uint64_t>(1, (unfinished() + workers_.size() - 1) / workers_.size());
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
  std::vector<RawRow> rows;
  if (worker.rows == 0 && !suspects_.empty()) {
    worker.has_suspect = true;
    hand_out(std::move(suspects_.extract(suspects_.begin()).mapped()), id, worker, rows);
  }
  if (worker.has_suspect) return rows;
  const std::uint64_t target = std::min(worker.capacity, share());
  while (worker.rows < target && !queue_.empty() && within_window(queue_.begin()->first)) {
    hand_out(take_from_queue(), id, worker, rows);
  }
  return rows;
}

void Coordinator::hand_out(RawRow row, WorkerId id, Worker& worker, std::vector<RawRow>& rows) {
  rows.push_back(row);
  in_flight_.emplace(row.index, InFlight{std::move(row), id});
  ++worker.rows;
}

std::optional<RawRow> Coordinator::take_unfinished(std::uint64_t row) {
  if (const auto entry = in_flight_.find(row); entry != in_flight_.end()) {
    Worker& worker = workers_.at(entry->second.worker);
    --worker.rows;
    worker.has_suspect = false;
    RawRow taken = std::move(entry->second.row);
    in_flight_.erase(entry);
    return taken;
  }
  if (auto entry = suspects_.extract(row)) return std::move(entry.mapped());
  if (auto entry = queue_.extract(row)) {
    queue_bytes_ -= entry.mapped().bytes.size();
    return std::move(entry.mapped());
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

std::uint64_t Coordinator::finished_rows() const { return next_index_ - unfinished(); }

std::uint64_t Coordinator::in_flight(WorkerId worker) const {
  const auto found = workers_.find(worker);
  return found == workers_.end() ? 0 : found->second.rows;
}

}  // namespace trireme
