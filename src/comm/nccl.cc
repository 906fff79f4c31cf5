#include "comm/nccl.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <future>
#include <numeric>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "comm/nccl_library.h"
#include "comm/tree_sum.h"
#include "core/error.h"

namespace trireme {

namespace {

/// Slices of a sum start at multiples of so many floats, that 16 bytes are loaded at once.
constexpr std::int64_t align = 4;
/// Connecting eight GPUs takes a few seconds, many hosts some more.
constexpr std::chrono::seconds connect_within{120};

void require(const NcclLibrary& nccl, NcclResult result, NcclComm* comm, ErrorKind kind,
             const std::string& what) {
  if (result == NcclResult::success) return;
  const char* const detail = nccl.get_last_error(comm);
  const bool more = detail != nullptr && *detail != '\0';
  fail(kind,
       "{}: {}{}{} (NCCL_DEBUG=INFO says more; with TRIREME_NCCL=0 GPUs exchange through the "
       "host's memory)",
       what, nccl.get_error_string(result), more ? ": " : "", more ? detail : "");
}

// Whether to use NCCL: all ranks say what they have, the first decides.

/// What one rank has. Sent as lines; `why` may have several.
struct Offer {
  enum State { off, missing, ready };
  State state = off;
  int version = 0;
  std::string device_id;
  std::string why;  ///< it is missing

  std::string text() const {
    return fmt::format("{}\n{}\n{}\n{}", static_cast<int>(state), version, device_id, why);
  }
  static Offer parse(const Message& message) {
    const std::string text(reinterpret_cast<const char*>(message.data()), message.size());
    std::size_t ends[3];
    for (std::size_t i = 0, from = 0; i < 3; ++i, from = ends[i - 1] + 1) {
      ends[i] = text.find('\n', from);
      if (ends[i] == std::string::npos) fail(ErrorKind::peer_lost, "not what a rank says of NCCL");
    }
    return {static_cast<State>(std::atoi(text.c_str())), std::atoi(text.c_str() + ends[0] + 1),
            text.substr(ends[1] + 1, ends[2] - ends[1] - 1), text.substr(ends[2] + 1)};
  }
};

Offer own_offer(const DeviceStream& stream) {
  Offer offer{.device_id = stream.device_id};
  // Tests that show what depends on the plan need the communicators' sums.
  if (nccl_is_off() || plan_dependent_reduction()) return offer;
  const NcclLibrary* const nccl = nccl_library(offer.why);
  offer.state = nccl == nullptr ? Offer::missing : Offer::ready;
  if (nccl != nullptr) nccl->get_version(&offer.version);
  return offer;
}

void warn_once(const std::string& what) {
  static std::atomic<bool> warned{false};
  if (warned.exchange(true)) return;
  std::fprintf(
      stderr,
      "trireme: warning: %s; GPUs exchange through the host's memory, which is slow. Install "
      "NCCL 2.13 or newer for your CUDA on every host (libnccl2 from NVIDIA's package "
      "repository; or pip install nvidia-nccl-cu12 or -cu13 and set TRIREME_NCCL to the "
      "path of its libnccl.so.2)\n",
      what.c_str());
}

bool all_can(const std::vector<Offer>& offers) {
  std::set<std::string> devices;
  for (const Offer& offer : offers) {
    if (offer.state == Offer::off) return false;
    devices.insert(offer.device_id);
  }
  for (std::size_t rank = 0; rank < offers.size(); ++rank) {
    const Offer& offer = offers[rank];
    if (offer.state == Offer::missing) {
      warn_once(fmt::format("NCCL cannot be loaded on rank {}: {}", rank, offer.why));
      return false;
    }
    if (offer.version != offers[0].version) {
      warn_once(fmt::format("rank 0 has NCCL {}, rank {} has {}: they must be the same",
                            offers[0].version, rank, offer.version));
      return false;
    }
  }
  return devices.size() == offers.size();  // NCCL has no two ranks on one GPU
}

/// The id under which the ranks meet, if all can.
std::optional<NcclId> agree(Communicator& ranks, const DeviceStream& stream) {
  const std::string mine = own_offer(stream).text();
  std::vector<Offer> offers;
  for (const Message& message : ranks.gather(0, std::as_bytes(std::span(mine)))) {
    offers.push_back(Offer::parse(message));
  }
  NcclId id{};
  Message message;
  if (ranks.rank() == 0 && all_can(offers)) {
    std::string why;
    const NcclLibrary& nccl = *nccl_library(why);
    require(nccl, nccl.get_unique_id(&id), nullptr, ErrorKind::resource, "NCCL cannot be started");
    const auto bytes = std::as_bytes(std::span(id.bytes));
    message.assign(bytes.begin(), bytes.end());
  }
  ranks.broadcast(0, message);
  if (message.size() != sizeof(id.bytes)) return std::nullopt;
  std::memcpy(id.bytes, message.data(), sizeof(id.bytes));
  return id;
}

// Meeting: NCCL waits for ranks that may never come, so it does that in a thread of its own.

struct Meeting {
  const NcclLibrary& nccl;
  NcclId id;
  int rank;
  int size;
  const DeviceStream& stream;
  std::shared_ptr<std::byte> area;  ///< null: nothing is exchanged yet
  NcclComm* comm = nullptr;
  std::atomic<bool> given_up{false};
};

void require(const Meeting& meeting, NcclResult result) {
  require(meeting.nccl, result, meeting.comm, ErrorKind::resource,
          fmt::format("rank {} of {}: NCCL cannot connect the GPUs", meeting.rank, meeting.size));
}

/// Everybody sends a float to everybody, both ways of doing it: then all connections are there, and
/// the memory that NCCL takes for them is known to be taken.
void connect_all(const Meeting& meeting) {
  const NcclLibrary& nccl = meeting.nccl;
  void* const stream = meeting.stream.stream;
  auto* const floats = reinterpret_cast<float*>(meeting.area.get());
  require(meeting, nccl.group_start());
  for (int i = 1; i < meeting.size; ++i) {
    const int peer = (meeting.rank + i) % meeting.size;
    nccl.send(floats, 1, NcclType::float32, peer, meeting.comm, stream);
    nccl.recv(floats + i, 1, NcclType::float32, peer, meeting.comm, stream);
  }
  require(meeting, nccl.group_end());
  require(meeting, nccl.all_gather(floats + meeting.rank, floats, 1, NcclType::float32,
                                   meeting.comm, stream));
}

void meet(Meeting& meeting) {
  meeting.stream.flush();
  require(meeting,
          meeting.nccl.comm_init_rank(&meeting.comm, meeting.size, meeting.id, meeting.rank));
  if (meeting.area != nullptr && !meeting.given_up) connect_all(meeting);
}

/// Throws Error(peer_lost) when one of them is known to be. They send nothing in this group.
void look_after(Communicator& peers) {
  for (int peer = 0; peer < peers.size(); ++peer) {
    if (peer != peers.rank()) peers.try_receive(peer);
  }
}

/// NCCL has failed. If a rank is to blame the communicator soon knows which, and why.
void blame(Communicator& peers) {
  for (int i = 0; i < 50; ++i) {
    look_after(peers);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

NcclComm* meet_under_watch(const std::shared_ptr<Meeting>& meeting, Communicator& peers) {
  std::packaged_task<void()> task([meeting] { meet(*meeting); });
  std::future<void> done = task.get_future();
  std::thread(std::move(task)).detach();
  const auto begin = std::chrono::steady_clock::now();
  try {
    while (done.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready) {
      look_after(peers);
      if (std::chrono::steady_clock::now() - begin > connect_within) {
        fail(ErrorKind::resource,
             "rank {} of {}: NCCL has not connected the GPUs within {} s: NCCL_DEBUG=INFO says how "
             "far it came, NCCL_SOCKET_IFNAME names the network between hosts; with TRIREME_NCCL=0 "
             "GPUs exchange through the host's memory",
             meeting->rank, meeting->size, connect_within.count());
      }
    }
  } catch (...) {
    meeting->given_up = true;
    throw;
  }
  try {
    done.get();
  } catch (const Error&) {
    blame(peers);
    throw;
  }
  return meeting->comm;
}

// The links.

/// Elements [begin, begin + size) of a sum.
struct Chunk {
  const TreeSumPlan& plan;
  std::span<const float* const> partials;  ///< this rank's, from element 0 on
  std::int64_t begin = 0;
  std::int64_t size = 0;
  float* out = nullptr;  ///< [size]
};

class NcclLinks final : public DeviceCollectives {
 public:
  NcclLinks(const NcclLibrary& nccl, std::unique_ptr<Communicator> peers,
            const DeviceStream& stream, const NcclId& id, NcclUse use, NcclSizes sizes)
      : nccl_(nccl),
        peers_(std::move(peers)),
        stream_(stream),
        sizes_(sizes),
        rank_(peers_->rank()),
        size_(peers_->size()) {
    if (use == NcclUse::sums) {
      area_ = stream_.allocate(static_cast<std::size_t>(sizes_.area_floats) * sizeof(float));
    }
    const auto meeting = std::make_shared<Meeting>(nccl_, id, rank_, size_, stream_, area_);
    comm_ = meet_under_watch(meeting, *peers_);
    stream_.watchers[this] = [this] { look(); };
  }

  /// Ends the work that waits for a rank which is gone; else lets it come to its end.
  ~NcclLinks() override {
    stream_.watchers.erase(this);
    stream_.forget_recorded();
    const bool fails =
        lost_ || stream_.given_up || std::uncaught_exceptions() > exceptions_ || !all_there();
    fails ? nccl_.comm_abort(comm_) : nccl_.comm_destroy(comm_);
  }
  NcclLinks(const NcclLinks&) = delete;
  NcclLinks& operator=(const NcclLinks&) = delete;

  void tree_all_reduce(const TreeSum& sum, std::span<const float* const> partials,
                       std::int64_t count, float* out) override {
    const TreeSumPlan& plan = plans_.get(sum);
    TRIREME_ASSERT(area_ != nullptr && plan.ranks() == size_ && count >= 0);
    TRIREME_ASSERT(std::ssize(partials) == plan.pieces(rank_).size());
    if (count == 0) return;
    begin();
    if (plan.piece_count() == 0) return stream_.tree_sum({}, {}, count, out);
    const bool everywhere = worth_summing_everywhere(plan, count);
    // What an area holds of each piece, the same on every rank.
    const std::int64_t part = sizes_.area_floats / plan.piece_count() / align * align;
    const std::int64_t chunk = everywhere ? part : part * size_;
    for (std::int64_t at = 0; at < count; at += chunk) {
      const Chunk here{plan, partials, at, std::min(chunk, count - at), out + at};
      everywhere ? sum_everywhere(here) : sum_by_slices(here);
    }
  }

  void send(int to, const void* from, std::size_t bytes) override {
    if (bytes == 0) return;
    begin();
    require(nccl_.send(from, bytes, NcclType::int8, to, comm_, stream_.stream), "a message");
  }

  void receive(int from, void* to, std::size_t bytes) override {
    if (bytes == 0) return;
    begin();
    require(nccl_.recv(to, bytes, NcclType::int8, from, comm_, stream_.stream), "a message");
  }

 private:
  void require(NcclResult result, std::string_view what) {
    if (result == NcclResult::success) return;
    lost_ = true;
    blame(*peers_);
    trireme::require(nccl_, result, comm_, ErrorKind::peer_lost,
                     fmt::format("rank {} of {}: {} between GPUs failed", rank_, size_, what));
  }

  /// Before anything is enqueued.
  void begin() {
    check_connections();
    stream_.flush();
  }

  void check_connections() {
    NcclResult state{};
    require(nccl_.comm_get_async_error(comm_, &state), "looking after the connections");
    require(state, "the connection");
  }

  /// While the host waits for the stream.
  void look() {
    const bool lost = std::exchange(lost_, true);  // unless nobody is missed
    look_after(*peers_);
    lost_ = lost;
    check_connections();
  }

  bool all_there() noexcept {
    try {
      look_after(*peers_);
      return true;
    } catch (...) {
      return false;
    }
  }

  /// Exchanging whole pieces moves more bytes, but everything is there after one exchange instead
  /// of two. For two ranks with a piece each both move the same.
  bool worth_summing_everywhere(const TreeSumPlan& plan, std::int64_t count) const {
    const std::int64_t whole = plan.piece_count() * (size_ - 1);
    const std::int64_t sliced = ceil_div(whole, std::int64_t{size_}) + (size_ - 1);
    return (whole - sliced) * count <= sizes_.worth_an_exchange * size_;
  }

  /// Every rank gets all pieces and adds them up.
  void sum_everywhere(const Chunk& chunk) {
    pieces_.clear();
    if (one_piece_each(chunk.plan)) {
      all_gather(chunk.partials[0] + chunk.begin, area(), chunk.size);
      for (int rank = 0; rank < size_; ++rank) pieces_.push_back(area() + rank * chunk.size);
    } else {
      exchange(chunk, chunk.size, [&](int) { return Range{0, chunk.size}; });
    }
    stream_.tree_sum(pieces_, chunk.plan.steps(), chunk.size, chunk.out);
  }

  /// Every rank adds up its slice, which the others then get: the volume of a ring all-reduce.
  void sum_by_slices(const Chunk& chunk) {
    const std::int64_t width = round_up(ceil_div(chunk.size, std::int64_t{size_}), align);
    const auto slice = [&](int rank) {
      return Range{std::min(chunk.size, rank * width), std::min(chunk.size, (rank + 1) * width)};
    };
    const Range mine = slice(rank_);
    pieces_.clear();
    exchange(chunk, width, slice);
    float* const sum = chunk.out + mine.begin;
    if (!mine.empty()) stream_.tree_sum(pieces_, chunk.plan.steps(), mine.size(), sum);
    if (chunk.size == width * size_) return all_gather(sum, chunk.out, width);
    grouped([&] {
      for (int i = 1; i < size_; ++i) {
        const int peer = (rank_ + i) % size_;
        const Range theirs = slice(peer);
        send_floats(sum, mine.size(), peer);
        receive_floats(chunk.out + theirs.begin, theirs.size(), peer);
      }
    });
  }

  /// Sends every rank what `wanted` says that it wants of this rank's pieces, and collects what
  /// this rank wants of all: pieces_, in the order of their numbers, at most `width` long.
  template <typename Wanted>
  void exchange(const Chunk& chunk, std::int64_t width, const Wanted& wanted) {
    const Range mine = wanted(rank_);
    float* place = area();
    grouped([&] {
      for (int rank = 0; rank < size_; ++rank) {
        for (std::int64_t i = 0; i < chunk.plan.pieces(rank).size(); ++i) {
          if (rank == rank_) {
            pieces_.push_back(chunk.partials[static_cast<std::size_t>(i)] + chunk.begin +
                              mine.begin);
            continue;
          }
          receive_floats(place, mine.size(), rank);
          pieces_.push_back(place);
          place += round_up(width, align);
        }
      }
      for (const float* const partial : chunk.partials) {
        for (int i = 1; i < size_; ++i) {
          const int peer = (rank_ + i) % size_;
          const Range theirs = wanted(peer);
          send_floats(partial + chunk.begin + theirs.begin, theirs.size(), peer);
        }
      }
    });
  }

  bool one_piece_each(const TreeSumPlan& plan) const {
    return plan.piece_count() == size_ && plan.most_pieces() == 1;
  }

  /// What `work` asks for happens at once.
  template <typename Work>
  void grouped(const Work& work) {
    require(nccl_.group_start(), "an exchange");
    try {
      work();
    } catch (...) {
      nccl_.group_end();
      throw;
    }
    require(nccl_.group_end(), "an exchange");
  }

  void send_floats(const float* from, std::int64_t count, int to) {
    if (count == 0) return;
    require(nccl_.send(from, static_cast<std::size_t>(count), NcclType::float32, to, comm_,
                       stream_.stream),
            "an exchange");
  }

  void receive_floats(float* to, std::int64_t count, int from) {
    if (count == 0) return;
    require(nccl_.recv(to, static_cast<std::size_t>(count), NcclType::float32, from, comm_,
                       stream_.stream),
            "an exchange");
  }

  /// `count` of each rank; `from` may be this rank's place in `to`.
  void all_gather(const float* from, float* to, std::int64_t count) {
    require(nccl_.all_gather(from, to, static_cast<std::size_t>(count), NcclType::float32, comm_,
                             stream_.stream),
            "an exchange");
  }

  float* area() const { return reinterpret_cast<float*>(area_.get()); }

  const NcclLibrary& nccl_;
  std::unique_ptr<Communicator> peers_;  ///< in which nobody sends: it tells who is lost
  const DeviceStream& stream_;
  NcclSizes sizes_;
  int rank_;
  int size_;
  /// Pieces of others: from the beginning and for ever, so that recorded work finds it.
  std::shared_ptr<std::byte> area_;
  NcclComm* comm_ = nullptr;
  bool lost_ = false;
  int exceptions_ = std::uncaught_exceptions();  // more of them at the end: this rank has failed
  TreeSumPlans plans_;
  std::vector<const float*> pieces_;
};

}  // namespace

std::unique_ptr<DeviceCollectives> connect_nccl(Communicator& ranks, const DeviceStream* stream,
                                                NcclUse use, NcclSizes sizes) {
  if (stream == nullptr || ranks.size() == 1) return nullptr;
  const std::optional<NcclId> id = agree(ranks, *stream);
  if (!id) return nullptr;
  std::vector<int> all(static_cast<std::size_t>(ranks.size()));
  std::iota(all.begin(), all.end(), 0);
  std::string why;
  return std::make_unique<NcclLinks>(*nccl_library(why), ranks.group(all), *stream, *id, use,
                                     sizes);
}

}  // namespace trireme
