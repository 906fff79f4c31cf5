#include "core/thread_pool.h"

#include "core/error.h"
#include "core/range.h"
#include "core/spin.h"

namespace trireme {

ThreadPool::ThreadPool(int threads) : queues_(static_cast<std::size_t>(threads)) {
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
  work_.store(&work, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  for (std::size_t thread = 0; thread < queues_.size(); ++thread) {
    const Range own = even_part(count, static_cast<std::int64_t>(queues_.size()),
                                static_cast<std::int64_t>(thread));
    queues_[thread].parts.store(
        static_cast<std::uint64_t>(own.begin) << 32 | static_cast<std::uint64_t>(own.end),
        std::memory_order_release);
  }
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  drain(0);
  // Only parts that somebody has begun are waited for, not threads that have yet to wake.
  Spin spin;
  while (done_.load(std::memory_order_acquire) != count) spin.pause_or_yield();
}

std::int64_t ThreadPool::Queue::take_first() {
  std::uint64_t left = parts.load(std::memory_order_acquire);
  while (left >> 32 < (left & 0xffffffffu)) {
    if (parts.compare_exchange_weak(left, left + (std::uint64_t{1} << 32),
                                    std::memory_order_acq_rel, std::memory_order_acquire)) {
      return static_cast<std::int64_t>(left >> 32);
    }
  }
  return none;
}

std::int64_t ThreadPool::Queue::take_last() {
  std::uint64_t left = parts.load(std::memory_order_acquire);
  while (left >> 32 < (left & 0xffffffffu)) {
    if (parts.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel,
                                    std::memory_order_acquire)) {
      return static_cast<std::int64_t>((left - 1) & 0xffffffffu);
    }
  }
  return none;
}

/// Takes parts until there are none.
void ThreadPool::drain(int thread) {
  const auto run = [&](std::int64_t part) {
    (*work_.load(std::memory_order_relaxed))(part, thread);
    done_.fetch_add(1, std::memory_order_release);
  };
  const std::size_t own = static_cast<std::size_t>(thread);
  for (std::int64_t part = 0; (part = queues_[own].take_first()) != Queue::none;) run(part);
  for (std::size_t i = 1; i < queues_.size(); ++i) {
    Queue& other = queues_[(own + i) % queues_.size()];
    for (std::int64_t part = 0; (part = other.take_last()) != Queue::none;) run(part);
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
    drain(thread);
  }
}

}  // namespace trireme
