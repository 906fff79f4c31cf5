// Whether the processor has AMX and the kernel grants it.
#include <cpuid.h>
#include <fmt/core.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/amx_linear.h"

namespace trireme {

namespace {

/// Bits of CPUID leaf 7, subleaf 0, and of leaf 1 (Intel SDM vol. 2, CPUID).
constexpr std::uint32_t edx_amx_bf16 = 1u << 22;
constexpr std::uint32_t edx_amx_tile = 1u << 24;
constexpr std::uint32_t edx_amx_int8 = 1u << 25;
/// AVX512F, DQ, BW and VL: the loops around the tiles are compiled for them.
constexpr std::uint32_t ebx_avx512 = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);
constexpr std::uint32_t ecx_osxsave = 1u << 27;

/// XCR0: SSE, AVX, the three AVX-512 parts, and the tiles' configuration and data.
constexpr std::uint64_t xcr0_needed = 0x2 | 0x4 | 0xe0 | (1u << 17) | (1u << 18);

/// Linux 5.16: Documentation/arch/x86/xstate.rst.
constexpr long arch_request_permission = 0x1023;
constexpr long xfeature_tile_data = 18;

std::uint64_t enabled_state() {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
}

}  // namespace

std::string amx_status() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & edx_amx_tile) == 0) {
    return "the CPU has none";
  }
  if ((edx & edx_amx_bf16) == 0) return "the CPU's tiles do not know bf16";
  if ((ebx & ebx_avx512) != ebx_avx512) return "the CPU has no AVX-512 beside it";
  __get_cpuid(1, &eax, &ebx, &ecx, &edx);
  if ((ecx & ecx_osxsave) == 0 || (enabled_state() & xcr0_needed) != xcr0_needed) {
    return "the kernel refuses it: it does not save the tile registers (Linux 5.16 or newer does)";
  }
  if (syscall(SYS_arch_prctl, arch_request_permission, xfeature_tile_data) != 0) {
    return fmt::format(
        "the kernel refuses it: {} (Linux 5.16 or newer is needed, and a sandbox that "
        "lets arch_prctl through)",
        std::strerror(errno));
  }
  return "granted";
}

bool amx_granted() { return amx_status() == "granted"; }

bool amx_int8_granted() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx);
  return (edx & edx_amx_int8) != 0 && amx_granted();
}

}  // namespace trireme
