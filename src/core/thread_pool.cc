#include "core/thread_pool.h"

#include "core/error.h"
#include "core/spin.h"

namespace trireme {

ThreadPool::ThreadPool(int threads) {
  TRIREME_ASSERT(threads >= 1);
  for (int thread = 1; thread < threads; ++thread) {
    workers_.emplace_back([this, thread] { worker(thread); });
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& thread : workers_) thread.join();
}

void ThreadPool::parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& work) {
  parallel_for_with_thread(count, [&work](std::int64_t index, int) { work(index); });
}

void ThreadPool::parallel_for_with_thread(std::int64_t count,
                                          const std::function<void(std::int64_t, int)>& work) {
  if (workers_.empty() || count <= 1) {
    for (std::int64_t index = 0; index < count; ++index) work(index, 0);
    return;
  }
  TRIREME_ASSERT(count < std::int64_t{1} << 32);
  const std::uint32_t round = round_.load(std::memory_order_relaxed) + 1;
  work_.store(&work, std::memory_order_relaxed);
  count_.store(count, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  tickets_.store(std::uint64_t{round} << 32 | static_cast<std::uint64_t>(count),
                 std::memory_order_release);
  round_.store(round, std::memory_order_release);
  round_.notify_all();
  drain(round, 0);
  // Only parts that somebody has begun are waited for, not threads that have yet to wake.
  Spin spin;
  while (done_.load(std::memory_order_acquire) != count) spin.pause_or_yield();
}

/// Takes parts of `round` until there are none.
void ThreadPool::drain(std::uint32_t round, int thread) {
  std::uint64_t ticket = tickets_.load(std::memory_order_acquire);
  for (;;) {
    const auto left = static_cast<std::int64_t>(ticket & 0xffffffffu);
    if (ticket >> 32 != round || left == 0) return;
    if (!tickets_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel)) continue;
    (*work_.load(std::memory_order_relaxed))(count_.load(std::memory_order_relaxed) - left, thread);
    done_.fetch_add(1, std::memory_order_release);
    --ticket;
  }
}

void ThreadPool::worker(int thread) {
  std::uint32_t seen = 0;
  for (;;) {
    Spin spin;
    std::uint32_t round = round_.load(std::memory_order_acquire);
    while (round == seen) {
      if (!spin.pause()) round_.wait(seen, std::memory_order_acquire);
      round = round_.load(std::memory_order_acquire);
    }
    seen = round;
    if (stop_.load()) return;
    drain(round, thread);
  }
}

}  // namespace trireme
