// Notices an MPI rank that stands still. Each rank has a thread that sends signs of life to rank 0
// and listens to rank 0's; rank 0 exchanges them with everybody. Who falls silent ends the run.
#pragma once

#include <mpi.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace trireme {

/// What makes one rank's signs of life true: its own threads progress. Rank 0 may wait for a person
/// or a slow pipe, so for rank 0 it is enough that the process runs.
class SignsOfLife {
 public:
  using Clock = std::chrono::steady_clock;

  explicit SignsOfLife(bool may_wait) : may_wait_(may_wait) {}
  void tick() noexcept { ticks_.fetch_add(1, std::memory_order_relaxed); }
  /// Called now and then by one thread, whose own processor time does not count.
  bool alive(Clock::time_point now);

 private:
  const bool may_wait_;
  std::atomic<std::uint64_t> ticks_{0};
  std::uint64_t seen_ticks_ = 0;
  double seen_seconds_ = 0;  // of processor time
  Clock::time_point ticked_at_ = Clock::now();
};

class MpiWatch {
 public:
  /// Collective over the ranks of MPI_COMM_WORLD, which need MPI_THREAD_MULTIPLE.
  MpiWatch();
  /// Stops at once: to the others this rank is silent from now on.
  ~MpiWatch();
  MpiWatch(const MpiWatch&) = delete;
  MpiWatch& operator=(const MpiWatch&) = delete;

  /// This rank's main thread progresses. Costs nanoseconds.
  void tick() noexcept { life_.tick(); }
  /// Collective, at the end: returns when all ranks have called it, under watch until then.
  void leave();

 private:
  using Clock = SignsOfLife::Clock;
  struct Peer {
    int rank = 0;
    Clock::time_point heard_at;
    MPI_Request sending = MPI_REQUEST_NULL;
  };

  void gather_names();
  void run();
  void beat();
  void listen(Clock::time_point now);
  void blame(Clock::time_point now);
  void stop();

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  std::chrono::milliseconds silent_for_;  ///< what a peer is given
  SignsOfLife life_;
  std::vector<std::string> hosts_;  // by rank
  std::vector<Peer> peers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace trireme
