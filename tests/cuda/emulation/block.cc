// Runs the blocks of a launch: their threads are fibers on the caller's thread, which give way at
// barriers and collectives only, to whichever other is ready: at random, so that an order that
// nothing enforces shows.
#include <fmt/core.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cfenv>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "emulation/internal.h"
#include "emulation/stacks.h"

namespace trireme::cuda::emulation {

Place place;
const uint3* thread_index = nullptr;

namespace {

constexpr std::size_t guard_bytes = 16 << 10;
constexpr int max_threads = 1024;
constexpr int warp_lanes = 32;

void run_threads();

// ---- the running block ----

struct Warp;

struct Copy {
  std::byte* to = nullptr;
  const std::byte* from = nullptr;
  bool valid = false;
  int group = 0;
};

struct Thread {
  uint3 index{};
  int lane = 0;
  Warp* warp = nullptr;
  Stack* stack = nullptr;  ///< null before its first instruction
  std::vector<Copy> copies;
  int copy_group = 0;
};

struct Warp {
  int lanes = 0;  ///< 32, or fewer in a block's last
  int arrived = 0;
  int returned = 0;
  Collective kind = Collective::sync;
  const char* name = "";
  std::array<Thread*, warp_lanes> waiting{};
  // Two sets, in turn: a lane reads its result while others are at the next collective already.
  int turn = 0;
  std::uint64_t values[2][warp_lanes] = {};
  std::array<MatrixOperands, warp_lanes> operands{};
};

struct Block {
  const Launch* launch = nullptr;
  std::vector<Thread> threads = std::vector<Thread>(max_threads);
  std::vector<Warp> warps = std::vector<Warp>(max_threads / warp_lanes);
  int count = 0;  ///< of threads
  int returned = 0;
  std::vector<Thread*> ready;
  bool run_ahead = false;  ///< one warp goes as far as it can before the next begins
  struct {
    int arrived = 0;
    Barrier kind = Barrier::plain;
    int sum = 0;
    int turn = 0;
    int results[2] = {};
    std::vector<Thread*> waiting;
  } barrier;
  Thread* running = nullptr;
  Stack main;
  Stack* stack = nullptr;  ///< the one in use
  std::byte* shared = nullptr;
  int capability = 0;
};

Stacks stacks(&run_threads);
Block block;

std::string triple(unsigned x, unsigned y, unsigned z) {
  return fmt::format("({}, {}, {})", x, y, z);
}

void run_as(Thread& thread) {
  block.running = &thread;
  thread_index = &thread.index;
}

Thread& pick() {
  const auto count = static_cast<std::uint32_t>(block.ready.size());
  const std::uint32_t window = block.run_ahead ? std::min<std::uint32_t>(count, warp_lanes) : count;
  std::swap(block.ready[count - 1 - random().below(window)], block.ready.back());
  Thread* thread = block.ready.back();
  block.ready.pop_back();
  return *thread;
}

std::string waiting_threads() {
  std::string text;
  if (block.barrier.arrived > 0) {
    text += fmt::format("{} threads wait at __syncthreads(), ", block.barrier.arrived);
  }
  for (const Warp& warp : block.warps) {
    if (warp.arrived == 0) continue;
    text += fmt::format("{} lanes of warp {} at {}, ", warp.arrived, &warp - block.warps.data(),
                        warp.name);
  }
  return text + fmt::format("{} of {} threads have returned", block.returned, block.count);
}

/// Goes on with `thread`, whose stack is another than the one in use.
void resume(Thread& thread) {
  run_as(thread);
  if (thread.stack == nullptr) thread.stack = &stacks.take();
  Stack& from = *block.stack;
  block.stack = thread.stack;
  switch_stacks(from, *block.stack);
}

/// The running thread waits until somebody makes it ready.
void give_way() {
  if (block.ready.empty()) fatal("a block that can never end: " + waiting_threads());
  Thread& next = pick();
  if (&next != block.running) resume(next);
}

void finish(Thread& thread) {
  thread.copies.clear();
  ++block.returned;
  ++thread.warp->returned;
  if (block.barrier.arrived > 0 || thread.warp->arrived > 0) {
    fatal("a thread returns while others wait for it: " + waiting_threads());
  }
}

/// The life of a stack: one thread after another.
void run_threads() {
  for (;;) {
    block.launch->thread();
    finish(*block.running);
    Stack& mine = *block.stack;
    Thread* next = block.ready.empty() ? nullptr : &pick();
    if (next != nullptr && next->stack == nullptr) {
      next->stack = &mine;
      run_as(*next);
      continue;
    }
    if (next == nullptr && block.returned < block.count) {
      fatal("a block that can never end: " + waiting_threads());
    }
    stacks.give(mine);
    if (next != nullptr) {
      resume(*next);
    } else {
      block.stack = &block.main;
      switch_stacks(mine, block.main);
    }
  }
}

/// Makes all threads ready, the warps in random order.
void make_all_ready() {
  const int warps = (block.count + warp_lanes - 1) / warp_lanes;
  std::array<int, max_threads / warp_lanes> order{};
  std::iota(order.begin(), order.begin() + warps, 0);
  for (int i = warps - 1; i > 0; --i) {
    std::swap(order[i], order[random().below(static_cast<std::uint32_t>(i) + 1)]);
  }
  for (int i = 0; i < warps; ++i) {
    const int end = std::min(block.count, (order[i] + 1) * warp_lanes);
    for (int t = order[i] * warp_lanes; t < end; ++t) {
      block.ready.push_back(&block.threads[t]);
    }
  }
}

// ---- dynamic shared memory ----

constexpr std::size_t shared_room = 256 << 10;

/// `bytes` of poison that end where memory that nobody may touch begins.
std::byte* fresh_shared_memory(std::size_t bytes) {
  static std::byte* const end = [] {
    void* region = mmap(nullptr, shared_room + 2 * guard_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region == MAP_FAILED) fatal("no memory for shared memory");
    auto* first = static_cast<std::byte*>(region);
    mprotect(first, guard_bytes, PROT_NONE);
    mprotect(first + guard_bytes + shared_room, guard_bytes, PROT_NONE);
    return first + guard_bytes + shared_room;
  }();
  std::byte* begin = end - (bytes + 15) / 16 * 16;
  std::memset(begin, 0xff, static_cast<std::size_t>(end - begin));
  return begin;
}

// ---- launches ----

void number_threads(const Launch& launch) {
  int i = 0;
  for (unsigned z = 0; z < launch.block.z; ++z) {
    for (unsigned y = 0; y < launch.block.y; ++y) {
      for (unsigned x = 0; x < launch.block.x; ++x, ++i) {
        block.threads[i].index = {x, y, z};
        block.threads[i].lane = i % warp_lanes;
        block.threads[i].warp = &block.warps[i / warp_lanes];
      }
    }
  }
  block.launch = &launch;
  block.count = i;
  for (int w = 0; w * warp_lanes < block.count; ++w) {
    block.warps[w].lanes = std::min(warp_lanes, block.count - w * warp_lanes);
  }
  place.block_size = launch.block;
  place.grid_size = launch.grid;
}

void run_block(const Launch& launch, uint3 index) {
  place.block = index;
  block.returned = 0;
  for (Warp& warp : block.warps) warp.returned = 0;
  for (int i = 0; i < block.count; ++i) {
    block.threads[i].stack = nullptr;
    block.threads[i].copy_group = 0;
  }
  block.run_ahead = random().below(2) == 0;
  block.shared = fresh_shared_memory(launch.shared_bytes);
  for (const std::span<std::byte> variable : shared_variables(launch.kernel)) {
    std::memset(variable.data(), 0xff, variable.size());
  }
  make_all_ready();
  block.stack = &block.main;
  resume(pick());
}

}  // namespace

void run_blocks(const Launch& launch) {
  std::fenv_t environment;
  std::feholdexcept(&environment);
  std::fesetenv(FE_DFL_ENV);  // a host thread may flush denormals; a GPU does not
  number_threads(launch);
  block.capability = compute_capability();
  const dim3 grid = launch.grid;
  std::vector<std::uint64_t> order(static_cast<std::uint64_t>(grid.x) * grid.y * grid.z);
  std::iota(order.begin(), order.end(), 0u);
  for (std::size_t i = order.size(); i > 0; --i) {
    std::swap(order[i - 1], order[random().below(static_cast<std::uint32_t>(i))]);
    const std::uint64_t at = order[i - 1];
    run_block(launch,
              {static_cast<unsigned>(at % grid.x), static_cast<unsigned>(at / grid.x % grid.y),
               static_cast<unsigned>(at / grid.x / grid.y)});
  }
  block.launch = nullptr;
  std::fesetenv(&environment);
}

std::string running_place() {
  if (block.launch == nullptr) return "";
  return fmt::format("kernel {}, block {}, thread {}", kernel_name(block.launch->kernel),
                     triple(place.block.x, place.block.y, place.block.z),
                     triple(thread_index->x, thread_index->y, thread_index->z));
}

bool is_stack_guard(std::uintptr_t address) { return stacks.is_guard(address); }

std::byte* dynamic_shared_memory() { return block.shared; }

// ---- barriers ----

int barrier(Barrier kind, int value) {
  auto& meeting = block.barrier;
  if (block.returned > 0) {
    fatal("a thread meets __syncthreads() when others have returned: " + waiting_threads());
  }
  if (meeting.arrived == 0) {
    meeting.kind = kind;
    meeting.sum = 0;
    meeting.waiting.clear();
  } else if (meeting.kind != kind) {
    fatal("threads of a block meet at different kinds of __syncthreads()");
  }
  const int turn = meeting.turn;
  meeting.sum += value != 0;
  meeting.waiting.push_back(block.running);
  if (++meeting.arrived == block.count) {
    const bool all = meeting.sum == block.count;
    meeting.results[turn] = kind == Barrier::count ? meeting.sum
                            : kind == Barrier::all ? all
                                                   : meeting.sum > 0;
    meeting.turn ^= 1;
    meeting.arrived = 0;
    make_all_ready();
  }
  give_way();
  return meeting.results[turn];
}

// ---- collectives of a warp ----

namespace {

/// Brings the running lane to the collective `kind`; the last to come calls `complete`.
template <typename Complete>
void meet(unsigned mask, Collective kind, const char* name, const Complete& complete) {
  Warp& warp = *block.running->warp;
  if (mask != 0xffffffffu) fatal(fmt::format("{} with a mask that leaves out lanes", name));
  if (warp.lanes != warp_lanes) fatal(fmt::format("{} in a warp of {} lanes", name, warp.lanes));
  if (warp.returned > 0) {
    fatal(fmt::format("{} when {} lanes of the warp have returned", name, warp.returned));
  }
  if (warp.arrived > 0 && warp.kind != kind) {
    fatal(fmt::format("lanes of a warp part: some are at {}, others at {}", warp.name, name));
  }
  warp.kind = kind;
  warp.name = name;
  warp.waiting[warp.arrived++] = block.running;
  if (warp.arrived < warp_lanes) {
    give_way();
    return;
  }
  complete(warp);
  warp.arrived = 0;
  warp.turn ^= 1;
  block.ready.insert(block.ready.end(), warp.waiting.begin(), warp.waiting.end() - 1);
}

}  // namespace

int lane() { return block.running->lane; }

std::uint64_t shuffle(unsigned mask, std::uint64_t bits, int source, const char* name) {
  Warp& warp = *block.running->warp;
  std::uint64_t* values = warp.values[warp.turn];
  values[lane()] = bits;
  meet(mask, Collective::shuffle, name, [](Warp&) {});
  return values[source & (warp_lanes - 1)];
}

void sync_warp(unsigned mask) {
  meet(mask, Collective::sync, "__syncwarp", [](Warp&) {});
}

unsigned ballot(unsigned mask, bool value) {
  Warp& warp = *block.running->warp;
  std::uint64_t* values = warp.values[warp.turn];
  values[lane()] = value ? 1u : 0u;
  meet(mask, Collective::ballot, "__ballot_sync", [](Warp&) {});
  unsigned bits = 0;
  for (int i = 0; i < warp_lanes; ++i) bits |= static_cast<unsigned>(values[i]) << i;
  return bits;
}

// ---- tensor cores ----

namespace {

const char* name_of(Collective kind) {
  return kind == Collective::mma_bf16  ? "mma_bf16"
         : kind == Collective::mma_f16 ? "mma_f16"
                                       : "mma_s8";
}

}  // namespace

void multiply(Collective kind, void* d, const std::uint32_t* a, const std::uint32_t* b) {
  if (block.capability < 80) {
    fatal(fmt::format("{} needs compute capability 8.0", name_of(kind)));
  }
  block.running->warp->operands[lane()] = {d, a, b};
  meet(0xffffffffu, kind, name_of(kind),
       [kind](Warp& warp) { multiply_tiles(kind, warp.operands); });
}

// ---- asynchronous copies ----

namespace {

void perform(const Copy& copy) {
  if (copy.valid) {
    std::memcpy(copy.to, copy.from, 16);
  } else {
    std::memset(copy.to, 0, 16);
  }
}

}  // namespace

void wait_for_copies(int pending) {
  std::vector<Copy>& copies = block.running->copies;
  const int end = block.running->copy_group - pending;  // of the groups that must have arrived
  const auto covered = [end](const Copy& copy) { return copy.group < end; };
  for (const Copy& copy : copies) {
    if (covered(copy)) perform(copy);
  }
  std::erase_if(copies, covered);
}

}  // namespace trireme::cuda::emulation

namespace trireme::cuda {

void copy_async_16(void* to_shared, const void* from_global, bool valid) {
  using namespace emulation;
  if (reinterpret_cast<std::uintptr_t>(to_shared) % 16 != 0 ||
      reinterpret_cast<std::uintptr_t>(from_global) % 16 != 0) {
    fatal("copy_async_16 between addresses that are not multiples of 16");
  }
  const Copy copy{static_cast<std::byte*>(to_shared), static_cast<const std::byte*>(from_global),
                  valid, block.running->copy_group};
  if (block.capability < 80) return perform(copy);
  std::memset(to_shared, 0xff, 16);
  block.running->copies.push_back(copy);
}

void copy_async_commit() { ++emulation::block.running->copy_group; }

}  // namespace trireme::cuda
