// The two builds of the AMX kernels, and the three ways to run them in a test.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "amx_trap.h"
#include "core/thread_pool.h"
#include "kernels/cpu/amx_linear.h"

namespace trireme::amx {

/// Which build of the kernels a test runs.
enum class Build {
  emulated,  ///< over EmulatedTiles
  trapped,   ///< the real instructions, carried out by a signal handler
  hardware,  ///< the real instructions
};

class AmxTest : public testing::TestWithParam<Build> {
 protected:
  void SetUp() override {
    if (GetParam() == Build::hardware && !amx_granted()) {
      GTEST_SKIP() << "AMX is not available: " << amx_status();
    }
    if (GetParam() == Build::trapped) {
      const std::string reason = AmxTrap::why_not();
      if (!reason.empty()) GTEST_SKIP() << reason;
      trap_.emplace();
    }
  }
  const Kernels& kernels() const {
    return GetParam() == Build::emulated ? emulated_kernels() : hardware_kernels();
  }

  std::optional<AmxTrap> trap_;
  ThreadPool one_{1};
  ThreadPool three_{3};
};

inline std::string build_name(const testing::TestParamInfo<Build>& test) {
  constexpr const char* names[] = {"emulated", "trapped", "hardware"};
  return names[static_cast<int>(test.param)];
}

inline auto all_builds() {
  return testing::Values(Build::emulated, Build::trapped, Build::hardware);
}

}  // namespace trireme::amx
