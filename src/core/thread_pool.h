// The threads of one rank. Work is split into parts by index, never by timing, so that which thread
// computes what cannot show in a result.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace trireme {

class ThreadPool {
 public:
  /// `threads` counts the calling thread, so 1 starts none.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls `work(i)` once for each i in [0, count) and returns when all are done. A thread begins
  /// with its own run of neighbouring parts, so that what it reads is contiguous, and then takes
  /// the last parts of others; `work` must not throw and must not depend on the thread that runs
  /// it.
  void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& work);

  /// Like parallel_for, and also tells `work` which thread runs it (0 <= thread < size()), for
  /// scratch memory.
  void parallel_for_with_thread(std::int64_t count,
                                const std::function<void(std::int64_t, int)>& work);

 private:
  void worker(int thread);
  void drain(int thread);

  /// Parts that nobody has begun, [begin, end): begin in the high half, end in the low one. The
  /// owner takes the first, others the last.
  struct alignas(64) Queue {
    std::atomic<std::uint64_t> parts{0};

    static constexpr std::int64_t none = -1;
    std::int64_t take_first();
    std::int64_t take_last();
  };

  std::vector<std::thread> workers_;
  // A round's work is published before its parts; whoever holds a part keeps the caller waiting, so
  // the work stays valid for it. A worker that wakes too late finds no parts of its round left; if
  // it finds some of a later one, it reads that round's work.
  std::atomic<const std::function<void(std::int64_t, int)>*> work_{nullptr};
  std::vector<Queue> queues_;  ///< one per thread
  alignas(64) std::atomic<std::uint32_t> round_{0};
  alignas(64) std::atomic<std::int64_t> done_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace trireme
