#include "comm/mpi_watch.h"

#include <time.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "comm/environment.h"

namespace trireme {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds look_every{100};
constexpr milliseconds beat_every{500};
/// For the look and the beat that may just have been missed.
constexpr milliseconds margin{1000};
/// The ranks beyond the first let rank 1 speak when it is rank 0 that hangs.
constexpr milliseconds courtesy{1500};
/// A rank that does not progress but uses the processor may be in a long computation, up to this.
constexpr std::chrono::seconds busy_for{120};
constexpr double busy_seconds = 0.01;  // of processor time: one clock tick, as the launcher counts

double seconds_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

int world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

}  // namespace

bool SignsOfLife::alive(Clock::time_point now) {
  const std::uint64_t ticks = ticks_.load(std::memory_order_relaxed);
  const double seconds = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - seconds_of(CLOCK_THREAD_CPUTIME_ID);
  const bool ticked = ticks != seen_ticks_;
  const bool busy = seconds - seen_seconds_ >= busy_seconds;
  if (ticked) ticked_at_ = now;
  if (ticked || busy) seen_seconds_ = seconds;
  seen_ticks_ = ticks;
  return ticked || may_wait_ || (busy && now - ticked_at_ < busy_for);
}

MpiWatch::MpiWatch()
    : rank_(world_rank()), silent_for_(peer_timeout() - margin), life_(rank_ == 0) {
  MPI_Comm_dup(MPI_COMM_WORLD, &comm_);
  MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
  gather_names();
  const auto now = Clock::now();
  if (rank_ > 0) peers_.push_back({0, now});
  for (int peer = 1; rank_ == 0 && peer < static_cast<int>(hosts_.size()); ++peer) {
    peers_.push_back({peer, now});
  }
  thread_ = std::thread([this] { run(); });
}

MpiWatch::~MpiWatch() {
  stop();
  for (Peer& peer : peers_) {
    if (peer.sending != MPI_REQUEST_NULL) MPI_Request_free(&peer.sending);
  }
}

void MpiWatch::gather_names() {
  int ranks = 1;
  MPI_Comm_size(comm_, &ranks);
  std::array<char, MPI_MAX_PROCESSOR_NAME> own{};
  int length = 0;
  MPI_Get_processor_name(own.data(), &length);
  std::vector<char> all(own.size() * static_cast<std::size_t>(ranks));
  const int size = static_cast<int>(own.size());
  MPI_Allgather(own.data(), size, MPI_CHAR, all.data(), size, MPI_CHAR, comm_);
  for (int i = 0; i < ranks; ++i) {
    hosts_.emplace_back(all.data() + static_cast<std::size_t>(i) * own.size());
  }
}

void MpiWatch::run() {
  auto looked_at = Clock::now();
  auto beat_at = looked_at - beat_every;
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, look_every, [this] { return stopped_; })) {
    const auto now = Clock::now();
    // Who was away (stopped, or without a processor) has missed the others' signs of life.
    if (now - looked_at > milliseconds(1000)) {
      for (Peer& peer : peers_) peer.heard_at = now;
    }
    looked_at = now;
    if (now - beat_at >= beat_every && life_.alive(now)) {
      beat_at = now;
      beat();
    }
    listen(now);
    blame(now);
  }
}

void MpiWatch::beat() {
  static constexpr char sign = 1;  // MPI may still read it later
  for (Peer& peer : peers_) {
    int done = 0;
    MPI_Test(&peer.sending, &done, MPI_STATUS_IGNORE);
    if (done != 0) MPI_Isend(&sign, 1, MPI_CHAR, peer.rank, 0, comm_, &peer.sending);
  }
}

void MpiWatch::listen(Clock::time_point now) {
  for (;;) {
    int there = 0;
    MPI_Status status;
    if (MPI_Iprobe(MPI_ANY_SOURCE, 0, comm_, &there, &status) != MPI_SUCCESS || there == 0) return;
    char sign = 0;
    MPI_Recv(&sign, 1, MPI_CHAR, status.MPI_SOURCE, 0, comm_, MPI_STATUS_IGNORE);
    for (Peer& peer : peers_) {
      if (peer.rank == status.MPI_SOURCE) peer.heard_at = now;
    }
  }
}

void MpiWatch::blame(Clock::time_point now) {
  for (const Peer& peer : peers_) {
    if (now - peer.heard_at < silent_for_ + (rank_ > 1 ? courtesy : milliseconds(0))) continue;
    std::fprintf(stderr,
                 "trireme: rank %d on %s hangs: no sign of life for %lld s; rank %d ends the run "
                 "(a batch goes on with the same command)\n",
                 peer.rank, hosts_[static_cast<std::size_t>(peer.rank)].c_str(),
                 static_cast<long long>(
                     std::chrono::duration_cast<std::chrono::seconds>(now - peer.heard_at).count()),
                 rank_);
    constexpr int peer_lost = 5;
    MPI_Abort(MPI_COMM_WORLD, peer_lost);
    std::abort();
  }
}

void MpiWatch::leave() {
  MPI_Request all = MPI_REQUEST_NULL;
  MPI_Ibarrier(comm_, &all);
  for (int done = 0; done == 0; tick()) {
    MPI_Test(&all, &done, MPI_STATUS_IGNORE);
    if (done == 0) std::this_thread::sleep_for(milliseconds(1));
  }
  stop();
}

void MpiWatch::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

}  // namespace trireme
