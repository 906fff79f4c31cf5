#include "batch/coordinator.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace trireme {

bool Coordinator::wants_rows() const {
  return !input_ended_ && queue_.size() < limits_.queued_rows &&
         queue_bytes_ < limits_.queued_bytes && within_window(next_index_);
}

void Coordinator::add_row(RawRow row) {
  TRIREME_ASSERT(!input_ended_ && row.index == next_index_);
  ++next_index_;
  unfinished_cost_ += row.cost;
  enqueue(std::move(row));
}

void Coordinator::enqueue(RawRow row) {
  queue_bytes_ += row.bytes.size();
  if (row.index < candidates_end_) candidates_.insert({row.cost, row.index});
  queue_.emplace(row.index, std::move(row));
}

RawRow Coordinator::dequeue(std::uint64_t index) {
  RawRow row = std::move(queue_.extract(index).mapped());
  queue_bytes_ -= row.bytes.size();
  candidates_.erase({row.cost, row.index});
  return row;
}

void Coordinator::skip_row(std::uint64_t index) {
  TRIREME_ASSERT(!input_ended_ && index == next_index_);
  ++next_index_;
}

void Coordinator::add_worker(WorkerId worker, std::uint64_t capacity) {
  TRIREME_ASSERT(capacity > 0);
  TRIREME_ASSERT(workers_.try_emplace(worker, Worker{.capacity = capacity}).second);
}

Coordinator::Lost Coordinator::remove_worker(WorkerId id, bool crashed) {
  const auto worker = workers_.find(id);
  TRIREME_ASSERT(worker != workers_.end());
  const bool suspect = worker->second.has_suspect;
  workers_.erase(worker);
  Lost lost;
  for (auto entry = in_flight_.begin(); entry != in_flight_.end();) {
    const auto here = entry++;
    if (here->second.worker != id) continue;
    if (suspect && crashed) {
      lost.convicted = here->second.row;
    } else {
      ++lost.again;
    }
    give_back(here, suspect || crashed ? suspects_ : queue_);
  }
  return lost;
}

void Coordinator::give_back(std::map<std::uint64_t, InFlight>::iterator entry, Rows& to) {
  RawRow row = std::move(entry->second.row);
  in_flight_.erase(entry);
  if (&to == &queue_) {
    enqueue(std::move(row));
  } else {
    to.emplace(row.index, std::move(row));
  }
}

void Coordinator::return_rows(WorkerId id, std::span<const std::uint64_t> rows) {
  const auto worker = workers_.find(id);
  if (worker == workers_.end()) return;
  for (const std::uint64_t row : rows) {
    const auto entry = in_flight_.find(row);
    if (entry == in_flight_.end() || entry->second.worker != id) {
      take_late(worker->second, row);
      continue;
    }
    const bool suspect = worker->second.has_suspect;
    worker->second.release(load_of(entry->second.row));
    give_back(entry, suspect ? suspects_ : queue_);
  }
}

std::optional<Coordinator::WorkerId> Coordinator::whom_to_ask_back() {
  if (!input_ended_ || !queue_.empty()) return std::nullopt;
  const auto idles = [](const auto& entry) {
    return entry.second.rows == 0 && !entry.second.retired;
  };
  if (std::none_of(workers_.begin(), workers_.end(), idles)) return std::nullopt;
  for (auto& [id, worker] : workers_) {
    if (worker.rows < 2 || worker.asked_back) continue;
    worker.asked_back = true;
    return id;
  }
  return std::nullopt;
}

void Coordinator::retire(WorkerId id) {
  if (const auto worker = workers_.find(id); worker != workers_.end()) {
    worker->second.retired = true;
  }
}

std::uint64_t Coordinator::first_unfinished() const {
  std::uint64_t first = next_index_;
  if (!queue_.empty()) first = std::min(first, queue_.begin()->first);
  if (!suspects_.empty()) first = std::min(first, suspects_.begin()->first);
  if (!in_flight_.empty()) first = std::min(first, in_flight_.begin()->first);
  return first;
}

/// While more rows may come, a worker may fill up; what is left at the end is shared out evenly.
std::uint64_t Coordinator::share() const { return (unfinished() + takers() - 1) / takers(); }

/// Workers that are handed rows.
std::uint64_t Coordinator::takers() const {
  return static_cast<std::uint64_t>(std::count_if(
      workers_.begin(), workers_.end(), [](const auto& entry) { return !entry.second.retired; }));
}

/// A worker gets no more rows and no more work than its share, unless nobody has less to do; nor
/// more bytes than memory should hold.
bool Coordinator::has_room_for(const Worker& worker, const RawRow& row) const {
  if (worker.rows == 0) return true;
  if (worker.rows >= std::min(worker.capacity, share())) return false;
  if (worker.bytes + row.bytes.size() > limits_.worker_bytes) return false;
  if ((worker.cost + row.cost) * takers() <= unfinished_cost_) return true;
  return std::none_of(workers_.begin(), workers_.end(), [&](const auto& other) {
    return other.second.cost < worker.cost && !other.second.retired;
  });
}

bool Coordinator::within_window(std::uint64_t row) const {
  const std::uint64_t first = first_unfinished();
  return row == first || (row - first < limits_.window_rows && ahead_bytes_ < limits_.window_bytes);
}

/// Rows that stand near enough to the first of the queue may go out before it.
void Coordinator::consider_more() {
  const std::uint64_t end = queue_.begin()->first + limits_.order_rows;
  for (auto row = queue_.lower_bound(candidates_end_); row != queue_.end() && row->first < end;
       ++row) {
    candidates_.insert({row->second.cost, row->first});
    candidates_end_ = row->first + 1;
  }
}

std::optional<std::uint64_t> Coordinator::next_row() {
  if (queue_.empty()) return std::nullopt;
  consider_more();
  for (const Candidate& candidate : candidates_) {
    if (within_window(candidate.row)) return candidate.row;
  }
  return std::nullopt;
}

std::vector<RawRow> Coordinator::rows_for(WorkerId id) {
  const auto found = workers_.find(id);
  TRIREME_ASSERT(found != workers_.end());
  Worker& worker = found->second;
  std::vector<RawRow> rows;
  if (worker.retired) return rows;
  if (worker.rows == 0 && !suspects_.empty()) {
    worker.has_suspect = true;
    hand_out(std::move(suspects_.extract(suspects_.begin()).mapped()), id, worker, rows);
  }
  if (worker.has_suspect || (!suspects_.empty() && is_emptiest(id))) return rows;
  for (auto row = next_row(); row && has_room_for(worker, queue_.at(*row)); row = next_row()) {
    hand_out(dequeue(*row), id, worker, rows);
  }
  return rows;
}

/// The worker that will be the first without rows, if it gets no more: where suspects wait for one.
bool Coordinator::is_emptiest(WorkerId id) const {
  const auto fewer = [](const auto& a, const auto& b) {
    if (a.second.retired != b.second.retired) return b.second.retired;
    return a.second.rows < b.second.rows;
  };
  return std::min_element(workers_.begin(), workers_.end(), fewer)->first == id;
}

void Coordinator::hand_out(RawRow row, WorkerId id, Worker& worker, std::vector<RawRow>& rows) {
  ++worker.rows;
  worker.cost += row.cost;
  worker.bytes += row.bytes.size();
  worker.asked_back = false;
  rows.push_back(row);
  in_flight_.emplace(row.index, InFlight{std::move(row), id});
}

std::optional<RawRow> Coordinator::take_unfinished(std::uint64_t row,
                                                   std::optional<WorkerId> from) {
  if (const auto entry = in_flight_.find(row); entry != in_flight_.end()) {
    Worker& worker = workers_.at(entry->second.worker);
    const Load load = load_of(entry->second.row);
    if (from && *from != entry->second.worker) {
      worker.late.emplace(row, load);
    } else {
      worker.release(load);
    }
    RawRow taken = std::move(entry->second.row);
    in_flight_.erase(entry);
    return taken;
  }
  if (auto entry = suspects_.extract(row)) return std::move(entry.mapped());
  if (queue_.contains(row)) return dequeue(row);
  return std::nullopt;
}

std::optional<RawRow> Coordinator::on_result(std::uint64_t row, std::uint64_t line_bytes,
                                             bool failed, std::optional<WorkerId> from) {
  std::optional<RawRow> taken = take_unfinished(row, from);
  if (!taken) {
    const auto worker = from ? workers_.find(*from) : workers_.end();
    if (worker != workers_.end()) take_late(worker->second, row);
    return std::nullopt;
  }
  unfinished_cost_ -= taken->cost;
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

void Coordinator::Worker::release(const Load& row) {
  --rows;
  cost -= row.cost;
  bytes -= row.bytes;
  has_suspect = false;
}

void Coordinator::take_late(Worker& worker, std::uint64_t row) {
  if (const auto late = worker.late.extract(row)) worker.release(late.mapped());
}

std::uint64_t Coordinator::finished_rows() const { return next_index_ - unfinished(); }

std::uint64_t Coordinator::in_flight(WorkerId worker) const {
  const auto found = workers_.find(worker);
  return found == workers_.end() ? 0 : found->second.rows;
}

}  // namespace trireme
