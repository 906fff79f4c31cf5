// The ranks of a run: whether this process is one of several (started by `trireme launch`,
// mpirun, Slurm or torchrun), and their agreement on what they are about to do.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "trireme/error.h"
#include "trireme/options.h"

namespace trireme {

struct RankPlace {
  bool started = false;            ///< as a rank; else the process is alone
  std::string transport = "none";  ///< if started: "shm", "mpi", or "env" by variables alone
  int rank = 0;
  int ranks = 1;  ///< 0 when only connecting will tell
};

/// By the environment, without connecting. Throws Error(usage) when it contradicts itself.
RankPlace rank_place();

/// The hosts of a run, as far as the ranks know them.
struct Hosts {
  int ranks_per_host = 0;   ///< most ranks on one host; 0: all of the run
  std::int64_t memory = 0;  ///< bytes available on the host that has least; 0: as on this one
};

class Communicator;

/// The ranks that this process was started with, connected and of one mind: same version, flags and
/// model, and one instruction set, without which their bytes would differ. Where the choice of an
/// instruction set is free, it is the best that all of them have.
class Ranks {
 public:
  /// Called on the first rank before anything is loaded, to check what only it looks at (files,
  /// memory). What it throws as an Error ends all ranks.
  using Check = std::function<void(const Options& agreed, const Hosts& hosts)>;

  /// Collective. Shares what a PartialState of this process has joined. Throws CommonError on every
  /// rank when the ranks are not as many as the plan has, differ, or one of them cannot go on; it
  /// names ranks, hosts and values.
  explicit Ranks(const Options& options, const Check& check_on_first = {});
  /// This process by itself, whoever else was started; see PartialState::alone().
  static Ranks alone(const Options& agreed);
  ~Ranks();
  Ranks(Ranks&&) noexcept;
  Ranks& operator=(Ranks&&) noexcept;

  /// As many as the plan has, each to be used by a thread of its own in this process.
  static std::vector<Ranks> of_threads(const Options& agreed);

  /// The options with the instruction set that was agreed on, and a device map written out.
  const Options& options() const { return options_; }
  /// For those who put the ranks to work; once.
  std::unique_ptr<Communicator> take_world();
  /// How many of them share this host, and the memory in which those of several replicas that are
  /// in the same place keep one copy of their weights (a descriptor), or null.
  int local_size() const { return local_size_; }
  const std::shared_ptr<const int>& weights_memory() const { return weights_; }
  bool are_threads() const { return are_threads_; }

 private:
  Ranks(const Options& agreed, std::unique_ptr<Communicator> world);

  Options options_;
  int local_size_ = 1;
  bool are_threads_ = false;
  std::shared_ptr<const int> weights_;
  std::unique_ptr<Communicator> world_;
};

}  // namespace trireme
