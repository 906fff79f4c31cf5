#include "core/shared_once.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>

#include "core/error.h"
#include "core/futex.h"

namespace trireme {

namespace {

constexpr std::size_t control_bytes = 4096;
constexpr std::uint64_t magic_number = 0x3165636e6f697274;  // "trionce1", little-endian
enum State : std::uint32_t { empty = 0, ready = 1 };

}  // namespace

/// The memory's first page.
struct SharedOnce::Control {
  std::uint64_t magic;
  std::uint64_t bytes;
  std::atomic<std::uint32_t> state;
};

int SharedOnce::create_memory(const char* name) {
  const int memory = memfd_create(name, MFD_CLOEXEC);
  if (memory < 0 || ftruncate(memory, control_bytes) != 0 ||
      pwrite(memory, &magic_number, sizeof(magic_number), 0) != sizeof(magic_number)) {
    const int error = errno;
    if (memory >= 0) close(memory);
    fail(ErrorKind::resource, "cannot create shared memory for weights: {}", std::strerror(error));
  }
  return memory;
}

SharedOnce::SharedOnce(int memory) {
  // Opened again, because a file lock belongs to the open file, which inheriting processes share.
  file_ = open(fmt::format("/proc/self/fd/{}", memory).c_str(), O_RDWR | O_CLOEXEC);
  struct stat status {};
  std::uint64_t magic = 0;
  if (file_ >= 0 && fstat(file_, &status) == 0 &&
      status.st_size >= static_cast<off_t>(control_bytes) &&
      pread(file_, &magic, sizeof(magic), 0) == sizeof(magic) && magic == magic_number) {
    control_ = mmap(nullptr, control_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    if (control_ != MAP_FAILED) return;
  }
  if (file_ >= 0) close(file_);
  fail(ErrorKind::usage, "descriptor {} is not memory for shared weights; start ranks with trireme",
       memory);
}

SharedOnce::~SharedOnce() {
  if (payload_ != nullptr) munmap(payload_, payload_bytes_);
  munmap(control_, control_bytes);
  close(file_);
}

SharedOnce::Control& SharedOnce::control() const { return *static_cast<Control*>(control_); }

bool SharedOnce::is_ready() const {
  return control().state.load(std::memory_order_acquire) == ready;
}

std::span<const std::byte> SharedOnce::get(std::size_t bytes,
                                           const std::function<void(std::span<std::byte>)>& fill,
                                           const std::function<void()>& idle) {
  TRIREME_ASSERT(payload_ == nullptr && bytes > 0);
  while (!is_ready()) {
    if (flock(file_, LOCK_EX | LOCK_NB) == 0) {
      struct Unlock {
        ~Unlock() { flock(file, LOCK_UN); }
        int file;
      } unlock{file_};
      if (!is_ready()) fill_now(bytes, fill);
    } else {
      futex_wait(control().state, empty, std::chrono::milliseconds(20));
      idle();
    }
  }
  if (control().bytes != bytes) {
    fail(ErrorKind::usage,
         "the shared weights hold {} bytes, but this rank expects {}: all replicas must run the "
         "same "
         "model, plan and dtype",
         control().bytes, bytes);
  }
  if (payload_ == nullptr) map_payload(bytes, PROT_READ);
  return {static_cast<const std::byte*>(payload_), bytes};
}

void SharedOnce::fill_now(std::size_t bytes,
                          const std::function<void(std::span<std::byte>)>& fill) {
  if (ftruncate(file_, static_cast<off_t>(control_bytes + bytes)) != 0) {
    fail(ErrorKind::resource, "cannot get {} bytes of memory for weights: {}", bytes,
         std::strerror(errno));
  }
  map_payload(bytes, PROT_READ | PROT_WRITE);
  try {
    fill({static_cast<std::byte*>(payload_), bytes});
  } catch (...) {
    munmap(payload_, payload_bytes_);
    payload_ = nullptr;
    throw;
  }
  mprotect(payload_, payload_bytes_, PROT_READ);
  filled_here_ = true;
  control().bytes = bytes;
  control().state.store(ready, std::memory_order_release);
  futex_wake(control().state);
}

void SharedOnce::map_payload(std::size_t bytes, int protection) {
  void* const address =
      mmap(nullptr, bytes, protection, MAP_SHARED, file_, static_cast<off_t>(control_bytes));
  if (address == MAP_FAILED) {
    fail(ErrorKind::resource, "cannot map {} bytes of weights: {}", bytes, std::strerror(errno));
  }
  payload_ = address;
  payload_bytes_ = bytes;
  madvise(payload_, bytes, MADV_HUGEPAGE);  // worth 15 % of bandwidth where the system allows it
}

}  // namespace trireme
