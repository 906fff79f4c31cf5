// Waiting politely: spin while the answer is likely to come within microseconds, then let others
// run. Four ranks on two cores must work.
#pragma once

#include <sched.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace trireme {

inline void cpu_pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

class Spin {
 public:
  /// Pauses briefly. False once spinning has stopped paying; the caller should then sleep.
  bool pause() {
    if (++rounds_ > limit) return false;
    cpu_pause();
    return true;
  }

  /// For waits that end soon but have nothing to sleep on.
  void pause_or_yield() {
    if (!pause()) sched_yield();
  }

 private:
  static constexpr int limit = 2000;  // about 50 microseconds: longer than a step's gaps
  int rounds_ = 0;
};

}  // namespace trireme
