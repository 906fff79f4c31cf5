// Which worker gets which rows, and which are finished: pure logic, no I/O, no clock.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "batch/raw_row.h"

namespace trireme {

/// Rows come in from the reader in order, go out to workers that have room, and are forgotten when
/// their result is there. Among the first so many that wait, the one that will take longest goes
/// out first: a long row that comes last would leave one worker at work and the others idle. A dead
/// worker's rows go out again.
///
/// A worker that crashed may have been killed by one of its rows. They become suspects: each goes
/// out alone, to a worker that holds nothing else. Whoever crashes with a suspect has convicted it.
class Coordinator {
 public:
  struct Limits {
    std::uint64_t queued_rows = 4096;  ///< read ahead of the workers
    std::uint64_t queued_bytes = std::uint64_t{64} << 20;
    /// Rows that one worker holds, unless it is a single one.
    std::uint64_t worker_bytes = std::uint64_t{64} << 20;
    /// How far rows may finish ahead of the first that is not: bounds what waits for its turn.
    std::uint64_t window_rows = 65536;
    std::uint64_t window_bytes = std::uint64_t{256} << 20;  ///< of finished lines
    /// How far behind the first that waits a row may stand and yet go out before it.
    std::uint64_t order_rows = 1024;
  };
  using WorkerId = std::uint32_t;

  Coordinator() : Coordinator(Limits{}) {}
  explicit Coordinator(Limits limits) : limits_(limits) {}

  /// Whether the reader should read on.
  bool wants_rows() const;
  /// The next row of the input; indices count up by one.
  void add_row(RawRow row);
  /// The next row of the input is answered already.
  void skip_row(std::uint64_t index);
  void end_of_input() { input_ended_ = true; }

  /// `capacity`: how many rows the worker can hold at once.
  void add_worker(WorkerId worker, std::uint64_t capacity);
  struct Lost {
    std::uint64_t again = 0;  ///< rows that must be done again
    /// The row that has killed its worker twice, the second time alone: to be answered with an
    /// error, by on_result.
    std::optional<RawRow> convicted;
  };
  /// The worker died or left; `crashed`: by a fault that one of its rows may have caused.
  Lost remove_worker(WorkerId worker, bool crashed = false);

  /// Rows that the worker should start now: up to its capacity, but near the end no more than its
  /// share, so that no worker idles while another has a queue.
  std::vector<RawRow> rows_for(WorkerId worker);

  /// The worker has not begun these rows, and will not: they go out again.
  void return_rows(WorkerId worker, std::span<const std::uint64_t> rows);
  /// Near the end, while one worker idles: another that may hold rows that it has not begun, to be
  /// asked for them. Each is named once, until it gets more rows.
  std::optional<WorkerId> whom_to_ask_back();
  /// The worker is to get no more rows.
  void retire(WorkerId worker);

  /// A row's result is there, from a worker, or from whoever holds it. Returns the row, or nothing
  /// when it was answered before: by a worker that was taken for dead, say. Then whoever holds it
  /// now still works on it, and has no room for another until its own answer comes.
  std::optional<RawRow> on_result(std::uint64_t row, std::uint64_t line_bytes, bool failed,
                                  std::optional<WorkerId> from = std::nullopt);

  bool input_ended() const { return input_ended_; }
  bool done() const { return input_ended_ && unfinished() == 0; }
  std::uint64_t total_rows() const { return next_index_; }    ///< of the input, so far
  std::uint64_t finished_rows() const;                        ///< skipped ones included
  std::uint64_t failed_rows() const { return failed_rows_; }  ///< in this run
  std::uint64_t in_flight() const { return in_flight_.size(); }
  std::uint64_t in_flight(WorkerId worker) const;
  std::size_t workers() const { return workers_.size(); }

 private:
  struct Load {
    std::uint64_t cost = 0;
    std::uint64_t bytes = 0;
  };
  struct Worker {
    std::uint64_t capacity = 0;
    std::uint64_t rows = 0;
    std::uint64_t cost = 0;    ///< of these
    std::uint64_t bytes = 0;   ///< of these
    bool has_suspect = false;  ///< and nothing else
    bool asked_back = false;
    bool retired = false;
    /// Rows among these that somebody else has answered.
    std::map<std::uint64_t, Load> late;

    void release(const Load& row);
  };
  struct InFlight {
    RawRow row;
    WorkerId worker = 0;
  };
  using Rows = std::map<std::uint64_t, RawRow>;
  struct Candidate {
    std::uint64_t cost = 0;
    std::uint64_t row = 0;
    bool operator<(const Candidate& other) const {
      return cost != other.cost ? cost > other.cost : row < other.row;
    }
  };

  std::uint64_t unfinished() const { return queue_.size() + suspects_.size() + in_flight_.size(); }
  std::uint64_t first_unfinished() const;
  std::uint64_t share() const;
  std::uint64_t takers() const;
  bool is_emptiest(WorkerId id) const;
  bool has_room_for(const Worker& worker, const RawRow& row) const;
  bool within_window(std::uint64_t row) const;
  void enqueue(RawRow row);
  RawRow dequeue(std::uint64_t row);
  void consider_more();
  std::optional<std::uint64_t> next_row();
  void give_back(std::map<std::uint64_t, InFlight>::iterator entry, Rows& to);
  void hand_out(RawRow row, WorkerId id, Worker& worker, std::vector<RawRow>& rows);
  std::optional<RawRow> take_unfinished(std::uint64_t row, std::optional<WorkerId> from);
  static Load load_of(const RawRow& row) { return {row.cost, row.bytes.size()}; }
  static void take_late(Worker& worker, std::uint64_t row);

  Limits limits_;
  Rows queue_;
  std::uint64_t queue_bytes_ = 0;
  std::set<Candidate> candidates_;     ///< the first of the queue, longest first
  std::uint64_t candidates_end_ = 0;   ///< rows of the queue below are among them
  std::uint64_t unfinished_cost_ = 0;  ///< of rows that wait or are at work
  Rows suspects_;                      ///< that nobody holds
  std::map<std::uint64_t, InFlight> in_flight_;
  std::map<WorkerId, Worker> workers_;
  std::map<std::uint64_t, std::uint64_t>
      ahead_;  ///< finished before an earlier row: its line's bytes
  std::uint64_t ahead_bytes_ = 0;
  std::uint64_t next_index_ = 0;
  std::uint64_t failed_rows_ = 0;
  bool input_ended_ = false;
};

}  // namespace trireme
