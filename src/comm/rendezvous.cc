#include "comm/rendezvous.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "comm/shm.h"
#include "comm/shm_segment.h"
#include "comm/tcp_mesh.h"
#include "core/error.h"

namespace trireme {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t magic_number = 0x316d65656d657274;  // "trmeeme1"

struct Hello {
  std::uint64_t magic = magic_number;
  int rank = 0;
  int size = 0;
};

/// What rank 0 answers: the memory comes along, or a text says why not.
struct Answer {
  bool good = false;
  char why[1000] = {};
};

std::string place_of(const RankEnvironment& environment) {
  return fmt::format("MASTER_ADDR={} MASTER_PORT={}", environment.master_addr,
                     environment.master_port);
}

/// A name without a file, which goes with its socket.
struct Address {
  explicit Address(const RankEnvironment& environment) {
    const char* const run = std::getenv("TORCHELASTIC_RUN_ID");
    const std::string name = fmt::format("trireme-{}-{}-{}-{}", geteuid(), environment.master_addr,
                                         environment.master_port, run != nullptr ? run : "");
    unix.sun_family = AF_UNIX;
    const std::size_t count = std::min(name.size(), sizeof(unix.sun_path) - 1);
    std::memcpy(unix.sun_path + 1, name.data(), count);
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + count);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&unix); }
  sockaddr_un unix{};
  socklen_t size = 0;
};

Socket open_socket() {
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) fail(ErrorKind::resource, "cannot open a socket: {}", std::strerror(errno));
  return Socket(fd);
}

bool is_of_this_user(const Socket& socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  return getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         peer.uid == geteuid();
}

void answer(const Socket& to, const std::string& why, int memory) {
  Answer message;
  message.good = why.empty();
  std::memcpy(message.why, why.data(), std::min(why.size(), sizeof(message.why) - 1));
  iovec part{&message, sizeof(message)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (message.good) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &memory, sizeof(int));
  }
  sendmsg(to.get(), &header, MSG_NOSIGNAL);  // who is gone already is noticed later
}

/// The memory, or -1 with the reason in `why`.
int read_answer(const Socket& from, std::string& why) {
  Answer message;
  iovec part{&message, sizeof(message)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t size = recvmsg(from.get(), &header, MSG_CMSG_CLOEXEC);
  if (size != static_cast<ssize_t>(sizeof(message))) {
    why = "rank 0 has left before all ranks had come";
    return -1;
  }
  message.why[sizeof(message.why) - 1] = '\0';
  why = message.why;
  const cmsghdr* const rights = CMSG_FIRSTHDR(&header);
  if (!message.good || rights == nullptr || rights->cmsg_type != SCM_RIGHTS) return -1;
  int memory = -1;
  std::memcpy(&memory, CMSG_DATA(rights), sizeof(int));
  return memory;
}

/// Connections to other ranks, by rank.
using Peers = std::map<int, Socket>;

/// On rank 0.
class Meeting {
 public:
  Meeting(const RankEnvironment& environment, Clock::time_point end)
      : environment_(environment), end_(end), door_(open_socket()) {
    const Address address(environment);
    if (bind(door_.get(), address.get(), address.size) != 0 ||
        listen(door_.get(), environment.size) != 0) {
      fail(ErrorKind::resource, "{}: {}; give each run of this host another MASTER_PORT",
           place_of(environment),
           errno == EADDRINUSE ? "the ranks of another run are meeting there"
                               : std::strerror(errno));
    }
  }

  /// Waits for all ranks. When they do not come or do not fit, tells those that are here.
  Peers wait() {
    try {
      while (static_cast<int>(peers_.size()) + 1 < environment_.size) let_in();
    } catch (const Error& error) {
      for (const auto& [rank, socket] : peers_) answer(socket, error.what(), -1);
      throw;
    }
    return std::move(peers_);
  }

 private:
  void let_in() {
    if (!ready_before(door_, POLLIN, end_)) {
      fail(ErrorKind::peer_lost,
           "{} of {} ranks have come to {} within {} s; start all of them with the same variables, "
           "on this host",
           peers_.size() + 1, environment_.size, place_of(environment_),
           rendezvous_patience().count());
    }
    Socket guest(accept4(door_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    Hello hello{};
    // Who connects speaks at once.
    const auto soon = std::min(end_, Clock::now() + std::chrono::seconds(5));
    if (guest.get() < 0 || !is_of_this_user(guest) || !ready_before(guest, POLLIN, soon) ||
        recv(guest.get(), &hello, sizeof(hello), 0) != static_cast<ssize_t>(sizeof(hello)) ||
        hello.magic != magic_number) {
      return;
    }
    const bool fits = hello.size == environment_.size && hello.rank > 0 &&
                      hello.rank < hello.size && !peers_.contains(hello.rank);
    const int rank = hello.rank;
    if (fits) {
      peers_.emplace(rank, std::move(guest));
      return;
    }
    const std::string why =
        fmt::format("{}: a process came as rank {} of {} to rank 0 of {}{}", place_of(environment_),
                    rank, hello.size, environment_.size,
                    hello.size == environment_.size ? "; each RANK is there once"
                                                    : "; give all ranks the same WORLD_SIZE");
    answer(guest, why, -1);
    throw Error(ErrorKind::usage, why);
  }

  const RankEnvironment& environment_;
  Clock::time_point end_;
  Socket door_;
  Peers peers_;
};

/// On the other ranks: the connection to rank 0.
Socket find_first_rank(const RankEnvironment& environment, Clock::time_point end) {
  const Address address(environment);
  while (Clock::now() < end) {
    Socket socket = open_socket();
    if (connect(socket.get(), address.get(), address.size) == 0 && is_of_this_user(socket)) {
      return socket;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  fail(ErrorKind::peer_lost,
       "rank 0 has not come to {} within {} s; start all ranks with the same variables, on this "
       "host",
       place_of(environment), rendezvous_patience().count());
}

/// Notices the death of ranks by their connections.
class Watch {
 public:
  Watch(const ShmSegment& segment, Peers peers)
      : segment_(segment), peers_(std::move(peers)), stop_(eventfd(0, EFD_CLOEXEC)) {
    if (stop_.get() < 0) fail(ErrorKind::resource, "eventfd: {}", std::strerror(errno));
    thread_ = std::thread([this] { run(); });
  }
  ~Watch() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(stop_.get(), &one, sizeof(one));
    thread_.join();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  void run() {
    for (;;) {
      std::vector<pollfd> entries{{stop_.get(), POLLIN, 0}};
      std::vector<int> ranks;
      for (const auto& [rank, socket] : peers_) {
        entries.push_back({socket.get(), POLLIN, 0});
        ranks.push_back(rank);
      }
      if (poll(entries.data(), entries.size(), -1) < 0) continue;
      if (entries[0].revents != 0) return;
      for (std::size_t i = 0; i < ranks.size(); ++i) {
        if (entries[i + 1].revents != 0) part_from(ranks[i]);
      }
    }
  }
  /// Nobody says anything any more: this is the end of a connection.
  void part_from(int rank) {
    peers_.erase(rank);
    if (segment_.rank(rank).gone.load() != 0) return;  // it took its leave
    segment_.abort(fmt::format("rank {} has died", rank));
    segment_.mark_gone(rank);
  }

  const ShmSegment& segment_;
  Peers peers_;
  Socket stop_;
  std::thread thread_;
};

/// The memory, watched over for as long as it is in use.
struct WatchedSegment {
  WatchedSegment(ShmSegment made, Peers peers)
      : segment(std::move(made)), watch(segment, std::move(peers)) {}
  ShmSegment segment;
  Watch watch;
};

std::shared_ptr<WatchedSegment> invite(const RankEnvironment& environment, Clock::time_point end) {
  Peers peers = Meeting(environment, end).wait();
  ShmSegment segment = ShmSegment::create(environment.size);
  for (const auto& [rank, socket] : peers) answer(socket, "", segment.fd());
  return std::make_shared<WatchedSegment>(std::move(segment), std::move(peers));
}

std::shared_ptr<WatchedSegment> visit(const RankEnvironment& environment, Clock::time_point end) {
  Peers peers;
  const Socket& first = peers[0] = find_first_rank(environment, end);
  const Hello hello{.rank = environment.rank, .size = environment.size};
  std::string why = "rank 0 does not answer";
  int memory = -1;
  if (send(first.get(), &hello, sizeof(hello), MSG_NOSIGNAL) > 0 &&
      ready_before(first, POLLIN, end + std::chrono::seconds(10))) {
    memory = read_answer(first, why);
  }
  if (memory < 0) throw Error(ErrorKind::peer_lost, why);
  return std::make_shared<WatchedSegment>(ShmSegment::attach(memory), std::move(peers));
}

}  // namespace

std::unique_ptr<Communicator> connect_by_variables(const RankEnvironment& environment) {
  const auto end = Clock::now() + rendezvous_patience();
  auto watched = environment.rank == 0 ? invite(environment, end) : visit(environment, end);
  std::shared_ptr<ShmSegment> segment(watched, &watched->segment);
  return std::make_unique<ShmCommunicator>(std::move(segment), environment.rank);
}

}  // namespace trireme
