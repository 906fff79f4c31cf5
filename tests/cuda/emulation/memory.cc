// Device memory: one stretch of addresses, in which every allocation ends at a page that nobody may
// touch, and which the host may not touch at all unless the queues run. Whoever does hears where.
#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "emulation/internal.h"

namespace trireme::cuda::emulation {

namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t alignment = 256;  // CUDA's
constexpr std::size_t arena_bytes = std::size_t{1} << 40;
constexpr std::byte poison{0xff};
constexpr std::size_t poison_bytes = 16 << 20;

std::size_t rounded_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

/// [pages: slack | bytes | slack up to a multiple of 256], and a page without access on each side.
struct Allocation {
  std::uintptr_t pages = 0;
  std::size_t page_bytes = 0;
  std::size_t bytes = 0;
  int device = 0;
};

struct Memory {
  std::uintptr_t arena = 0;
  std::uintptr_t next = 0;  ///< addresses are never used twice
  std::map<std::uintptr_t, Allocation> device;
  std::map<std::uintptr_t, Allocation> freed;
  std::map<std::uintptr_t, std::size_t> pinned;  ///< bytes of each
  std::map<std::uintptr_t, std::size_t> registered;
  std::map<int, std::size_t> used;
  int accesses = 0;      ///< MemoryAccess objects alive
  bool closed = true;    ///< nobody may touch device memory
  int closings_due = 0;  ///< how often it could have been closed
};

Memory memory;
thread_local int device_of_thread = 0;

std::size_t memory_bytes() {
  return setting("TRIREME_CUDA_EMULATION_MEMORY", std::uint64_t{1} << 30);
}

// ---- allocations ----

void prepare() {
  catch_faults();
  if (memory.arena != 0) return;
  void* arena =
      mmap(nullptr, arena_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (arena == MAP_FAILED) fatal("no address space for device memory");
  memory.arena = reinterpret_cast<std::uintptr_t>(arena);
  memory.next = memory.arena + page;
}

std::byte* bytes_at(std::uintptr_t address) { return reinterpret_cast<std::byte*>(address); }

bool is_poison(std::uintptr_t begin, std::uintptr_t end) {
  return std::all_of(bytes_at(begin), bytes_at(end), [](std::byte b) { return b == poison; });
}

/// Aborts if somebody wrote before or behind an allocation, where no page's end could tell.
void check_slack(std::uintptr_t begin, const Allocation& it) {
  if (!is_poison(std::max(it.pages, begin - alignment), begin) ||
      !is_poison(begin + it.bytes, it.pages + it.page_bytes)) {
    fatal(fmt::format("somebody wrote outside the {} bytes of an allocation", it.bytes));
  }
}

/// Pages of poison to map: what nobody has written takes no memory.
int poison_file() {
  static const int file = [] {
    const int made = memfd_create("poison", MFD_CLOEXEC);
    const std::vector<char> bytes(poison_bytes, '\xff');
    if (made < 0 || write(made, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
      fatal("no memory for poison");
    }
    return made;
  }();
  return file;
}

void map_poison(std::byte* pages, std::size_t bytes) {
  for (std::size_t done = 0; done < bytes; done += poison_bytes) {
    const std::size_t piece = std::min(poison_bytes, bytes - done);
    if (mmap(pages + done, piece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE,
             poison_file(), 0) == MAP_FAILED) {
      fatal("no memory for an allocation");
    }
  }
}

void unmap(std::byte* pages, std::size_t bytes) {
  if (mmap(pages, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
           0) == MAP_FAILED) {
    fatal("an allocation cannot be freed");
  }
}

std::uintptr_t allocate(std::size_t bytes) {
  prepare();
  Allocation it;
  it.page_bytes = rounded_up(std::max<std::size_t>(bytes, 1), page);
  it.pages = memory.next;
  it.bytes = bytes;
  it.device = device_of_thread;
  if (it.pages + it.page_bytes + page > memory.arena + arena_bytes) fatal("out of addresses");
  memory.next += it.page_bytes + page;
  std::byte* pages = bytes_at(it.pages);
  map_poison(pages, it.page_bytes);
  if (memory.closed) mprotect(pages, it.page_bytes, PROT_NONE);
  const std::uintptr_t begin = it.pages + it.page_bytes - rounded_up(bytes, alignment);
  memory.device[begin] = it;
  memory.used[it.device] += rounded_up(bytes, alignment);
  return begin;
}

void release(std::uintptr_t begin) {
  const MemoryAccess access;  // and a check of what was written outside
  const Allocation it = memory.device.at(begin);
  check_slack(begin, it);
  memory.device.erase(begin);
  memory.used[it.device] -= rounded_up(it.bytes, alignment);
  unmap(bytes_at(it.pages), it.page_bytes);
  memory.freed[begin] = it;
}

/// The one of `ranges` that [address, address + bytes) lies in.
template <typename Map, typename Size>
bool lies_in(const Map& ranges, std::uintptr_t address, std::size_t bytes, const Size& size) {
  auto at = ranges.upper_bound(address);
  if (at == ranges.begin()) return false;
  --at;
  return address - at->first <= size(at->second) &&
         bytes <= size(at->second) - (address - at->first);
}

std::size_t size_of_allocation(const Allocation& it) { return it.bytes; }
std::size_t itself(std::size_t bytes) { return bytes; }

bool is_mapped(std::uintptr_t address) {
  unsigned char resident = 0;
  return mincore(bytes_at(address / page * page), 1, &resident) == 0;
}

}  // namespace

MemoryAccess::MemoryAccess() {
  catch_faults();
  ++memory.accesses;
  if (!memory.closed) return;
  memory.closed = false;
  for (const auto& [begin, it] : memory.device) {
    mprotect(bytes_at(it.pages), it.page_bytes, PROT_READ | PROT_WRITE);
  }
}

MemoryAccess::~MemoryAccess() {
  if (--memory.accesses > 0) return;
  for (const auto& [begin, it] : memory.device) check_slack(begin, it);
  // Opening it again takes a call per allocation: whoever runs for long is watched now and then.
  constexpr int always = 1000;
  constexpr int now_and_then = 16;
  if (memory.arena == 0 ||
      (++memory.closings_due > always && memory.closings_due % now_and_then != 0)) {
    return;
  }
  memory.closed = true;
  mprotect(bytes_at(memory.arena), memory.next - memory.arena, PROT_NONE);
}

MemoryKind memory_kind(const void* pointer, std::size_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  if (is_device_address(address)) {
    return lies_in(memory.device, address, bytes, size_of_allocation) ? MemoryKind::device
                                                                      : MemoryKind::bad;
  }
  const bool pinned = lies_in(memory.pinned, address, bytes, itself) ||
                      lies_in(memory.registered, address, bytes, itself);
  return pinned ? MemoryKind::pinned : MemoryKind::pageable;
}

bool is_device_address(std::uintptr_t address) {
  return memory.arena != 0 && address - memory.arena < arena_bytes;
}

std::string describe(std::uintptr_t address) {
  std::string text = fmt::format("{:#x}", address);
  const auto relate = [&](const auto& allocations, const char* what) {
    auto at = allocations.upper_bound(address);
    if (at != allocations.begin()) {
      const auto& [begin, it] = *std::prev(at);
      const std::size_t offset = address - begin;
      if (offset < it.bytes + page) {
        text += fmt::format(", byte {} of {} {}", offset, what, it.bytes);
        return true;
      }
    }
    if (at != allocations.end() && at->second.pages - page <= address) {
      text += fmt::format(", {} bytes before {} {}", at->first - address, what, at->second.bytes);
      return true;
    }
    return false;
  };
  if (!relate(memory.device, "an allocation of")) relate(memory.freed, "a freed allocation of");
  return text;
}

int current_device() { return device_of_thread; }

void check_words(const void* kernel, int index, const void* bytes, std::size_t size) {
  const std::lock_guard hold(runtime_lock());
  for (std::size_t at = 0; at + 8 <= size; at += 8) {
    std::uintptr_t word = 0;
    std::memcpy(&word, static_cast<const std::byte*>(bytes) + at, 8);
    if (word < std::uintptr_t{1} << 32 || word >= std::uintptr_t{1} << 47) continue;
    if (memory_kind(reinterpret_cast<const void*>(word), 0) != MemoryKind::pageable) continue;
    if (!is_mapped(word)) continue;
    fatal(fmt::format("argument {} of kernel {} holds an address of the host's, {:#x}", index,
                      kernel_name(kernel), word));
  }
}

}  // namespace trireme::cuda::emulation

using namespace trireme::cuda::emulation;

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  const std::lock_guard hold(runtime_lock());
  if (pointer == nullptr) return failed(cudaErrorInvalidValue);
  if (spoils_capture()) return failed(cudaErrorStreamCaptureUnsupported);
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  if (bytes > memory_bytes() - memory.used[device_of_thread]) {
    return failed(cudaErrorMemoryAllocation);
  }
  *pointer = bytes_at(allocate(bytes));
  return cudaSuccess;
}

cudaError_t cudaFree(void* pointer) {
  const std::lock_guard hold(runtime_lock());
  if (pointer == nullptr) return cudaSuccess;
  if (spoils_capture()) return failed(cudaErrorStreamCaptureUnsupported);
  const auto at = memory.device.find(reinterpret_cast<std::uintptr_t>(pointer));
  if (at == memory.device.end()) return failed(cudaErrorInvalidValue);
  run_everything();
  release(at->first);
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned) {
  const std::lock_guard hold(runtime_lock());
  if (pointer == nullptr) return failed(cudaErrorInvalidValue);
  if (spoils_capture()) return failed(cudaErrorStreamCaptureUnsupported);
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  void* pages = mmap(nullptr, rounded_up(bytes, page), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return failed(cudaErrorMemoryAllocation);
  memory.pinned[reinterpret_cast<std::uintptr_t>(pages)] = bytes;
  *pointer = pages;
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** pointer, std::size_t bytes) {
  return cudaHostAlloc(pointer, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void* pointer) {
  const std::lock_guard hold(runtime_lock());
  if (pointer == nullptr) return cudaSuccess;
  const auto at = memory.pinned.find(reinterpret_cast<std::uintptr_t>(pointer));
  if (at == memory.pinned.end()) return failed(cudaErrorInvalidValue);
  if (spoils_capture()) return failed(cudaErrorStreamCaptureUnsupported);
  run_everything();
  munmap(pointer, rounded_up(at->second, page));
  memory.pinned.erase(at);
  return cudaSuccess;
}

cudaError_t cudaHostRegister(void* pointer, std::size_t bytes, unsigned) {
  const std::lock_guard hold(runtime_lock());
  if (pointer == nullptr || bytes == 0) return failed(cudaErrorInvalidValue);
  if (memory_kind(pointer, bytes) == MemoryKind::pinned) {
    return failed(cudaErrorHostMemoryAlreadyRegistered);
  }
  memory.registered[reinterpret_cast<std::uintptr_t>(pointer)] = bytes;
  return cudaSuccess;
}

cudaError_t cudaHostUnregister(void* pointer) {
  const std::lock_guard hold(runtime_lock());
  run_everything();
  if (memory.registered.erase(reinterpret_cast<std::uintptr_t>(pointer)) == 0) {
    return failed(cudaErrorHostMemoryNotRegistered);
  }
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  const std::lock_guard hold(runtime_lock());
  *total_bytes = memory_bytes();
  *free_bytes = *total_bytes - memory.used[device_of_thread];
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  int count = 0;
  cudaGetDeviceCount(&count);
  if (device < 0 || device >= count) return failed(cudaErrorInvalidDevice);
  device_of_thread = device;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = device_of_thread;
  return cudaSuccess;
}
