// Starts the ranks of a run on this host as fresh processes and watches over them.
//
// Ranks come in groups (replicas). The ranks of a group move in lockstep and share one memory
// segment: when one dies, the group is told why and ends, and may be started again with a fresh
// segment while the other groups go on.
#pragma once

#include <poll.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "comm/environment.h"
#include "comm/topology.h"
#include "core/rank_activity.h"
#include "core/trace.h"
#include "launch/control.h"
#include "launch/process.h"

namespace trireme {

/// A descriptor that a rank inherits, with the variable that tells it the number.
struct InheritedFd {
  std::string variable;
  int fd = -1;
};

/// The ranks of this host are some of a run over several, which meet over TCP.
struct LaunchedMachines {
  int count = 1;
  int first_rank = 0;  ///< of this host's
  int ranks = 1;       ///< on all hosts
  std::string address;
  int port = 0;
};

struct LaunchSpec {
  std::string program;                 ///< a path or a name in PATH; empty: this executable
  std::vector<std::string> arguments;  ///< after the program's name
  int groups = 1;
  int group_size = 1;
  /// Names ranks by their place ("rank 1 (tp 1, pp 0)") where tp * pp is the size of a group.
  ParallelSizes sizes;
  std::map<std::string, std::string> env;
  /// For each rank of a group, what it inherits; all groups get the same. May be empty.
  std::vector<std::vector<InheritedFd>> fds;
  std::optional<LaunchedMachines> machines;
  bool control = false;        ///< a ControlChannel to the first rank of every group
  bool trace = false;          ///< ranks record what they do: see Launcher::trace
  bool prefix_output = false;  ///< "[rank 2] " before every line that a rank prints
  /// Ranks connect as soon as they start, so that one which does not hangs, too.
  bool must_connect = false;
  std::chrono::milliseconds hang_after{peer_timeout()};
  /// A rank that shows no sign of life but uses the processor may be in a long computation.
  std::chrono::milliseconds busy_hang_after{120000};
  std::chrono::milliseconds grace{2000};  ///< for the ranks that outlive one of their group
};

struct LaunchEvent {
  enum class Kind {
    rank_exited,     ///< a process has ended, well or badly
    rank_hung,       ///< a process shows no sign of life; it is killed
    group_finished,  ///< all processes of a group have ended
  };
  Kind kind{};
  int group = 0;
  int rank = 0;       ///< within the group; for group_finished the first that failed, else 0
  int exit_code = 0;  ///< of the rank, or of the first that failed; 1 if a signal killed it
  int signal = 0;
  std::string
      text;  ///< "rank 1 (tp 1, pp 0) was killed by signal 9 (Killed)"; empty if all is well
};

/// The thread that starts ranks must outlive them: they die with it, however it ends.
class Launcher {
 public:
  explicit Launcher(LaunchSpec spec);
  /// Kills what still runs.
  ~Launcher();
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;

  /// Starts all ranks. Throws Error(input | resource); then none is left.
  void start();
  /// Waits until something happens to a rank, one of `also` is ready (its revents are set), or
  /// `timeout` has passed. Call often: this is what notices dead and hung ranks.
  std::vector<LaunchEvent> poll(std::chrono::milliseconds timeout, std::span<pollfd> also = {});

  int groups() const { return spec_.groups; }
  bool running(int group) const;
  bool any_running() const;
  /// The end of the group's control channel (LaunchSpec::control); new after restart_group.
  ControlChannel& control(int group);

  /// What a rank does, whether it lives or not; until restart_group.
  const RankActivity& activity(int group, int rank) const;
  /// What it has recorded (LaunchSpec::trace); until restart_group.
  const TraceRing& trace(int group, int rank) const;

  /// Ends a group at once; the reason reaches whoever watches its output.
  void kill_group(int group, std::string_view reason);
  /// Starts a finished group again with a fresh segment and control channel.
  void restart_group(int group);
  /// Sends a signal to all ranks (unless `deliver` is false: the terminal has done so already) and
  /// gives them `grace` to end before they are killed.
  void stop(int signal, std::chrono::milliseconds grace, bool deliver = true);
  /// Waits for all ranks, printing on stderr what goes wrong; the exit code of the first rank that
  /// failed, or 0.
  int wait_all();

 private:
  struct Rank;
  struct Group;
  using Clock = std::chrono::steady_clock;

  std::string name(int group, int rank) const;
  void start_group(int group);
  void start_rank(int group, int rank, ControlChannel* control);
  void tell_machines(std::map<std::string, std::string>& env, int local_rank) const;
  void fail_group(int group, int rank, ExitStatus status, const std::string& reason);
  static void kill_ranks(Group& group);
  void wait_for_something(std::chrono::milliseconds timeout, std::span<pollfd> also);
  void look(std::vector<LaunchEvent>& events);
  void look_at_rank(int group, int rank, std::vector<LaunchEvent>& events);
  bool hangs(Group& group, Rank& rank, int number);
  void forgive_own_absence();

  LaunchSpec spec_;
  std::vector<std::unique_ptr<Group>> groups_;
  Clock::time_point looked_at_ = Clock::now();
};

}  // namespace trireme
