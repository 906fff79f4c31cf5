// The coordinator's side of a batch: feeds rows from the input to workers and their answers to the
// output. It knows nothing of processes; whoever owns the channels calls it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "batch/coordinator.h"
#include "batch/id_table.h"
#include "batch/job_watch.h"
#include "batch/ledger.h"
#include "batch/messages.h"
#include "batch/row_codec.h"
#include "batch/row_reader.h"

namespace trireme {

class BatchServer {
 public:
  using Send = std::function<void(Coordinator::WorkerId, const std::string& message)>;

  struct Rules {
    bool strict = false;                 ///< the first row that fails ends the job
    std::filesystem::path scratch = "";  ///< a folder with room for the ids of many rows
    Coordinator::Limits limits = {};
  };

  /// `settings`: as the command line says; format and CSV header come from the input.
  BatchServer(RowReader& input, RowOutput& output, RowSettings settings, Send send, Rules rules);

  /// Who hears of every row.
  void observe(JobWatch& watch) { watch_ = &watch; }

  /// A message from a worker; a new worker's first is its ReadyMessage.
  void receive(Coordinator::WorkerId worker, std::string_view message);
  /// The worker died: its unfinished rows go to the others. `crash`: the signal, if it died of a
  /// fault that a row may have caused. Returns the row that is convicted of it, which is now an
  /// error row.
  std::optional<RawRow> lose(Coordinator::WorkerId worker, int crash = 0);
  /// Reads on and hands out rows. Call after every round of messages.
  void turn();

  /// From now on no row is read or handed out, and workers give back what they have not begun.
  void drain();
  /// Nothing is at work any more.
  bool drained() const { return draining_ && coordinator_.in_flight() == 0; }
  /// The worker gives back what it has not begun and gets no more.
  void retire(Coordinator::WorkerId worker);
  /// Under Rules::strict: what is wrong with the row that failed; it is not written.
  const std::optional<std::string>& failure() const { return failure_; }

  bool done() const { return coordinator_.done(); }
  /// turn() has stopped reading so that whoever calls it may look after other things: call it again
  /// soon.
  bool has_more_to_read() const { return more_to_read_; }
  /// Completes the output, when done. Telling the workers to stop is up to who owns the channels.
  void finish() { output_.finish(coordinator_.total_rows()); }

  const Coordinator& coordinator() const { return coordinator_; }
  /// Of the rows answered in this run.
  std::uint64_t prompt_tokens() const { return prompt_tokens_; }
  std::uint64_t new_tokens() const { return new_tokens_; }
  /// By this worker, those that somebody had answered before not counted.
  std::uint64_t rows_answered(Coordinator::WorkerId worker) const;

 private:
  void read_rows();
  void take_row(RawRow row);
  void check_id(const RawRow& row, DecodedRow& decoded);
  void hand_out();
  bool hand_out(Coordinator::WorkerId worker);
  bool answer(const RowResult& result, std::optional<Coordinator::WorkerId> from = std::nullopt);
  void take(Coordinator::WorkerId worker, const StatsMessage& stats);

  RowReader& input_;
  RowOutput& output_;
  RowSettings settings_;
  std::optional<RowCodec> codec_;
  Send send_;
  Rules rules_;
  IdTable ids_;
  Coordinator coordinator_;
  JobWatch* watch_ = nullptr;
  std::vector<Coordinator::WorkerId> workers_;
  std::map<Coordinator::WorkerId, std::uint64_t> rows_answered_;
  bool input_ended_ = false;
  bool more_to_read_ = false;
  bool draining_ = false;
  std::optional<std::string> failure_;
  std::uint64_t prompt_tokens_ = 0;
  std::uint64_t new_tokens_ = 0;
};

}  // namespace trireme
