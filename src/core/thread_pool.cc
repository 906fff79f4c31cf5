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
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& thread : workers_) thread.join();
}

void ThreadPool::parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& work) {
  parallel_for_with_thread(count, [&work](std::int64_t index, int) { work(index); });
}

void ThreadPool::parallel_for_with_thread(
    std::int64_t count, const std::function<void(std::int64_t, int)>& work) {
  if (workers_.empty() || count <= 1) {
    for (std::int64_t index = 0; index < count; ++index) work(index, 0);
    return;
  }
  work_ = &work;
  count_ = count;
  next_.store(0, std::memory_order_relaxed);
  running_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  drain(0);
  Spin spin;
  while (running_.load(std::memory_order_acquire) != 0) spin.pause_or_yield();
}

void ThreadPool::drain(int thread) {
  for (;;) {
    const std::int64_t index = next_.fetch_add(1, std::memory_order_relaxed);
    if (index >= count_) return;
    (*work_)(index, thread);
  }
}

void ThreadPool::worker(int thread) {
  std::uint32_t seen = 0;
  for (;;) {
    Spin spin;
    while (generation_.load(std::memory_order_acquire) == seen) {
      if (!spin.pause()) generation_.wait(seen, std::memory_order_acquire);
    }
    ++seen;
    if (stop_.load()) return;
    drain(thread);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace trireme
