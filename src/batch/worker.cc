#include "batch/worker.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "core/error.h"

namespace trireme {

BatchWorker::BatchWorker(Engine& engine, RowChannel& channel, std::uint64_t capacity)
    : engine_(engine),
      channel_(channel),
      // Half of the capacity runs; a few more, so that the scheduler always has one to begin.
      at_work_(std::max<std::uint64_t>(1, capacity / 2 + capacity / 8)) {
  if (const char* const text = std::getenv("TRIREME_TEST_CRASH_ON")) crash_on_ = text;
  channel_.send(encode(ReadyMessage{capacity}));
}

void BatchWorker::run() {
  while (turn()) {
    if (idle() && !channel_.wait()) return;
  }
}

bool BatchWorker::turn() {
  while (std::optional<std::string> bytes = channel_.try_receive()) {
    if (!take(decode(*bytes))) return false;
  }
  if (!work_) {
    engine_.step();  // waits, and is alive
    return true;
  }
  begin_rows();
  work_->step();
  send_stats();
  return send_results();
}

/// A coordinator that has gone is noticed elsewhere.
void BatchWorker::send_stats() {
  const auto now = std::chrono::steady_clock::now();
  if (now - stats_sent_ < std::chrono::seconds(1)) return;
  stats_sent_ = now;
  StatsMessage message;
  for (const auto& [rank, sample] : engine_.rank_samples()) {
    message.ranks.push_back({static_cast<std::uint32_t>(rank), sample});
  }
  channel_.send(encode(message));
}

bool BatchWorker::take(BatchMessage message) {
  if (std::holds_alternative<StopMessage>(message)) return false;
  if (std::holds_alternative<RecallMessage>(message)) {
    return_waiting();
  } else if (const auto* job = std::get_if<JobMessage>(&message)) {
    codec_.emplace(job->settings);
    work_.emplace(engine_, job->settings);
  } else if (auto* rows = std::get_if<RowsMessage>(&message)) {
    if (!codec_) fail(ErrorKind::peer_lost, "the coordinator sent rows before the job");
    std::move(rows->rows.begin(), rows->rows.end(), std::back_inserter(waiting_));
  }
  return true;
}

void BatchWorker::return_waiting() {
  ReturnedMessage message;
  for (const RawRow& row : waiting_) message.rows.push_back(row.index);
  waiting_.clear();
  channel_.send(encode(message));
}

void BatchWorker::begin_rows() {
  while (!waiting_.empty() && work_->rows_at_work() < at_work_) {
    begin(waiting_.front());
    waiting_.pop_front();
  }
}

void BatchWorker::begin(const RawRow& row) {
  if (!crash_on_.empty() && row.bytes.find(crash_on_) != std::string::npos) std::abort();
  work_->start(codec_->decode(row));
}

bool BatchWorker::send_results() {
  ResultsMessage message;
  std::size_t bytes = 0;
  bool sent = true;
  const auto send = [&] {
    sent = channel_.send(encode(message)) && sent;
    message.results.clear();
    bytes = 0;
  };
  for (RowResult& result : work_->take_answers()) {
    bytes += result.line.size();
    message.results.push_back(std::move(result));
    if (bytes >= large_message) send();
  }
  if (!message.results.empty()) send();
  return sent;
}

}  // namespace trireme
