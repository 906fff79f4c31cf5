// A batch without a model and without processes: the real reader, coordinator, server and ledger,
// over a disk in memory, with workers that answer by a pure function of the row, in any order, and
// fail in all ways there are.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "batch/coordinator.h"
#include "batch/ledger.h"
#include "batch/server.h"
#include "fault/test_disk.h"

namespace trireme::testing {

struct Workload {
  std::string input;  ///< JSON Lines
  std::uint64_t rows = 0;
  std::set<std::uint64_t> poison;  ///< rows that crash whoever works on them
};
Workload workload_of(std::uint64_t rows, std::set<std::uint64_t> poison = {});

/// How likely it is, of a thousand steps, that something happens.
struct Chaos {
  unsigned killed = 0;  ///< a worker, from outside
  unsigned crashed =
      0;  ///< a worker that holds several rows, by a fault that none of them is to blame for
  unsigned joins = 0;  ///< another worker, where there are fewer than four
  unsigned twice = 0;  ///< an answer comes twice
  unsigned late = 0;   ///< an answer stays on its way, and may outlive its worker
};

/// A job that several processes, one after the other, bring to its end.
class SimulatedJob {
 public:
  SimulatedJob(const Workload& work, TestDisk& disk, unsigned seed, const Chaos& chaos = {});

  void set_limits(const Coordinator::Limits& limits) { limits_ = limits; }
  /// The output is a folder of so many files.
  void set_shards(std::uint32_t shards) { shards_ = shards; }
  /// Rows are made durable one by one.
  void sync_each_row() { sync_interval_ = std::chrono::milliseconds(0); }

  /// From now on it is another job, whose answers are others; the next process begins it anew.
  void become(const std::string& name) {
    name_ = name;
    restart_ = true;
    safe_.clear();
  }

  /// One process: goes on with the job until it is done. Throws ProcessEnds where the disk says so,
  /// or the Error that a user would see.
  void run();
  /// Whether the output is there and the journal is not: a run would be refused.
  bool complete() const;
  /// What is wrong with what has happened; empty: nothing.
  std::string complaint() const;
  /// The same, of the output when the job is done.
  std::string complaint_about_output() const;

 private:
  struct Worker {
    std::uint64_t capacity = 1;
    std::deque<std::string> inbox;
    std::vector<RawRow> held;
  };
  class Witness;

  void step(BatchServer& server);
  void join(BatchServer& server);
  void work(BatchServer& server, Coordinator::WorkerId id);
  void give_back(BatchServer& server, Coordinator::WorkerId id);
  void lose(BatchServer& server, Coordinator::WorkerId id, bool crashed);
  void answer(BatchServer& server, Coordinator::WorkerId id, const RawRow& row);
  Coordinator::WorkerId any_worker();
  std::string output() const;
  bool happens(unsigned per_mille) { return random_() % 1000 < per_mille; }
  void complain(const std::string& text) { complaint_ += text + "\n"; }

  const Workload& work_;
  TestDisk& disk_;
  std::mt19937 random_;
  Chaos chaos_;
  Coordinator::Limits limits_;
  std::chrono::milliseconds sync_interval_{1000};
  std::uint32_t shards_ = 0;
  std::int64_t now_ = 1000;
  std::string name_ = "simulated";  ///< in every answer
  bool restart_ = false;
  std::map<Coordinator::WorkerId, Worker> workers_;
  std::vector<std::pair<Coordinator::WorkerId, std::string>> on_the_way_;
  std::set<std::uint64_t> safe_;  ///< rows of which the ledger has said that they are durable
  std::string complaint_;
};

}  // namespace trireme::testing
