// How a rank waits for another: spin, then give way, then sleep.
#pragma once

#include <sched.h>

#include "core/spin.h"

namespace trireme {

/// Giving way early is what makes four ranks on two cores work: with pauses alone the rank that is
/// waited for may not get a core before the waiter sleeps (barrier of 4 ranks on 2 cores: 61 us,
/// with yields 3 us). On an idle core a yield returns at once.
class Patience {
 public:
  /// Waits a moment. False once that has stopped paying; the caller should then sleep.
  bool pause() {
    ++rounds_;
    if (rounds_ <= spins) {
      cpu_pause();
    } else if (rounds_ <= spins + yields) {
      sched_yield();
    } else {
      return false;
    }
    return true;
  }

 private:
  static constexpr int spins = 64;    // one to three microseconds
  static constexpr int yields = 200;  // about 50 microseconds on an idle core
  int rounds_ = 0;
};

}  // namespace trireme
