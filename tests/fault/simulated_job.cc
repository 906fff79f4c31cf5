#include "fault/simulated_job.h"

#include <fmt/core.h>

#include <algorithm>
#include <csignal>
#include <sstream>
#include <utility>

#include "batch/messages.h"
#include "core/error.h"

namespace trireme::testing {

namespace {

constexpr const char* output_path = "out";
constexpr std::size_t most_workers = 4;

bool fails(std::uint64_t row) { return row % 7 == 3; }

/// What any worker answers.
std::string line_of(const std::string& job, std::uint64_t row, const std::string& bytes) {
  return fmt::format(R"({{"id":"r{}","text":"{} {:x} {}"}})", row, job, fnv1a(bytes),
                     std::string(row * 31 % 97, 'x'));
}

}  // namespace

Workload workload_of(std::uint64_t rows, std::set<std::uint64_t> poison) {
  Workload work{"", rows, std::move(poison)};
  for (std::uint64_t row = 0; row < rows; ++row) {
    work.input +=
        fmt::format(R"({{"id":"r{}","prompt":"{}"}})", row, std::string(row % 13, 'p')) + "\n";
  }
  return work;
}

/// Between server and ledger: sees that each row is written once, and which are durable.
class SimulatedJob::Witness : public RowOutput {
 public:
  Witness(SimulatedJob& job, std::unique_ptr<RowOutput> output)
      : job_(job), output_(std::move(output)) {
    if (output_->started() > job_.now_) job_.complain("begun in the future");
    if (output_->resumed_rows() < job_.safe_.size()) {
      job_.complain(fmt::format("{} rows were durable, {} are there", job_.safe_.size(),
                                output_->resumed_rows()));
    }
  }

  std::int64_t started() const override { return output_->started(); }
  bool resumable() const override { return output_->resumable(); }
  std::uint64_t resumed_rows() const override { return output_->resumed_rows(); }
  bool has(const RawRow& row) override {
    const bool answered = output_->has(row);
    if (!answered && job_.safe_.contains(row.index)) {
      job_.complain(fmt::format("row {} was durable and is lost", row.index));
    }
    if (answered) written_.insert(row.index);
    return answered;
  }
  void write(const RawRow& row, std::string_view line, bool failed) override {
    output_->write(row, line, failed);
    if (!written_.insert(row.index).second) {
      job_.complain(fmt::format("row {} was written twice", row.index));
    }
    if (job_.sync_interval_.count() == 0) job_.safe_.insert(row.index);
  }
  void tick() override { output_->tick(); }
  void finish(std::uint64_t total_rows) override { output_->finish(total_rows); }
  std::uint64_t failed_rows() const override { return output_->failed_rows(); }
  std::uint64_t pending_bytes() const override { return output_->pending_bytes(); }

 private:
  SimulatedJob& job_;
  std::unique_ptr<RowOutput> output_;
  std::set<std::uint64_t> written_;
};

SimulatedJob::SimulatedJob(const Workload& work, TestDisk& disk, unsigned seed, const Chaos& chaos)
    : work_(work), disk_(disk), random_(seed), chaos_(chaos) {}

void SimulatedJob::run() {
  workers_.clear();
  on_the_way_.clear();
  ++now_;
  RowReader input(bytes_in_memory(work_.input, "rows.jsonl"), {});
  OutputOptions options{.path = output_path, .job = "model=" + name_ + "\n", .now = now_};
  options.restart = std::exchange(restart_, false);
  options.sync_interval = sync_interval_;
  options.files = &disk_;
  options.form.format.shards = shards_;
  Witness output(*this, open_output(options));
  const auto send = [this](Coordinator::WorkerId id, const std::string& message) {
    if (const auto worker = workers_.find(id); worker != workers_.end()) {
      worker->second.inbox.push_back(message);
    }
  };
  BatchServer server(input, output, {}, send, {.limits = limits_});
  const std::uint64_t patience = 1000 + 400 * work_.rows;
  for (std::uint64_t steps = 0; !server.done(); ++steps) {
    if (steps > patience) {
      complain("no end is in sight");
      return;
    }
    server.turn();
    step(server);
  }
  server.finish();
}

void SimulatedJob::step(BatchServer& server) {
  if (workers_.empty() || (workers_.size() < most_workers && happens(chaos_.joins))) join(server);
  if (!on_the_way_.empty() && random_() % 8 == 0) {
    const auto late = on_the_way_.begin() + static_cast<long>(random_() % on_the_way_.size());
    const auto [id, message] = *late;
    on_the_way_.erase(late);
    server.receive(id, message);
  }
  const Coordinator::WorkerId id = any_worker();
  if (happens(chaos_.killed)) {
    lose(server, id, false);
  } else {
    work(server, id);
  }
}

Coordinator::WorkerId SimulatedJob::any_worker() {
  return std::next(workers_.begin(), static_cast<long>(random_() % workers_.size()))->first;
}

void SimulatedJob::join(BatchServer& server) {
  // One that is free: a replica that starts again keeps its number, once nothing of it is on its
  // way.
  const auto taken = [this](Coordinator::WorkerId id) {
    return workers_.contains(id) ||
           std::ranges::any_of(on_the_way_, [id](const auto& late) { return late.first == id; });
  };
  Coordinator::WorkerId id = 0;
  while (taken(id)) ++id;
  Worker& worker = workers_[id];
  worker.capacity = 1 + random_() % 8;
  server.receive(id, encode(ReadyMessage{worker.capacity}));
}

void SimulatedJob::work(BatchServer& server, Coordinator::WorkerId id) {
  Worker& worker = workers_.at(id);
  for (; !worker.inbox.empty(); worker.inbox.pop_front()) {
    const BatchMessage message = decode(worker.inbox.front());
    if (const auto* rows = std::get_if<RowsMessage>(&message)) {
      worker.held.insert(worker.held.end(), rows->rows.begin(), rows->rows.end());
    } else if (std::holds_alternative<RecallMessage>(message)) {
      give_back(server, id);
    }
  }
  if (worker.held.empty()) return;
  if (worker.held.size() > worker.capacity) complain("a worker got more rows than it can hold");
  if (worker.held.size() > 1 && happens(chaos_.crashed)) return lose(server, id, true);
  const std::size_t pick = random_() % worker.held.size();
  if (work_.poison.contains(worker.held[pick].index)) return lose(server, id, true);
  const RawRow row = worker.held[pick];
  worker.held.erase(worker.held.begin() + static_cast<long>(pick));
  answer(server, id, row);
}

/// The last of its rows, as if it had begun only those before.
void SimulatedJob::give_back(BatchServer& server, Coordinator::WorkerId id) {
  std::vector<RawRow>& held = workers_.at(id).held;
  ReturnedMessage message;
  for (std::uint64_t count = random_() % (held.size() + 1); count > 0; --count) {
    message.rows.push_back(held.back().index);
    held.pop_back();
  }
  server.receive(id, encode(message));
}

void SimulatedJob::answer(BatchServer& server, Coordinator::WorkerId id, const RawRow& row) {
  const std::string message = encode(
      ResultsMessage{{{row.index, fails(row.index), line_of(name_, row.index, row.bytes), 1, 1}}});
  const bool late = happens(chaos_.late);
  if (late || happens(chaos_.twice)) on_the_way_.emplace_back(id, message);
  if (!late) server.receive(id, message);
}

void SimulatedJob::lose(BatchServer& server, Coordinator::WorkerId id, bool crashed) {
  const std::vector<RawRow> held = std::move(workers_.at(id).held);
  workers_.erase(id);
  const std::optional<RawRow> convicted = server.lose(id, crashed ? SIGSEGV : 0);
  if (!convicted) return;
  if (!crashed || !work_.poison.contains(convicted->index)) {
    complain(fmt::format("row {} is convicted of what it has not done", convicted->index));
  }
  if (held.size() != 1) complain(fmt::format("row {} was not alone", convicted->index));
}

bool SimulatedJob::complete() const {
  const std::vector<std::string> names = disk_.names();
  return names.size() == (shards_ == 0 ? 1 : shards_ + 2) && names[0] == output_path &&
         (shards_ == 0 || names[1] == std::string(output_path) + "/_SUCCESS");
}

/// All of it; of shards, one after the other.
std::string SimulatedJob::output() const {
  std::string bytes;
  for (const std::string& name : disk_.names()) bytes += *disk_.read(name);
  return bytes;
}

std::string SimulatedJob::complaint() const { return complaint_; }

std::string SimulatedJob::complaint_about_output() const {
  if (!complete()) return "the output is not there, or not alone";
  std::istringstream input(work_.input), output(this->output());
  std::string bytes, line;
  for (std::uint64_t row = 0; row < work_.rows; ++row) {
    std::getline(input, bytes);
    if (!std::getline(output, line)) return fmt::format("the output ends before row {}", row);
    const bool poison = work_.poison.contains(row);
    const bool crashed = line.find(fmt::format("\"r{}\"", row)) != std::string::npos &&
                         line.find("\"crashed\"") != std::string::npos;
    if (poison ? !crashed : line != line_of(name_, row, bytes)) {
      return fmt::format("row {} is {}", row, line);
    }
  }
  return std::getline(output, line) ? "the output has more rows than the input: " + line : "";
}

}  // namespace trireme::testing
