#include "kernels/cpu/cpu_backend.h"

#include <cpuid.h>

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "kernels/cpu/scratch.h"
#include "kernels/host/parts.h"

namespace trireme {

namespace {

/// Queries (tokens times heads) that share one pass over K and V.
constexpr std::int64_t task_queries = 64;
/// Elements that make one task of a cheap operation.
constexpr std::int64_t part_elements = 1 << 12;

/// Cuts each of `rows` rows of `cols` elements into parts: work(row, begin, count). Whole rows are
/// bundled where they are short.
template <typename Work>
void for_pieces(ThreadPool& threads, std::int64_t rows, std::int64_t cols, const Work& work) {
  if (rows == 0 || cols == 0) return;
  const std::int64_t pieces = ceil_div(cols, part_elements);
  const std::int64_t bundle = pieces > 1 ? 1 : std::max<std::int64_t>(1, part_elements / cols);
  for_parts(threads, ceil_div(rows, bundle) * pieces, rows * cols, few_elements,
            [&](std::int64_t part) {
              const std::int64_t begin = part % pieces * part_elements;
              const std::int64_t first = part / pieces * bundle;
              for (std::int64_t row = first; row < std::min(rows, first + bundle); ++row) {
                work(row, begin, std::min(part_elements, cols - begin));
              }
            });
}

/// Query heads by the K/V head that they read.
std::vector<std::vector<std::int32_t>> heads_by_kv_head(const AttentionArgs& args) {
  std::vector<std::vector<std::int32_t>> groups(static_cast<std::size_t>(args.cache.kv_heads));
  for (std::int64_t head = 0; head < args.heads; ++head) {
    const auto kv_head = static_cast<std::size_t>(args.kv_head_of[static_cast<std::size_t>(head)]);
    groups[kv_head].push_back(static_cast<std::int32_t>(head));
  }
  return groups;
}

}  // namespace

bool has_avx2() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  const bool f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
  return f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avx512vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

bool has_avx512bf16() { return has_avx512vnni() && __builtin_cpu_supports("avx512bf16"); }

bool has_fast_bf16_pairs() { return __builtin_cpu_is("amd"); }

void CpuBackend::attention(ThreadPool& threads, const AttentionArgs& args) const {
  const KvCacheView& cache = args.cache;
  const cpu::AttentionJob job{args.q,
                              args.ldq,
                              args.out,
                              args.ldo,
                              cache.k,
                              cache.v,
                              cache.block_elements(),
                              cache.head_dim,
                              cache.head_stride(),
                              cache.dtype,
                              args.scale,
                              args.window,
                              args.distances.table,
                              args.distances.reach};
  const auto groups = heads_by_kv_head(args);
  std::vector<cpu::AttentionTask> tasks;
  std::int64_t most_queries = 0;
  std::int64_t products = 0;
  for (const SequenceSpan& sequence : args.sequences) {
    for (std::size_t kv_head = 0; kv_head < groups.size(); ++kv_head) {
      const auto heads = static_cast<std::int64_t>(groups[kv_head].size());
      if (heads == 0) continue;
      const std::int64_t step = std::max<std::int64_t>(1, task_queries / heads);
      // Late queries see the most keys; they go first, so that no thread ends on a long task.
      for (std::int64_t end = sequence.rows; end > 0; end -= std::min(end, step)) {
        const std::int64_t begin = std::max<std::int64_t>(0, end - step);
        tasks.push_back({sequence.block_table, sequence.row_begin + begin, end - begin,
                         sequence.position_begin + begin, static_cast<std::int64_t>(kv_head),
                         groups[kv_head].data(), heads, sequence.keys});
        most_queries = std::max(most_queries, (end - begin) * heads);
        const std::int64_t keys = sequence.keys > 0 ? sequence.keys : sequence.position_begin + end;
        products += (end - begin) * heads * keys * 2 * cache.head_dim;
      }
    }
  }
  const std::int64_t floats = kernels_.attention_scratch(job, most_queries);
  const auto count = static_cast<std::int64_t>(tasks.size());
  for_parts(threads, count, products, few_products, [&](std::int64_t index) {
    kernels_.attention(job, tasks[static_cast<std::size_t>(index)],
                       cpu::scratch(cpu::Scratch::task, floats));
  });
}

void CpuBackend::rope(ThreadPool& threads, const RopeArgs& args) const {
  const std::int64_t half = args.rotary_dim / 2;
  const auto rows = static_cast<std::int64_t>(args.positions.size());
  for_parts(threads, rows, rows * args.heads * args.head_dim, few_elements, [&](std::int64_t row) {
    const std::int64_t table = args.positions[static_cast<std::size_t>(row)] * half;
    for (std::int64_t head = 0; head < args.heads; ++head) {
      kernels_.rope(args.x + row * args.ld + head * args.head_dim, args.cos + table,
                    args.sin + table, half);
    }
  });
}

void CpuBackend::norm(ThreadPool& threads, const NormArgs& args, bool subtract_mean) const {
  for_parts(threads, args.rows, args.rows * args.groups * args.dim, few_elements,
            [&](std::int64_t row) {
              for (std::int64_t group = 0; group < args.groups; ++group) {
                const std::int64_t column = group * args.dim;
                kernels_.norm({args.x + row * args.ldx + column, args.y + row * args.ldy + column,
                               args.dim, args.weight, args.bias, args.eps, subtract_mean});
              }
            });
}

void CpuBackend::rms_norm(ThreadPool& threads, const NormArgs& args) const {
  norm(threads, args, false);
}

void CpuBackend::layer_norm(ThreadPool& threads, const NormArgs& args) const {
  norm(threads, args, true);
}

void CpuBackend::activate(ThreadPool& threads, Activation kind, float* x, std::int64_t rows,
                          std::int64_t cols, std::int64_t ldx) const {
  for_pieces(threads, rows, cols, [&](std::int64_t row, std::int64_t begin, std::int64_t count) {
    kernels_.activate(static_cast<int>(kind), x + row * ldx + begin, count);
  });
}

void CpuBackend::gated_activation(ThreadPool& threads, Activation kind, const float* gate_up,
                                  std::int64_t rows, std::int64_t cols, std::int64_t ld, float* out,
                                  std::int64_t ldo) const {
  for_pieces(threads, rows, cols, [&](std::int64_t row, std::int64_t begin, std::int64_t count) {
    const float* gate = gate_up + row * ld + begin;
    kernels_.gated_activation(static_cast<int>(kind), gate, gate + cols, count,
                              out + row * ldo + begin);
  });
}

void CpuBackend::add(ThreadPool& threads, float* x, const float* y, std::int64_t count) const {
  for_pieces(threads, 1, count, [&](std::int64_t, std::int64_t begin, std::int64_t size) {
    kernels_.add(x + begin, y + begin, size);
  });
}

void CpuBackend::add_bias(ThreadPool& threads, float* x, const float* bias, std::int64_t rows,
                          std::int64_t cols) const {
  for_pieces(threads, rows, cols, [&](std::int64_t row, std::int64_t begin, std::int64_t count) {
    kernels_.add(x + row * cols + begin, bias + begin, count);
  });
}

void CpuBackend::argmax(ThreadPool& threads, const float* logits, std::int64_t rows,
                        std::int64_t cols, std::int64_t ld, Top* out) const {
  TRIREME_ASSERT(cols > 0);
  for_parts(threads, rows, rows * cols, few_elements, [&](std::int64_t row) {
    kernels_.argmax(logits + row * ld, cols, &out[row].value, &out[row].index);
  });
}

void CpuBackend::exp_sums(ThreadPool& threads, const float* logits, std::int64_t rows,
                          std::int64_t cols, std::int64_t ld, std::int64_t block,
                          ExpSum* out) const {
  TRIREME_ASSERT(block > 0);
  const std::int64_t blocks = ceil_div(cols, block);
  for_parts(threads, rows * blocks, rows * cols, few_elements, [&](std::int64_t part) {
    const std::int64_t begin = part % blocks * block;
    kernels_.exp_sum(logits + part / blocks * ld + begin, std::min(block, cols - begin),
                     &out[part].max, &out[part].sum);
  });
}

}  // namespace trireme
