// The ranks that this process was started with, joined at most once: what PartialState and Ranks
// share.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "comm/communicator.h"
#include "comm/environment.h"

namespace trireme {

class World {
 public:
  /// The one that is alive in this process, or a new one; then it is collective. A process has one
  /// place among the ranks, as it has one environment: this is the only state here that is not
  /// passed on. Throws Error(usage) when the process has left the ranks already.
  static std::shared_ptr<World> join();
  /// The one that is alive, if any.
  static std::shared_ptr<World> alive();

  explicit World(std::unique_ptr<Communicator> ranks);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Communicator& ranks() { return *ranks_; }
  const RankEnvironment& environment() const { return environment_; }
  /// All ranks as a group with an order of messages of its own. Collective.
  std::unique_ptr<Communicator> all();
  /// The best instruction set that all ranks have.
  const std::string& isa() const { return isa_; }

 private:
  void agree();
  void live();

  RankEnvironment environment_ = rank_environment();
  std::unique_ptr<Communicator> ranks_;
  std::string isa_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopped_ = false;
  std::thread heart_;
};

/// The payload of every rank, on every rank. Collective. All throw the same CommonError when they
/// make different calls or pass different `kind`s ("" goes with any), or one has a `problem`.
std::vector<Message> exchange(Communicator& ranks, std::string_view call, const std::string& kind,
                              std::span<const std::byte> payload, const std::string& problem = "");

}  // namespace trireme
