#include "batch/worker.h"

#include <cstdlib>

#include "core/error.h"

namespace trireme {

BatchWorker::BatchWorker(Engine& engine, RowChannel& channel, std::uint64_t capacity)
    : engine_(engine), channel_(channel) {
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
  for (Engine::Finished& finished : engine_.step()) answer(finished.tag, finished.result);
  return send_results();
}

bool BatchWorker::take(const BatchMessage& message) {
  if (std::holds_alternative<StopMessage>(message)) return false;
  if (const auto* job = std::get_if<JobMessage>(&message)) {
    codec_.emplace(job->settings);
  } else if (const auto* rows = std::get_if<RowsMessage>(&message)) {
    for (const RawRow& row : rows->rows) start(row);
  }
  return true;
}

void BatchWorker::start(const RawRow& row) {
  if (!codec_) fail(ErrorKind::peer_lost, "the coordinator sent rows before the job");
  if (!crash_on_.empty() && row.bytes.find(crash_on_) != std::string::npos) std::abort();
  DecodedRow decoded = codec_->decode(row);
  const auto [reply, fresh] = replies_.emplace(row.index, std::move(decoded.reply));
  TRIREME_ASSERT(fresh);
  if (decoded.error) {
    answer(row.index, {.finish_reason = FinishReason::error, .error = std::move(decoded.error)});
    return;
  }
  decoded.request.row = row.index;
  engine_.submit(row.index, decoded.request);
}

void BatchWorker::answer(std::uint64_t row, const Result& result) {
  const auto reply = replies_.find(row);
  TRIREME_ASSERT(reply != replies_.end());
  results_.results.push_back({row, result.error.has_value(), encode_result(reply->second, result),
                              static_cast<std::uint64_t>(result.prompt_tokens),
                              result.token_ids.size()});
  replies_.erase(reply);
  results_bytes_ += results_.results.back().line.size();
  if (results_bytes_ >= large_message) send_results();
}

bool BatchWorker::send_results() {
  if (results_.results.empty()) return true;
  const bool sent = channel_.send(encode(results_));
  results_.results.clear();
  results_bytes_ = 0;
  return sent;
}

}  // namespace trireme
