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

  /// Calls `work(i)` once for each i in [0, count) and returns when all are done. Parts are
  /// handed out dynamically; `work` must not throw and must not depend on the thread that runs it.
  void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& work);

  /// Like parallel_for, and also tells `work` which thread runs it (0 <= thread < size()), for
  /// scratch memory.
  void parallel_for_with_thread(std::int64_t count,
                                const std::function<void(std::int64_t, int)>& work);

 private:
  void worker(int thread);
  void drain(std::uint32_t round, int thread);

  std::vector<std::thread> workers_;
  // A round's work is published before its tickets; whoever holds a ticket keeps the caller
  // waiting, so both stay valid for it. A worker that wakes too late finds none left, whatever has
  // been published since, and touches nothing.
  std::atomic<const std::function<void(std::int64_t, int)>*> work_{nullptr};
  std::atomic<std::int64_t> count_{0};
  alignas(64) std::atomic<std::uint64_t> tickets_{
      0};  ///< round in the high half, tickets left below
  alignas(64) std::atomic<std::uint32_t> round_{0};
  alignas(64) std::atomic<std::int64_t> done_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace trireme
