// The backend: products of bf16 and of integers by AMX, everything else by the backend that it
// stands on.
#include <mutex>

#include "core/error.h"
#include "kernels/cpu/amx_linear.h"
#include "kernels/packed.h"

namespace trireme {

namespace {

/// Workspaces for callers on any number of threads; one is made when none is free.
class WorkspacePool {
 public:
  std::unique_ptr<amx::Workspace> take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return std::make_unique<amx::Workspace>();
    std::unique_ptr<amx::Workspace> workspace = std::move(free_.back());
    free_.pop_back();
    return workspace;
  }

  void give_back(std::unique_ptr<amx::Workspace> workspace) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(workspace));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<amx::Workspace>> free_;
};

class AmxBackend final : public Backend {
 public:
  AmxBackend(std::unique_ptr<Backend> base, const amx::Kernels& kernels, bool integers,
             std::string_view name)
      : base_(std::move(base)), kernels_(kernels), integers_(integers), name_(name) {
    TRIREME_ASSERT(base_->panel_rows() == packed::panel_rows);
  }

  std::string_view name() const override { return name_; }
  std::string_view arithmetic() const override { return "amx"; }

  void linear(ThreadPool& threads, const LinearArgs& args) const override {
    const bool integers = integers_ && amx::takes_integers(*args.shape, args.m);
    if (args.shape->dtype != DType::bf16 && !integers) {
      base_->linear(threads, args);
      return;
    }
    std::unique_ptr<amx::Workspace> workspace = workspaces_.take();
    amx::linear(kernels_, threads, args, amx::blocking_for(args, threads.size()), *workspace);
    workspaces_.give_back(std::move(workspace));
  }

  // Everything below is the base's.

  std::string_view packing() const override { return base_->packing(); }
  std::int64_t panel_rows() const override { return base_->panel_rows(); }
  std::size_t panel_bytes(const MatrixShape& shape) const override {
    return base_->panel_bytes(shape);
  }
  void pack_panel(const MatrixShape& shape, std::int64_t panel, const std::byte* source,
                  std::byte* packed) const override {
    base_->pack_panel(shape, panel, source, packed);
  }
  void embedding(ThreadPool& threads, std::span<const std::int32_t> ids, Range vocab,
                 const MatrixShape& shape, const std::byte* table, float* out) const override {
    base_->embedding(threads, ids, vocab, shape, table, out);
  }
  void kv_write(ThreadPool& threads, const KvWriteArgs& args) const override {
    base_->kv_write(threads, args);
  }
  void attention(ThreadPool& threads, const AttentionArgs& args) const override {
    base_->attention(threads, args);
  }
  void rope(ThreadPool& threads, const RopeArgs& args) const override {
    base_->rope(threads, args);
  }
  void rms_norm(ThreadPool& threads, const NormArgs& args) const override {
    base_->rms_norm(threads, args);
  }
  void layer_norm(ThreadPool& threads, const NormArgs& args) const override {
    base_->layer_norm(threads, args);
  }
  void activate(ThreadPool& threads, Activation kind, float* x, std::int64_t rows,
                std::int64_t cols, std::int64_t ldx) const override {
    base_->activate(threads, kind, x, rows, cols, ldx);
  }
  void gated_activation(ThreadPool& threads, Activation kind, const float* gate_up,
                        std::int64_t rows, std::int64_t cols, std::int64_t ld, float* out,
                        std::int64_t ldo) const override {
    base_->gated_activation(threads, kind, gate_up, rows, cols, ld, out, ldo);
  }
  void add(ThreadPool& threads, float* x, const float* y, std::int64_t count) const override {
    base_->add(threads, x, y, count);
  }
  void add_bias(ThreadPool& threads, float* x, const float* bias, std::int64_t rows,
                std::int64_t cols) const override {
    base_->add_bias(threads, x, bias, rows, cols);
  }
  void scale(ThreadPool& threads, float* x, float factor, std::int64_t count) const override {
    base_->scale(threads, x, factor, count);
  }
  void pool(ThreadPool& threads, const PoolArgs& args) const override {
    base_->pool(threads, args);
  }
  void argmax(ThreadPool& threads, const float* logits, std::int64_t rows, std::int64_t cols,
              std::int64_t ld, Top* out) const override {
    base_->argmax(threads, logits, rows, cols, ld, out);
  }
  void exp_sums(ThreadPool& threads, const float* logits, std::int64_t rows, std::int64_t cols,
                std::int64_t ld, std::int64_t block, ExpSum* out) const override {
    base_->exp_sums(threads, logits, rows, cols, ld, block, out);
  }

 private:
  std::unique_ptr<Backend> base_;
  const amx::Kernels& kernels_;
  bool integers_;  ///< whether the tiles know them
  std::string_view name_;
  mutable WorkspacePool workspaces_;
};

}  // namespace

std::unique_ptr<Backend> make_amx_backend(std::unique_ptr<Backend> base) {
  TRIREME_ASSERT(amx_granted());
  return std::make_unique<AmxBackend>(std::move(base), amx::hardware_kernels(), amx_int8_granted(),
                                      "amx");
}

std::unique_ptr<Backend> make_emulated_amx_backend(std::unique_ptr<Backend> base) {
  return std::make_unique<AmxBackend>(std::move(base), amx::emulated_kernels(), true,
                                      "amx-emulated");
}

}  // namespace trireme
