#include "comm/shm_segment.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "core/error.h"
#include "core/futex.h"
#include "core/range.h"

namespace trireme {

namespace {

constexpr std::uint64_t magic_number = 0x316d687365726974;  // "tireshm1", little-endian
constexpr int world_slot = 0;

enum AbortState : std::uint32_t { running = 0, writing_reason = 1, aborted_state = 2 };

}  // namespace

struct ShmSegment::Header {
  std::uint64_t magic;
  std::uint32_t ranks;
  std::uint32_t next_group_id;
  std::atomic<std::uint32_t> group_lock;
  alignas(shm_line) std::atomic<std::uint32_t> abort;
  std::uint32_t reason_size;
  char reason[1024];
};

namespace {

constexpr std::size_t area_stride = 4 * ShmSegment::area_floats * sizeof(float);

std::size_t whole_pages(std::size_t bytes) { return (bytes + 4095) / 4096 * 4096; }

}  // namespace

ShmLayout::ShmLayout(int rank_count) {
  const auto n = static_cast<std::size_t>(rank_count);
  slots = 2 * n + 16;
  // A megabyte holds any activation of a decode step; many ranks share a gigabyte of addresses.
  ring_capacity = std::clamp<std::size_t>((std::size_t{1} << 30) / (n * n), 64 << 10, 1 << 20);
  ring_capacity -= ring_capacity % 4096;
  ranks = whole_pages(sizeof(ShmSegment::Header));
  groups = ranks + n * sizeof(ShmRank);
  sequences = groups + slots * sizeof(ShmGroup);
  rings = sequences + slots * n * sizeof(ShmSequence);
  ring_bytes = whole_pages(rings + n * n * sizeof(ShmRing));
  areas = ring_bytes + n * n * ring_capacity;
  traces = whole_pages(areas + slots * n * area_stride);
  total = traces + n * whole_pages(sizeof(TraceRing));
}

ShmSegment ShmSegment::create(int ranks) {
  if (ranks < 1 || ranks > ShmGroup::most_ranks) {
    fail(ErrorKind::usage, "{} ranks on one host: shared memory joins 1 to {}; use MPI for more",
         ranks, ShmGroup::most_ranks);
  }
  const int fd = memfd_create("trireme-ranks", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(ShmLayout(ranks).total)) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    fail(ErrorKind::resource, "cannot create shared memory for {} ranks: {}", ranks,
         std::strerror(error));
  }
  return ShmSegment(fd, ranks, true);
}

ShmSegment ShmSegment::attach(int fd) {
  struct stat status {};
  struct {
    std::uint64_t magic;
    std::uint32_t ranks;
  } start{};
  const bool readable = fstat(fd, &status) == 0 && pread(fd, &start, sizeof(start), 0) > 0;
  if (!readable || start.magic != magic_number || start.ranks < 1 ||
      start.ranks > ShmGroup::most_ranks ||
      status.st_size != static_cast<off_t>(ShmLayout(static_cast<int>(start.ranks)).total)) {
    fail(ErrorKind::usage,
         "TRIREME_SHM_FD={} is not the shared memory of this version's launcher; start ranks with "
         "`trireme launch`, or unset TRIREME_SHM_FD to run one rank",
         fd);
  }
  fcntl(fd, F_SETFD, FD_CLOEXEC);  // it was inherited on purpose, but goes no further
  return ShmSegment(fd, static_cast<int>(start.ranks), false);
}

ShmSegment::ShmSegment(int fd, int ranks, bool initialise)
    : fd_(fd), ranks_(ranks), layout_(ranks) {
  const std::size_t total = layout_.total;
  void* const address =
      mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (address == MAP_FAILED) {
    const int error = errno;
    close(fd);
    fail(ErrorKind::resource, "cannot map {} bytes of shared memory: {}", total,
         std::strerror(error));
  }
  base_ = static_cast<std::byte*>(address);
  if (!initialise) return;
  // A fresh memfd is all zero, which is the initial state of everything but this.
  header().magic = magic_number;
  header().ranks = static_cast<std::uint32_t>(ranks);
  header().next_group_id = 1;
  ShmGroup& world = group(world_slot);
  world.used.store(1);
  world.size = static_cast<std::uint32_t>(ranks);
  for (int r = 0; r < ranks; ++r) world.members[r] = static_cast<std::uint16_t>(r);
}

ShmSegment::ShmSegment(ShmSegment&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      ranks_(other.ranks_),
      layout_(other.layout_),
      base_(std::exchange(other.base_, nullptr)) {}

ShmSegment& ShmSegment::operator=(ShmSegment&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(ranks_, other.ranks_);
  std::swap(layout_, other.layout_);
  std::swap(base_, other.base_);
  return *this;
}

ShmSegment::~ShmSegment() {
  if (base_ != nullptr) munmap(base_, layout_.total);
  if (fd_ >= 0) close(fd_);
}

ShmSegment::Header& ShmSegment::header() const { return *reinterpret_cast<Header*>(base_); }

ShmRank& ShmSegment::rank(int rank) const {
  return reinterpret_cast<ShmRank*>(at(layout_.ranks))[rank];
}

TraceRing& ShmSegment::trace(int rank) const {
  const std::size_t offset = static_cast<std::size_t>(rank) * whole_pages(sizeof(TraceRing));
  return *reinterpret_cast<TraceRing*>(at(layout_.traces + offset));
}

ShmRing& ShmSegment::ring(int from, int to) const {
  return reinterpret_cast<ShmRing*>(at(layout_.rings))[from * ranks_ + to];
}

std::byte* ShmSegment::ring_bytes(int from, int to) const {
  return at(layout_.ring_bytes +
            static_cast<std::size_t>(from * ranks_ + to) * layout_.ring_capacity);
}

ShmGroup& ShmSegment::group(int slot) const {
  return reinterpret_cast<ShmGroup*>(at(layout_.groups))[slot];
}

ShmSequence& ShmSegment::sequence(int slot, int member) const {
  return reinterpret_cast<ShmSequence*>(at(layout_.sequences))[slot * ranks_ + member];
}

float* ShmSegment::area(int slot, int member, int buffer) const {
  const std::size_t index = static_cast<std::size_t>(slot) * static_cast<std::size_t>(ranks_) +
                            static_cast<std::size_t>(member);
  return reinterpret_cast<float*>(at(layout_.areas + index * area_stride)) +
         buffer * 2 * area_floats;
}

bool ShmSegment::lock_groups() const noexcept {
  while (header().group_lock.exchange(1, std::memory_order_acquire) != 0) {
    if (aborted()) return false;  // the holder may have died
    sched_yield();
  }
  return true;
}

void ShmSegment::unlock_groups() const noexcept {
  header().group_lock.store(0, std::memory_order_release);
}

int ShmSegment::join_group(const std::vector<int>& members, std::uint32_t nth) const {
  if (!lock_groups()) throw_if_aborted();
  int free = -1;
  for (int slot = 0; slot < group_slots(); ++slot) {
    const ShmGroup& candidate = group(slot);
    if (candidate.used.load() == 0) {
      if (free < 0) free = slot;
    } else if (slot != world_slot && candidate.nth == nth &&
               std::equal(members.begin(), members.end(), candidate.members,
                          candidate.members + candidate.size)) {
      unlock_groups();
      return slot;
    }
  }
  if (free < 0) {
    unlock_groups();
    fail(ErrorKind::resource, "{} groups of ranks exist at once, and no more fit", group_slots());
  }
  ShmGroup& made = group(free);
  made.id = header().next_group_id++;
  made.nth = nth;
  made.size = static_cast<std::uint32_t>(members.size());
  made.left = 0;
  std::copy(members.begin(), members.end(), made.members);
  for (int member = 0; member < ranks_; ++member) sequence(free, member).value.store(0);
  made.used.store(1);
  unlock_groups();
  return free;
}

void ShmSegment::leave_group(int slot) const noexcept {
  if (!lock_groups()) return;
  ShmGroup& left = group(slot);
  if (++left.left == left.size) left.used.store(0);
  unlock_groups();
}

void ShmSegment::abort(std::string_view reason) const noexcept {
  Header& shared = header();
  std::uint32_t expected = running;
  if (shared.abort.compare_exchange_strong(expected, writing_reason)) {
    const std::size_t size = std::min(reason.size(), sizeof(shared.reason));
    std::memcpy(shared.reason, reason.data(), size);
    shared.reason_size = static_cast<std::uint32_t>(size);
    shared.abort.store(aborted_state);
  }
  for (int r = 0; r < ranks_; ++r) notify(r);
}

bool ShmSegment::aborted() const noexcept {
  return header().abort.load(std::memory_order_acquire) != running;
}

std::string ShmSegment::abort_reason() const {
  const Header& shared = header();
  for (int i = 0; i < 100 && shared.abort.load() == writing_reason; ++i) usleep(100);
  if (shared.abort.load() != aborted_state) return "another rank failed";
  return {shared.reason, std::min<std::size_t>(shared.reason_size, sizeof(shared.reason))};
}

void ShmSegment::throw_if_aborted() const {
  if (aborted()) throw Error(ErrorKind::peer_lost, abort_reason());
}

void ShmSegment::notify(int rank) const noexcept {
  ShmRank& peer = this->rank(rank);
  if (peer.sleepers.load() == 0) return;
  peer.doorbell.fetch_add(1);
  futex_wake(peer.doorbell);
}

void ShmSegment::tick(int rank) const noexcept {
  std::atomic<std::uint64_t>& beat = this->rank(rank).heartbeat;
  beat.store(beat.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void ShmSegment::mark_gone(int rank) const noexcept {
  this->rank(rank).gone.store(1);
  for (int r = 0; r < ranks_; ++r) notify(r);
}

}  // namespace trireme
