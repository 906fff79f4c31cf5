// What this machine can do at most, measured in the same run as the kernels: other work on the host
// moves both.
#pragma once

#include <cstddef>

#include "core/thread_pool.h"

namespace trireme::bench {

/// Takes --threads=N (2 where it is not given) out of a program's arguments.
int take_threads_flag(int& argc, char** argv);

/// Fused multiply-adds in float32 from registers on all threads, in operations per second (two per
/// fused one). Uses the widest vectors this machine has.
double fma_peak(ThreadPool& threads);

/// Bytes per second read from memory by all threads, each streaming its own region.
double read_peak(ThreadPool& threads);

/// Reads every line of `bytes` (a multiple of 64) bytes, 512 ahead of need.
void read_bytes(const std::byte* data, std::size_t bytes);

}  // namespace trireme::bench
