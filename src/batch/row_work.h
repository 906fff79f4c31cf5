// What a worker makes of rows, by the job's task: rows in, lines of output out.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "batch/messages.h"
#include "batch/row_codec.h"
#include "trireme/engine.h"

namespace trireme {

class RowWork {
 public:
  /// On the driver of a replica. The model is of the kind that the task needs.
  RowWork(Engine& engine, const RowSettings& settings) : engine_(engine), settings_(settings) {}

  /// Starts a row, or answers it at once if it is in error.
  void start(DecodedRow row);
  /// One step of the engine.
  void step();
  /// Rows answered since the last call.
  std::vector<RowResult> take_answers() { return std::exchange(answers_, {}); }
  std::size_t rows_at_work() const { return replies_.size(); }

 private:
  void submit(std::uint64_t row, const Request& request);
  void step_choices();
  template <typename Answer>
  void answer(std::uint64_t row, const Answer& answer);

  Engine& engine_;
  RowSettings settings_;
  std::map<std::uint64_t, RowReply> replies_;  ///< of rows that the engine is working on
  std::vector<RowResult> answers_;
  std::uint64_t choosing_ = 0;  ///< rows with labels, which may be among others
};

}  // namespace trireme
