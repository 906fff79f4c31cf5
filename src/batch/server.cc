#include "batch/server.h"

#include <string.h>

#include "core/error.h"

namespace trireme {

namespace {

RequestError crash_error(int signal) {
  const char* const name = sigdescr_np(signal);
  return {"crashed",
          fmt::format("the program crashed at work on this row, and again with this row alone "
                      "(signal {}, {}); that is a bug of Trireme: please report it with this row",
                      signal, name != nullptr ? name : "unknown")};
}

}  // namespace

BatchServer::BatchServer(RowReader& input, RowOutput& output, RowSettings settings, Send send)
    : input_(input), output_(output), settings_(std::move(settings)), send_(std::move(send)) {
  settings_.format = input.format();
  settings_.delimiter = input.delimiter();
  settings_.csv_header = input.csv_header();
  codec_.emplace(settings_);  // a template that no row could satisfy fails before a model is loaded
}

void BatchServer::receive(Coordinator::WorkerId worker, std::string_view bytes) {
  const BatchMessage message = decode(bytes);
  if (const auto* ready = std::get_if<ReadyMessage>(&message)) {
    coordinator_.add_worker(worker, ready->capacity);
    workers_.push_back(worker);
    send_(worker, encode(JobMessage{settings_}));
  } else if (const auto* answered = std::get_if<ResultsMessage>(&message)) {
    for (const RowResult& result : answered->results) answer(result);
  } else {
    fail(ErrorKind::peer_lost, "a worker sent a message that only the coordinator sends");
  }
}

void BatchServer::answer(const RowResult& result) {
  const std::optional<RawRow> row =
      coordinator_.on_result(result.row, result.line.size(), result.failed);
  if (!row) return;
  output_.write(*row, result.line, result.failed);
  prompt_tokens_ += result.prompt_tokens;
  new_tokens_ += result.new_tokens;
}

std::optional<RawRow> BatchServer::lose(Coordinator::WorkerId worker, int crash) {
  if (std::erase(workers_, worker) == 0) return std::nullopt;
  std::optional<RawRow> row = coordinator_.remove_worker(worker, crash != 0).convicted;
  if (!row) return std::nullopt;
  answer({row->index, true, encode_error(codec_->decode(*row).reply, crash_error(crash))});
  return row;
}

void BatchServer::turn() {
  read_rows();
  for (const Coordinator::WorkerId worker : workers_) hand_out(worker);
  output_.tick();
}

void BatchServer::hand_out(Coordinator::WorkerId worker) {
  RowsMessage message;
  std::size_t bytes = 0;
  const auto send = [&] {
    send_(worker, encode(message));
    message.rows.clear();
    bytes = 0;
  };
  for (RawRow& row : coordinator_.rows_for(worker)) {
    bytes += row.bytes.size();
    message.rows.push_back(std::move(row));
    if (bytes >= large_message) send();
  }
  if (!message.rows.empty()) send();
}

void BatchServer::read_rows() {
  while (!input_ended_ && coordinator_.wants_rows() && input_.ready()) {
    std::optional<RawRow> row = input_.next();
    if (!row) {
      input_ended_ = true;
      coordinator_.end_of_input();
    } else if (output_.has(*row)) {
      coordinator_.skip_row(row->index);
    } else {
      coordinator_.add_row(std::move(*row));
    }
  }
}

}  // namespace trireme
