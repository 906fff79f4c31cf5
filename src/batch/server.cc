#include "batch/server.h"

#include <string.h>

#include <algorithm>
#include <chrono>

#include "core/error.h"

namespace trireme {

namespace {

/// Expected work. An answer's token takes about as long as many of a prompt, which are computed
/// together; that no other row waits for one that comes last is all that this is for.
std::uint64_t cost_of(const Request& request) {
  constexpr std::uint64_t bytes_per_token = 4;
  constexpr std::uint64_t prompt_tokens_per_new_one = 8;
  constexpr std::int64_t most_tokens = std::int64_t{1} << 30;
  const auto size = [](const auto& given) { return given ? given->size() : 0; };
  const std::uint64_t prompt =
      (size(request.prompt) + size(request.messages)) / bytes_per_token + size(request.token_ids);
  const std::int64_t answer = request.sampling.max_new_tokens.value_or(0);
  return 1 + prompt +
         prompt_tokens_per_new_one *
             static_cast<std::uint64_t>(std::clamp<std::int64_t>(answer, 0, most_tokens));
}

/// An id for a message; a row may have a long one.
std::string shortened(std::string_view id) {
  std::size_t end = 60;
  if (id.size() <= end) return std::string(id);
  while (end > 0 && (static_cast<unsigned char>(id[end]) & 0xc0u) == 0x80u) --end;
  return std::string(id.substr(0, end)) + "...";
}

RequestError crash_error(const RawRow& row, int signal) {
  const char* const name = sigdescr_np(signal);
  return {"crashed",
          fmt::format("{}: the program crashed at work on this row, and again with this row alone "
                      "(signal {}, {}); that is a bug of Trireme: please report it with this row",
                      row.place(), signal, name != nullptr ? name : "unknown")};
}

}  // namespace

BatchServer::BatchServer(RowReader& input, RowOutput& output, RowSettings settings, Send send,
                         Rules rules)
    : input_(input),
      output_(output),
      settings_(std::move(settings)),
      send_(std::move(send)),
      rules_(std::move(rules)),
      ids_(rules_.scratch),
      coordinator_(rules_.limits) {
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
    for (const RowResult& result : answered->results) {
      rows_answered_[worker] += answer(result, worker) ? 1 : 0;
    }
  } else if (const auto* returned = std::get_if<ReturnedMessage>(&message)) {
    coordinator_.return_rows(worker, returned->rows);
    if (watch_ != nullptr) watch_->rows().take_back(worker, returned->rows, monotonic_ns());
  } else if (const auto* stats = std::get_if<StatsMessage>(&message)) {
    take(worker, *stats);
  } else {
    fail(ErrorKind::peer_lost, "a worker sent a message that only the coordinator sends");
  }
}

void BatchServer::take(Coordinator::WorkerId worker, const StatsMessage& stats) {
  if (watch_ == nullptr) return;
  for (const auto& [rank, sample] : stats.ranks) {
    watch_->sample(static_cast<int>(worker), static_cast<int>(rank), sample, monotonic_ns());
  }
}

/// False for a row that is answered already.
bool BatchServer::answer(const RowResult& result, std::optional<Coordinator::WorkerId> from) {
  if (failure_) return false;
  if (rules_.strict && result.failed) {  // the row stays unfinished
    failure_ = error_in(result.line).message;
    return false;
  }
  const std::optional<RawRow> row =
      coordinator_.on_result(result.row, result.line.size(), result.failed, from);
  if (!row) return false;
  output_.write(*row, result.line, result.failed);
  if (watch_ != nullptr) watch_->rows().answer(*row, result, monotonic_ns());
  prompt_tokens_ += result.prompt_tokens;
  new_tokens_ += result.new_tokens;
  return true;
}

std::uint64_t BatchServer::rows_answered(Coordinator::WorkerId worker) const {
  const auto found = rows_answered_.find(worker);
  return found == rows_answered_.end() ? 0 : found->second;
}

std::optional<RawRow> BatchServer::lose(Coordinator::WorkerId worker, int crash) {
  if (std::erase(workers_, worker) == 0) return std::nullopt;
  if (watch_ != nullptr) watch_->rows().lose(worker, monotonic_ns());
  std::optional<RawRow> row = coordinator_.remove_worker(worker, crash != 0).convicted;
  if (!row) return std::nullopt;
  answer({row->index, true, encode_error(codec_->decode(*row).reply, crash_error(*row, crash))});
  return row;
}

void BatchServer::turn() {
  read_rows();
  if (!draining_) {
    hand_out();
    while (const auto worker = coordinator_.whom_to_ask_back()) {
      send_(*worker, encode(RecallMessage{}));
    }
  }
  output_.tick();
}

void BatchServer::drain() {
  draining_ = true;
  for (const Coordinator::WorkerId worker : workers_) send_(worker, encode(RecallMessage{}));
}

void BatchServer::retire(Coordinator::WorkerId worker) {
  coordinator_.retire(worker);
  send_(worker, encode(RecallMessage{}));
}

/// A row that one worker leaves to another may keep the first from those behind it: until nobody
/// takes any more.
void BatchServer::hand_out() {
  for (bool more = true; more;) {
    more = false;
    // Who idles goes first: near the end there may be no more than it can do.
    std::vector<Coordinator::WorkerId> order = workers_;
    std::ranges::stable_sort(order, {}, [this](auto id) { return coordinator_.in_flight(id); });
    for (const Coordinator::WorkerId worker : order) more = hand_out(worker) || more;
  }
}

bool BatchServer::hand_out(Coordinator::WorkerId worker) {
  RowsMessage message;
  std::size_t bytes = 0;
  const auto send = [&] {
    send_(worker, encode(message));
    message.rows.clear();
    bytes = 0;
  };
  std::vector<RawRow> rows = coordinator_.rows_for(worker);
  for (RawRow& row : rows) {
    if (watch_ != nullptr) watch_->rows().hand_out(row, worker, monotonic_ns());
    bytes += row.bytes.size();
    message.rows.push_back(std::move(row));
    if (bytes >= large_message) send();
  }
  if (!message.rows.empty()) send();
  return !rows.empty();
}

/// Rows that are answered already, or wrong in themselves, leave room for the next at once, and
/// there may be millions of them. They are read for a while only: whoever owns the channels has
/// others to listen to.
void BatchServer::read_rows() {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds at_most{100};
  const Clock::time_point until = Clock::now() + at_most;
  more_to_read_ = false;
  while (!input_ended_ && !draining_ && !failure_ && coordinator_.wants_rows() && input_.ready()) {
    more_to_read_ = Clock::now() >= until;
    if (more_to_read_) return;
    std::optional<RawRow> row = input_.next();
    if (row) {
      take_row(std::move(*row));
    } else {
      input_ended_ = true;
      coordinator_.end_of_input();
    }
  }
}

void BatchServer::take_row(RawRow row) {
  DecodedRow decoded = codec_->decode(row);
  check_id(row, decoded);
  if (output_.has(row)) {
    if (watch_ != nullptr) watch_->rows().skip(row);
    return coordinator_.skip_row(row.index);
  }
  if (watch_ != nullptr) watch_->rows().read(row, monotonic_ns());
  row.cost = cost_of(decoded.request);
  const std::uint64_t index = row.index;
  coordinator_.add_row(std::move(row));
  // No worker is needed to say what is wrong with the row itself.
  if (decoded.error) answer({index, true, encode_error(decoded.reply, *decoded.error)});
}

/// Answers are found by their ids: the first row keeps an id that comes twice.
void BatchServer::check_id(const RawRow& row, DecodedRow& decoded) {
  const std::string_view id = decoded.reply.own_id();
  if (id.empty()) return;
  const std::optional<std::uint64_t> first = ids_.add(id, row.index);
  if (!first || decoded.error) return;
  decoded.error = {"duplicate_id", fmt::format("{}: the id {} is that of row {} (counted from 0), "
                                               "too: give each row its own",
                                               row.place(), shortened(id), *first)};
}

}  // namespace trireme
