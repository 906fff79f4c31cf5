// A libnccl.so.2 for emulated GPUs, whose ranks are processes of one host: what comm/nccl.cc calls
// of NCCL, over local sockets, in the order that streams and recordings keep. It knows nothing of
// NCCL's speed and its kernels; of its failures it knows that a process is gone.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "emulation/cuda.h"
#include "emulation/internal.h"

namespace {

[[noreturn]] void fatal(const std::string& message) {
  std::fprintf(stderr, "fake NCCL: %s\n", message.c_str());
  std::abort();
}

void require(bool holds, const char* what) {
  if (!holds) fatal(std::string(what) + ": " + std::strerror(errno));
}

std::atomic<bool> broken{false};
std::mutex counting;
std::map<std::string, int> counts;

void count(const char* what) {
  const std::lock_guard lock(counting);
  ++counts[what];
}

/// The address of one rank of a group, in the abstract namespace: nothing is left behind.
sockaddr_un address_of(const std::string& group, int rank) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%s.%d", group.c_str(), rank);
  return address;
}

int local_socket() {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  require(fd >= 0, "socket");
  return fd;
}

int connected_to(const std::string& group, int rank) {
  const sockaddr_un address = address_of(group, rank);
  for (;;) {
    const int fd = local_socket();
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return fd;
    close(fd);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // it has not come yet
  }
}

}  // namespace

struct ncclComm {
  int rank = 0;
  std::vector<int> peers;  ///< sockets, by rank; -1: itself
  std::atomic<bool> ended{false};
  std::atomic<bool> failed{false};
  std::thread driver;  ///< a GPU does not wait for its host to ask
};

namespace {

/// A message as it goes through a socket: its size and whether it is part of a recording, which
/// NCCL wants to be so on both sides; and its bytes.
struct Transfer {
  std::byte* bytes = nullptr;
  std::uint64_t size = 0;
  std::uint64_t expected = 0;  ///< header
  std::uint64_t header = 0;
  std::uint64_t done = 0;  ///< of both

  bool complete() const { return done == sizeof(header) + size; }
  /// Where to go on, and how far.
  std::pair<std::byte*, std::size_t> rest() {
    if (done < sizeof(header)) {
      return {reinterpret_cast<std::byte*>(&header) + done, sizeof(header) - done};
    }
    return {bytes + (done - sizeof(header)), sizeof(header) + size - done};
  }
};

/// What one rank asks of another, within a group or alone.
struct Operation {
  ncclComm* comm = nullptr;
  int peer = 0;
  std::byte* bytes = nullptr;
  std::size_t size = 0;
  bool sends = false;
  cudaStream_t stream = nullptr;
  bool recorded = false;
};

constexpr std::uint64_t recorded_mark = std::uint64_t{1} << 63;

/// One group of operations, each time that it is run.
class Exchange {
 public:
  explicit Exchange(const std::vector<Operation>& operations) : comm_(operations.front().comm) {
    for (const Operation& one : operations) {
      auto& queue = (one.sends ? out_ : in_)[one.peer];
      const std::uint64_t header = one.size | (one.recorded ? recorded_mark : 0);
      queue.push_back({one.bytes, one.size, header, one.sends ? header : 0, 0});
    }
  }

  void run() {
    take_own();
    while (!comm_->ended && !comm_->failed && (!out_.empty() || !in_.empty())) {
      std::vector<pollfd> waits;
      std::vector<int> ranks;
      for (std::size_t rank = 0; rank < comm_->peers.size(); ++rank) {
        const int peer = static_cast<int>(rank);
        const int events = (out_.contains(peer) ? POLLOUT : 0) | (in_.contains(peer) ? POLLIN : 0);
        if (events == 0) continue;
        waits.push_back({comm_->peers[rank], static_cast<short>(events), 0});
        ranks.push_back(peer);
      }
      poll(waits.data(), waits.size(), 10);
      for (std::size_t i = 0; i < waits.size(); ++i) {
        if ((waits[i].revents & (POLLOUT | POLLERR)) != 0) move(out_, ranks[i], true);
        if ((waits[i].revents & (POLLIN | POLLHUP)) != 0) move(in_, ranks[i], false);
      }
    }
  }

 private:
  using Queues = std::map<int, std::deque<Transfer>>;

  /// What this rank sends to itself.
  void take_own() {
    std::deque<Transfer>& out = out_[comm_->rank];
    std::deque<Transfer>& in = in_[comm_->rank];
    if (out.size() != in.size()) fatal("a send to itself without a receive");
    for (std::size_t i = 0; i < out.size(); ++i)
      std::memmove(in[i].bytes, out[i].bytes, in[i].size);
    out_.erase(comm_->rank);
    in_.erase(comm_->rank);
  }

  void move(Queues& queues, int peer, bool sends) {
    const auto found = queues.find(peer);
    if (found == queues.end()) return;
    Transfer& next = found->second.front();
    const auto [at, size] = next.rest();
    const int fd = comm_->peers[static_cast<std::size_t>(peer)];
    const ssize_t moved = sends ? send(fd, at, size, MSG_NOSIGNAL) : recv(fd, at, size, 0);
    if (moved < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (moved <= 0) {
      comm_->failed = true;
      return;
    }
    next.done += static_cast<std::uint64_t>(moved);
    if (!sends && next.done >= sizeof(next.header) && next.header != next.expected) {
      const auto text = [](std::uint64_t header) {
        return std::to_string(header & ~recorded_mark) +
               ((header & recorded_mark) != 0 ? " bytes, recorded" : " bytes");
      };
      fatal("rank " + std::to_string(comm_->rank) + " expects " + text(next.expected) +
            " of rank " + std::to_string(peer) + ", which sends " + text(next.header));
    }
    if (!next.complete()) return;
    found->second.pop_front();
    if (found->second.empty()) queues.erase(found);
  }

  ncclComm* comm_;
  Queues out_, in_;
};

/// While the host does other things, or waits for another host, the GPU goes on.
void drive(ncclComm* comm, cudaStream_t stream) {
  while (!comm->ended) {
    {
      const std::lock_guard hold(trireme::cuda::emulation::runtime_lock());
      cudaStreamCaptureStatus status{};
      if (cudaStreamIsCapturing(stream, &status) != cudaSuccess) return;
      if (status == cudaStreamCaptureStatusNone) {
        while (cudaStreamQuery(stream) == cudaErrorNotReady && !comm->ended) {
        }
      }
    }
    std::this_thread::sleep_for(std::chrono::microseconds(300));
  }
}

thread_local int depth = 0;
thread_local std::vector<Operation> group;

/// Enqueues the group as one exchange. It is never freed: a recording may run it again.
void enqueue_group() {
  if (group.empty()) return;
  auto* const operations = new std::vector<Operation>(std::move(group));
  group.clear();
  const Operation& first = operations->front();
  for (const Operation& one : *operations) {
    if (one.comm != first.comm || one.stream != first.stream) fatal("a group over several streams");
  }
  if (first.comm->ended) fatal("an exchange of a communicator that is closed");
  if (!first.comm->driver.joinable())
    first.comm->driver = std::thread(drive, first.comm, first.stream);
  const auto run = [](void* data) {
    Exchange(*static_cast<std::vector<Operation>*>(data)).run();
    count("exchanges");
  };
  cudaStreamCaptureStatus status{};
  cudaStreamIsCapturing(first.stream, &status);
  if (status == cudaStreamCaptureStatusActive) {
    count("recorded");
    for (Operation& one : *operations) one.recorded = true;
  }
  if (cudaLaunchHostFunc(first.stream, run, operations) != cudaSuccess) fatal("a stream is spoilt");
}

void add(const Operation& operation) {
  if (operation.peer < 0 || operation.peer >= static_cast<int>(operation.comm->peers.size())) {
    fatal("no such rank");
  }
  // Copies of nothing else than what lies in the GPU's memory.
  using trireme::cuda::emulation::MemoryKind;
  if (trireme::cuda::emulation::memory_kind(operation.bytes, operation.size) !=
      MemoryKind::device) {
    fatal("bytes that are not in one allocation of the GPU's");
  }
  group.push_back(operation);
  if (depth == 0) enqueue_group();
}

/// Of ncclInt8 and ncclFloat32.
std::size_t size_of(unsigned type) {
  if (type != 0 && type != 7) fatal("a type that nobody needs");
  return type == 0 ? 1 : 4;
}

void end(ncclComm* comm) {
  comm->ended = true;
  if (comm->driver.joinable()) comm->driver.join();
  for (const int fd : comm->peers) {
    if (fd >= 0) close(fd);
  }
  if (std::getenv("FAKE_NCCL_REPORT") == nullptr) return;
  const std::lock_guard lock(counting);
  std::fprintf(stderr, "fake NCCL: %d exchanges, %d recorded\n", counts["exchanges"],
               counts["recorded"]);
}

}  // namespace

struct ncclUniqueId {
  char internal[128];
};

extern "C" {

// What a test asks of the fake in its process.
int fake_nccl_count(const char* what) {
  const std::lock_guard lock(counting);
  return counts[what];
}
/// From now on this process sees broken connections.
void fake_nccl_break() { broken = true; }

unsigned ncclGetVersion(int* version) {
  *version = 21300;
  return 0;
}

unsigned ncclGetUniqueId(ncclUniqueId* id) {
  static std::atomic<int> next{0};
  std::snprintf(id->internal, sizeof(id->internal), "fake-nccl-%d-%d", getpid(), next++);
  return 0;
}

unsigned ncclCommInitRank(ncclComm** comm, int ranks, ncclUniqueId id, int rank) {
  auto made = std::make_unique<ncclComm>();
  made->rank = rank;
  made->peers.assign(static_cast<std::size_t>(ranks), -1);
  const int door = local_socket();
  const sockaddr_un address = address_of(id.internal, rank);
  require(bind(door, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0, "bind");
  require(listen(door, ranks) == 0, "listen");
  for (int peer = 0; peer < rank; ++peer) {
    const int fd = connected_to(id.internal, peer);
    if (send(fd, &rank, sizeof(rank), MSG_NOSIGNAL) != sizeof(rank)) return 2;
    made->peers[static_cast<std::size_t>(peer)] = fd;
  }
  for (int i = rank + 1; i < ranks; ++i) {
    const int fd = accept(door, nullptr, nullptr);
    int peer = 0;
    require(fd >= 0, "accept");
    if (recv(fd, &peer, sizeof(peer), MSG_WAITALL) != sizeof(peer)) return 2;
    made->peers[static_cast<std::size_t>(peer)] = fd;
  }
  close(door);
  for (const int fd : made->peers) {
    if (fd >= 0) fcntl(fd, F_SETFL, O_NONBLOCK);
  }
  *comm = made.release();
  count("connected");
  return 0;
}

// Communicators are never freed: what was enqueued may look at them.

unsigned ncclCommDestroy(ncclComm* comm) {
  count("destroyed");
  end(comm);
  return 0;
}

unsigned ncclCommAbort(ncclComm* comm) {
  count("aborted");
  end(comm);
  return 0;
}

unsigned ncclCommGetAsyncError(ncclComm* comm, unsigned* result) {
  *result = broken || comm->failed ? 6 : 0;
  return 0;
}

const char* ncclGetErrorString(unsigned result) {
  return result == 6 ? "remote process exited or there was a network error" : "no error";
}

const char* ncclGetLastError(ncclComm*) { return "the fake says so"; }

unsigned ncclGroupStart() {
  ++depth;
  return 0;
}

unsigned ncclGroupEnd() {
  if (depth == 0) fatal("the end of no group");
  if (--depth == 0) enqueue_group();
  return 0;
}

unsigned ncclSend(const void* from, std::size_t elements, unsigned type, int peer, ncclComm* comm,
                  cudaStream_t stream) {
  count("sends");
  add({.comm = comm,
       .peer = peer,
       .bytes = static_cast<std::byte*>(const_cast<void*>(from)),
       .size = elements * size_of(type),
       .sends = true,
       .stream = stream});
  return 0;
}

unsigned ncclRecv(void* to, std::size_t elements, unsigned type, int peer, ncclComm* comm,
                  cudaStream_t stream) {
  add({.comm = comm,
       .peer = peer,
       .bytes = static_cast<std::byte*>(to),
       .size = elements * size_of(type),
       .stream = stream});
  return 0;
}

unsigned ncclAllGather(const void* from, void* to, std::size_t elements, unsigned type,
                       ncclComm* comm, cudaStream_t stream) {
  count("gathers");
  const std::size_t size = elements * size_of(type);
  auto* const mine = static_cast<std::byte*>(const_cast<void*>(from));
  ++depth;
  for (int rank = 0; rank < static_cast<int>(comm->peers.size()); ++rank) {
    std::byte* const place = static_cast<std::byte*>(to) + static_cast<std::size_t>(rank) * size;
    if (rank == comm->rank && mine == place) continue;
    add({.comm = comm, .peer = rank, .bytes = place, .size = size, .stream = stream});
    add({.comm = comm, .peer = rank, .bytes = mine, .size = size, .sends = true, .stream = stream});
  }
  if (--depth == 0) enqueue_group();
  return 0;
}

}  // extern "C"
