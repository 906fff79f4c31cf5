// The oracle: every operation as plain loops over scalars. It defines the bits; the SIMD backends
// must reproduce them exactly, and a reader can see here what is computed and in which order.
#pragma once

#include "kernels/host/host_backend.h"

namespace trireme {

class ReferenceBackend : public HostBackend {
 public:
  std::string_view name() const override { return "reference"; }

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
};

}  // namespace trireme
