#include "comm/tcp_mesh.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "comm/hmac.h"
#include "core/error.h"

namespace trireme {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t magic_number = 0x3170637465726974;  // "tiretcp1"
constexpr std::size_t least_secret = 16;

/// The first words of who connects. All hosts are of one kind (little-endian).
struct Hello {
  std::uint64_t magic = magic_number;
  std::int32_t from = 0;
  std::int32_t to = 0;
  std::int32_t size = 0;
  std::int32_t unused = 0;
  Digest nonce{};
};

struct Reply {
  Digest nonce{};
  Digest proof{};
};

/// Where a rank listens.
struct Place {
  sockaddr_storage address{};
  std::int64_t size = 0;
};

template <typename T>
std::span<std::byte> bytes_of(T& value) {
  return std::as_writable_bytes(std::span(&value, 1));
}

std::string secret() {
  const char* const text = std::getenv("TRIREME_SECRET");
  const std::string found = text != nullptr ? text : "";
  if (found.size() < least_secret) {
    fail(ErrorKind::usage,
         "ranks on several hosts show each other a secret: set TRIREME_SECRET ({} characters or "
         "more) to the same on all of them, for example to what `openssl rand -hex 16` prints",
         least_secret);
  }
  return found;
}

int port_of(const RankEnvironment& environment) {
  const bool torchrun = std::getenv("TORCHELASTIC_RUN_ID") != nullptr &&
                        std::getenv("TRIREME_NUM_MACHINES") == nullptr;
  return environment.master_port + (torchrun ? 1 : 0);
}

Digest random_digest() {
  Digest nonce{};
  if (getrandom(nonce.data(), nonce.size(), 0) != static_cast<ssize_t>(nonce.size())) {
    fail(ErrorKind::resource, "no random numbers: {}", std::strerror(errno));
  }
  return nonce;
}

/// What one end proves: `role` keeps an answer from being sent back as one's own.
Digest proof_of(char role, const Hello& hello, const Digest& nonce, const std::string& key) {
  std::vector<std::byte> message{static_cast<std::byte>(role)};
  const auto first = std::as_bytes(std::span(&hello, 1));
  message.insert(message.end(), first.begin(), first.end());
  message.insert(message.end(), nonce.begin(), nonce.end());
  return hmac_sha256(std::as_bytes(std::span(key)), message);
}

void set_options(const Socket& socket) {
  const int one = 1;
  setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  fcntl(socket.get(), F_SETFL, O_NONBLOCK);
}

class Mesh {
 public:
  explicit Mesh(const RankEnvironment& environment)
      : environment_(environment),
        secret_(secret()),
        port_(port_of(environment)),
        end_(Clock::now() + rendezvous_patience()) {}

  TcpPeers connect() {
    if (environment_.rank == 0) {
      listen_at(resolve(true));
      accept_all(environment_.size - 1);
      share_places();
    } else {
      join_first();
      meet_others();
    }
    for (const auto& [rank, socket] : peers_) set_options(socket);
    return std::move(peers_);
  }

 private:
  std::string where() const { return fmt::format("{}:{}", environment_.master_addr, port_); }

  std::vector<Place> resolve(bool passive) const {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = passive ? AI_PASSIVE : 0;
    addrinfo* list = nullptr;
    const int error =
        getaddrinfo(environment_.master_addr.c_str(), std::to_string(port_).c_str(), &hints, &list);
    if (error != 0) {
      fail(ErrorKind::usage, "{}: {}; MASTER_ADDR (--main_process_ip) is the address of machine 0",
           where(), gai_strerror(error));
    }
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, freeaddrinfo);
    std::vector<Place> places;
    for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
      Place& place = places.emplace_back();
      std::memcpy(&place.address, entry->ai_addr, entry->ai_addrlen);
      place.size = entry->ai_addrlen;
    }
    return places;
  }

  static Socket open(const Place& place) {
    return Socket(socket(place.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }

  void listen_at(const std::vector<Place>& places) {
    int error = 0;
    for (const Place& place : places) {
      door_ = open(place);
      const int one = 1;
      setsockopt(door_.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
      const auto* const address = reinterpret_cast<const sockaddr*>(&place.address);
      if (bind(door_.get(), address, static_cast<socklen_t>(place.size)) == 0 &&
          listen(door_.get(), environment_.size) == 0) {
        return;
      }
      error = errno;
    }
    fail(ErrorKind::resource,
         "rank {} cannot listen at {}: {}; MASTER_ADDR and MASTER_PORT (--main_process_ip and "
         "--main_process_port) name an address of machine 0 and a free port",
         environment_.rank, where(), std::strerror(error));
  }

  void accept_all(int count) {
    while (count > 0) {
      if (!ready_before(door_, POLLIN, end_)) missing();
      Socket guest(accept4(door_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (guest.get() >= 0 && let_in(std::move(guest))) --count;
    }
  }

  [[noreturn]] void missing() const {
    std::string absent;
    for (int rank = 0; rank < environment_.size; ++rank) {
      if (rank != environment_.rank && !peers_.contains(rank)) absent += fmt::format(" {}", rank);
    }
    fail(ErrorKind::peer_lost,
         "rank {}: of {} ranks these have not come within {} s:{}; is {} reachable, and "
         "TRIREME_SECRET the same everywhere?",
         environment_.rank, environment_.size, rendezvous_patience().count(), absent, where());
  }

  /// False for a stranger, who is left standing.
  bool let_in(Socket guest) {
    const auto soon = std::min(end_, Clock::now() + std::chrono::seconds(5));
    Hello hello{};
    if (!receive_all(guest, bytes_of(hello), soon) || hello.magic != magic_number) return false;
    Reply reply{.nonce = random_digest()};
    reply.proof = proof_of('a', hello, reply.nonce, secret_);
    Digest proof{};
    if (!send_all(guest, bytes_of(reply), soon) || !receive_all(guest, bytes_of(proof), soon) ||
        !equal_digests(proof, proof_of('b', hello, reply.nonce, secret_))) {
      return false;
    }
    if (hello.size != environment_.size || hello.to != environment_.rank ||
        hello.from <= hello.to || hello.from >= hello.size || peers_.contains(hello.from)) {
      fail(ErrorKind::usage,
           "a process came to rank {} of {} as rank {} of {}; each RANK is there once, and "
           "WORLD_SIZE is the same for all",
           environment_.rank, environment_.size, hello.from, hello.size);
    }
    peers_.emplace(hello.from, std::move(guest));
    return true;
  }

  /// Connects to who may not be listening yet.
  Socket reach(const std::vector<Place>& places, int rank) {
    while (Clock::now() < end_) {
      for (const Place& place : places) {
        Socket socket = open(place);
        const auto* const address = reinterpret_cast<const sockaddr*>(&place.address);
        if (::connect(socket.get(), address, static_cast<socklen_t>(place.size)) == 0) {
          return socket;
        }
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    fail(ErrorKind::peer_lost,
         "rank {} cannot reach rank {} within {} s; rank 0 is to listen at {}", environment_.rank,
         rank, rendezvous_patience().count(), where());
  }

  void introduce(const Socket& socket, int rank) const {
    const Hello hello{
        .from = environment_.rank, .to = rank, .size = environment_.size, .nonce = random_digest()};
    Hello sent = hello;
    Reply reply{};
    if (!send_all(socket, bytes_of(sent), end_) || !receive_all(socket, bytes_of(reply), end_)) {
      fail(ErrorKind::peer_lost, "rank {} does not answer rank {} at {}", rank, environment_.rank,
           where());
    }
    if (!equal_digests(reply.proof, proof_of('a', hello, reply.nonce, secret_))) {
      fail(ErrorKind::usage,
           "what listens at {} does not know TRIREME_SECRET; set it to the same on all hosts",
           where());
    }
    Digest proof = proof_of('b', hello, reply.nonce, secret_);
    send_all(socket, bytes_of(proof), end_);
  }

  /// On rank 0: tells everybody where the others listen.
  void share_places() {
    std::vector<Place> places(static_cast<std::size_t>(environment_.size));
    for (const auto& [rank, socket] : peers_) {
      if (!receive_all(socket, bytes_of(places[static_cast<std::size_t>(rank)]), end_)) missing();
    }
    for (const auto& [rank, socket] : peers_) {
      if (!send_all(socket, std::as_writable_bytes(std::span(places)), end_)) missing();
    }
  }

  /// Listens where this rank reaches rank 0 from, at any port.
  void join_first() {
    Socket first = reach(resolve(false), 0);
    introduce(first, 0);
    Place own;
    socklen_t size = sizeof(own.address);
    getsockname(first.get(), reinterpret_cast<sockaddr*>(&own.address), &size);
    own.size = size;
    set_port(own, 0);
    listen_at({own});
    size = sizeof(own.address);
    getsockname(door_.get(), reinterpret_cast<sockaddr*>(&own.address), &size);
    if (!send_all(first, bytes_of(own), end_)) missing();
    peers_.emplace(0, std::move(first));
  }

  static void set_port(Place& place, in_port_t port) {
    if (place.address.ss_family == AF_INET6) {
      reinterpret_cast<sockaddr_in6*>(&place.address)->sin6_port = port;
    } else {
      reinterpret_cast<sockaddr_in*>(&place.address)->sin_port = port;
    }
  }

  /// Goes to those before, and lets in those behind.
  void meet_others() {
    std::vector<Place> places(static_cast<std::size_t>(environment_.size));
    if (!receive_all(peers_.at(0), std::as_writable_bytes(std::span(places)), end_)) {
      fail(ErrorKind::peer_lost, "rank 0 has left before all ranks had come to {}", where());
    }
    for (int rank = 1; rank < environment_.rank; ++rank) {
      const Place& place = places[static_cast<std::size_t>(rank)];
      if (place.size < 0 || place.size > static_cast<std::int64_t>(sizeof(place.address))) {
        fail(ErrorKind::peer_lost, "rank 0 sends no address of rank {}", rank);
      }
      Socket socket = reach({place}, rank);
      introduce(socket, rank);
      peers_.emplace(rank, std::move(socket));
    }
    accept_all(environment_.size - 1 - environment_.rank);
  }

  const RankEnvironment& environment_;
  std::string secret_;
  int port_;
  SteadyTime end_;
  Socket door_;
  TcpPeers peers_;
};

}  // namespace

bool send_all(const Socket& socket, std::span<const std::byte> bytes, SteadyTime end) {
  while (!bytes.empty()) {
    const ssize_t count = send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    } else if (errno != EINTR && (errno != EAGAIN || !ready_before(socket, POLLOUT, end))) {
      return false;
    }
  }
  return true;
}

bool receive_all(const Socket& socket, std::span<std::byte> bytes, SteadyTime end) {
  while (!bytes.empty()) {
    if (!ready_before(socket, POLLIN, end)) return false;
    const ssize_t count = recv(socket.get(), bytes.data(), bytes.size(), 0);
    if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN)) return false;
    if (count > 0) bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

std::chrono::seconds rendezvous_patience() {
  const char* const text = std::getenv("TRIREME_RENDEZVOUS_SECONDS");
  const int asked = text != nullptr ? std::atoi(text) : 0;
  return std::chrono::seconds(asked > 0 ? asked : 120);
}

TcpPeers connect_mesh(const RankEnvironment& environment) { return Mesh(environment).connect(); }

}  // namespace trireme
