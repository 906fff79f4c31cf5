// The operations on a GPU. Calls enqueue; an operation that often has another one right behind it
// is put off until that one comes, and if it fits both are done by one kernel, with the bits of one
// after the other.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "core/device_stream.h"
#include "kernels/cuda/partials.h"
#include "kernels/cuda/step_context.h"

namespace trireme::cuda {

/// Backend::arithmetic() of a GPU.
std::string arithmetic_of(const std::string& gpu, int compute_capability);

class CudaBackend final : public Backend {
 public:
  CudaBackend(int gpu, const std::string& gpu_name, std::string device_id);
  ~CudaBackend() override;

  std::string_view name() const override { return name_; }
  std::string_view arithmetic() const override { return arithmetic_; }

  bool uses_host_memory() const override { return false; }
  DeviceBuffer allocate(std::size_t bytes) const override;
  void upload(void* to, std::span<const std::byte> from) const override;
  void download(std::span<std::byte> to, const void* from) const override;
  void copy(void* to, const void* from, std::size_t bytes) const override;
  void fill(void* to, int byte, std::size_t bytes) const override;
  void finish() const override;
  DeviceMemory memory() const override;
  const DeviceStream* device_stream() const override { return &device_stream_; }

  void begin_step(const StepInputs& inputs) const override;
  void repeat(const Repeated& key, const std::function<void()>& work) const override;

  std::string_view packing() const override { return "GPU panels of 64, version 1"; }
  std::int64_t panel_rows() const override;
  std::size_t panel_bytes(const MatrixShape& shape) const override;
  void pack_panel(const MatrixShape& shape, std::int64_t panel, const std::byte* source,
                  std::byte* packed) const override;

  void linear(ThreadPool& threads, const LinearArgs& args) const override;
  void embedding(ThreadPool& threads, std::span<const std::int32_t> ids, Range vocab,
                 const MatrixShape& shape, const std::byte* table, float* out) const override;
  void kv_write(ThreadPool& threads, const KvWriteArgs& args) const override;
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
  void scale(ThreadPool& threads, float* x, float factor, std::int64_t count) const override;
  void add_bias(ThreadPool& threads, float* x, const float* bias, std::int64_t rows,
                std::int64_t cols) const override;
  void gather_rows(ThreadPool& threads, const float* x, std::int64_t cols, std::int64_t ldx,
                   std::span<const std::int32_t> rows, float* out) const override;
  void gather(ThreadPool& threads, const float* table, std::span<const std::int32_t> indices,
              float* out) const override;
  void add_rows(ThreadPool& threads, float* x, std::int64_t cols, const float* table,
                std::span<const std::int32_t> indices, std::int64_t offset) const override;
  void pool(ThreadPool& threads, const PoolArgs& args) const override;
  void argmax(ThreadPool& threads, const float* logits, std::int64_t rows, std::int64_t cols,
              std::int64_t ld, Top* out) const override;
  void exp_sums(ThreadPool& threads, const float* logits, std::int64_t rows, std::int64_t cols,
                std::int64_t ld, std::int64_t block, ExpSum* out) const override;
  bool draws() const override { return true; }
  std::vector<std::int32_t> draw(const float* logits, std::int64_t cols, std::int64_t ld,
                                 std::span<const DrawRow> rows) const override;

 private:
  /// A product whose shards have not met, an addition to the residual stream, or both: a norm may
  /// come next.
  struct PendingSum {
    ShardPartials partials;
    const float* bias = nullptr;
    float* y = nullptr;
    std::int64_t count = 0;  ///< of y
    float* x = nullptr;      ///< += y, unless null
  };
  /// Work that was asked for once (no graph), or recorded.
  struct Recorded {
    cudaGraphExec_t graph = nullptr;
  };
  struct Key {
    Repeated work;
    std::pair<std::int64_t, std::int64_t> most_keys;
    int generation = 0;
    auto tied() const {
      return std::tie(generation, most_keys, work.x, work.rows, work.blocks.begin, work.blocks.end);
    }
    bool operator<(const Key& other) const { return tied() < other.tied(); }
  };

  /// Enqueues what was put off.
  void flush() const;
  /// The same, and the context for what comes now.
  Context& ready() const;
  void norm(const NormArgs& args, bool centered) const;
  void forget_recordings() const;
  cudaGraphExec_t record(const std::function<void()>& work) const;

  std::string name_;
  std::string arithmetic_;
  std::shared_ptr<Device> device_;
  DeviceStream device_stream_;
  mutable StepContext context_;
  mutable DeviceBuffer drawn_;  ///< tokens, on their way to the host
  mutable std::optional<PendingSum> sum_;
  mutable std::optional<RopeArgs> rope_;
  mutable std::map<Key, Recorded> recorded_;
};

}  // namespace trireme::cuda
