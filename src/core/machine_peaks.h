// What this machine can do at most, measured: how fast memory can be read and how fast registers
// can be multiplied. Benchmarks print these beside what they reach, from the same run, because
// other work on the host moves both.
#pragma once

#include <string_view>

#include "core/thread_pool.h"

namespace trireme {

/// Which time counts: the clock on the wall, or each thread's own processor time, which other
/// programs on the machine do not disturb (much).
enum class PeakClock { wall, processor };

/// Bytes per second read from memory by all threads, each streaming a region of its own beyond any
/// cache: the best of several rounds and prefetch distances. Takes a fifth of a second and 128 MB
/// per thread.
double measure_read_peak(ThreadPool& threads, PeakClock clock = PeakClock::wall);

/// Ways to multiply and add. The caller sees to it that the machine has what is asked for, and for
/// the tiles that the kernel has granted them.
enum class MathUnit {
  sse,         ///< float32, multiply then add
  avx2,        ///< float32 fused multiply-add, 8 lanes
  avx512,      ///< float32 fused multiply-add, 16 lanes
  avx512bf16,  ///< bfloat16 dot products of pairs, 16 lanes
  avx512vnni,  ///< 8-bit integer dot products of quads, 16 lanes
  amx,         ///< bfloat16 tile products
  amx_int8,    ///< 8-bit integer tile products
};

/// "AVX-512 float32 fused multiply-add", ...
std::string_view name_of(MathUnit unit);

/// The widest float32 unit of this processor.
MathUnit widest_float_unit();

/// Operations per second (two per multiply-add) from registers alone, on all threads. Takes a few
/// tenths of a second.
double measure_math_peak(ThreadPool& threads, MathUnit unit, PeakClock clock = PeakClock::wall);

}  // namespace trireme
