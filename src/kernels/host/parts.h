// Small work stays on the calling thread: waking others takes longer than they would save.
#pragma once

#include <cstdint>

#include "core/thread_pool.h"

namespace trireme {

/// Calls work(part) for each part: here, one after another, where all parts together do at most
/// `alone` units of work, else on all threads.
template <typename Work>
void for_parts(ThreadPool& threads, std::int64_t parts, std::int64_t units, std::int64_t alone,
               const Work& work) {
  if (units > alone) {
    threads.parallel_for(parts, work);
    return;
  }
  for (std::int64_t part = 0; part < parts; ++part) work(part);
}

/// Elements that one thread converts, copies or activates in about the time that another needs to
/// wake.
inline constexpr std::int64_t few_elements = 1 << 13;
/// The same for fused multiply-adds.
inline constexpr std::int64_t few_products = 1 << 16;

}  // namespace trireme
