#include "batch/id_table.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <span>
#include <utility>

#include "core/bulk_hash.h"
#include "core/error.h"
#include "core/hash.h"

namespace trireme {

/// All zero: empty.
struct IdTable::Slot {
  static constexpr int row_bits = 40;
  std::uint64_t hash = 0;
  std::uint64_t more = 0;  ///< 24 bits of another hash above the row's number, from 1

  std::uint64_t row() const { return (more & ((std::uint64_t{1} << row_bits) - 1)) - 1; }
  bool empty() const { return more == 0; }
  bool same_id(const Slot& other) const {
    return hash == other.hash && more >> row_bits == other.more >> row_bits;
  }
};

namespace {

/// A file that nobody can open by name, and that is gone with its last user.
int open_nameless(const std::filesystem::path& folder) {
  const int fd = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return fd;
  std::string name = (folder / ".trireme-ids-XXXXXX").string();
  const int named = mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) unlink(name.c_str());
  return named;
}

[[noreturn]] void fail_without_room(const std::filesystem::path& folder, std::size_t bytes,
                                    int error) {
  fail(ErrorKind::resource,
       "{}: cannot keep {} bytes of hashes of the rows' ids there, to find ids that come twice: "
       "{}; free some space and run the same command again to go on",
       folder.empty() ? "." : folder.string(), bytes, std::strerror(error));
}

}  // namespace

IdTable::IdTable(std::filesystem::path folder) : folder_(std::move(folder)) {
  slots_ = map(first_slots, fd_);
  mask_ = first_slots - 1;
}

IdTable::~IdTable() {
  munmap(slots_, (mask_ + 1) * sizeof(Slot));
  if (fd_ >= 0) close(fd_);
}

IdTable::Slot* IdTable::map(std::size_t slots, int& fd) const {
  const std::size_t bytes = slots * sizeof(Slot);
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  if (bytes > memory_bytes) {
    fd = open_nameless(folder_.empty() ? "." : folder_);
    if (fd < 0) fail_without_room(folder_, bytes, errno);
    // A page that finds no room on the disk when it is first touched would be a SIGBUS.
    int error = 0;
    do {  // a signal, such as the one that asks the job to stop, may interrupt it
      error = posix_fallocate(fd, 0, static_cast<off_t>(bytes));
    } while (error == EINTR);
    if (error != 0) {
      close(std::exchange(fd, -1));
      fail_without_room(folder_, bytes, error);
    }
    flags = MAP_SHARED;
  }
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (memory == MAP_FAILED) fail_without_room(folder_, bytes, errno);
  return static_cast<Slot*>(memory);
}

IdTable::Slot& IdTable::find(Slot* slots, std::size_t mask, const Slot& wanted) const {
  std::size_t at = wanted.hash & mask;
  while (!slots[at].empty() && !slots[at].same_id(wanted)) at = (at + 1) & mask;
  return slots[at];
}

void IdTable::grow() {
  const std::size_t slots = (mask_ + 1) * 2;
  int fd = -1;
  Slot* const larger = map(slots, fd);
  for (std::size_t i = 0; i <= mask_; ++i) {
    if (!slots_[i].empty()) find(larger, slots - 1, slots_[i]) = slots_[i];
  }
  munmap(slots_, (mask_ + 1) * sizeof(Slot));
  if (fd_ >= 0) close(fd_);
  slots_ = larger;
  mask_ = slots - 1;
  fd_ = fd;
}

std::optional<std::uint64_t> IdTable::add(std::string_view id, std::uint64_t row) {
  const std::uint64_t other_hash = mixed(bulk_hash(std::as_bytes(std::span(id))));
  TRIREME_ASSERT((row + 1) >> Slot::row_bits == 0);
  const Slot wanted{mixed(fnv1a(id)), other_hash >> 40 << Slot::row_bits | (row + 1)};
  Slot& slot = find(slots_, mask_, wanted);
  if (!slot.empty()) return slot.row();
  slot = wanted;
  if (++size_ > (mask_ + 1) / 4 * 3) grow();
  return std::nullopt;
}

}  // namespace trireme
