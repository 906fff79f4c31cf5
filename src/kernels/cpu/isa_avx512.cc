// The kernels compiled for AVX-512. See kernel_table.h for why nothing else may be
// included.
#include <immintrin.h>

#include "kernels/cpu/kernel_table.h"

#define UNROLL _Pragma("GCC unroll 32")

namespace trireme::cpu {

namespace {

#include "kernels/cpu/narrow.inc"
//
#include "kernels/cpu/simd_avx512.inc"
//
#include "kernels/cpu/lanes.inc"
//
#include "kernels/cpu/pairs_by_fma.inc"
//
#include "kernels/elementary.inc"
//
#include "kernels/cpu/attention.inc"
//
#include "kernels/cpu/attention_pairs.inc"
//
#include "kernels/cpu/rowwise.inc"
//
#include "kernels/cpu/linear_formats.inc"
//
#include "kernels/cpu/linear_sums.inc"
//
#include "kernels/cpu/simd_bytes_avx512.inc"
//
#include "kernels/cpu/simd_quads_avx512.inc"
//
#include "kernels/cpu/linear_quantized.inc"
//
using BrainWeights = BrainPair;
//
#include "kernels/cpu/linear.inc"

constexpr KernelTable table{"avx512", rows_beside(1),    input_units, pack_rows, linear_scratch,
                            linear,   attention_scratch, attention,   rope,      norm,
                            activate, gated_activation,  add,         argmax,    exp_sum};

}  // namespace

const KernelTable& avx512_kernels() { return table; }

}  // namespace trireme::cpu
