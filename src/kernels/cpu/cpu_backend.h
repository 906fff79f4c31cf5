// A backend from one instruction set's kernel table: cuts the work of each operation into tasks,
// lends them scratch memory and runs them on the threads. How it cuts can never show in a result.
#pragma once

#include "kernels/cpu/kernel_table.h"
#include "kernels/host/host_backend.h"

namespace trireme {

class CpuBackend : public HostBackend {
 public:
  explicit CpuBackend(const cpu::KernelTable& kernels) : kernels_(kernels) {}

  std::string_view name() const override { return kernels_.name; }

  void linear(ThreadPool& threads, const LinearArgs& args) const override;

  void attention(ThreadPool& threads, const AttentionArgs& args) const override;
  void rope(ThreadPool& threads, const RopeArgs& args) const override;

  void rms_norm(ThreadPool& threads, const NormArgs& args) const override;
  void layer_norm(ThreadPool& threads, const NormArgs& args) const override;
  void activate(ThreadPool& threads, Activation kind, float* x, std::int64_t rows,
                std::int64_t cols, std::int64_t ldx) const override;
  void gated_activation(ThreadPool& threads, Activation kind, const float* gate_up,
                        std::int64_t rows, std::int64_t cols, std::int64_t ld, float* out,
                        std::int64_t ldo) const override;
  void add(ThreadPool& threads, float* x, const float* y, std::int64_t count) const override;
  void add_bias(ThreadPool& threads, float* x, const float* bias, std::int64_t rows,
                std::int64_t cols) const override;

  void argmax(ThreadPool& threads, const float* logits, std::int64_t rows, std::int64_t cols,
              std::int64_t ld, Top* out) const override;
  void exp_sums(ThreadPool& threads, const float* logits, std::int64_t rows, std::int64_t cols,
                std::int64_t ld, std::int64_t block, ExpSum* out) const override;

 private:
  void norm(ThreadPool& threads, const NormArgs& args, bool subtract_mean) const;

  const cpu::KernelTable& kernels_;
};

/// Whether this machine and its operating system run the kernels compiled for AVX2 (with FMA and
/// F16C) or AVX-512 (F, BW, DQ, VL).
bool has_avx2();
bool has_avx512();
/// The same with AVX512_VNNI, and with AVX512_BF16, too.
bool has_avx512vnni();
bool has_avx512bf16();
/// Whether that is faster than float32 products: Zen 4 does twice as many, while Sapphire Rapids,
/// which has AMX for the purpose, does half as many.
bool has_fast_bf16_pairs();

}  // namespace trireme
