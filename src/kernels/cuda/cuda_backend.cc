#include "kernels/cuda/cuda_backend.h"

#include <fmt/core.h>

#include <tuple>

#include "core/error.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/draw.h"
#include "kernels/cuda/embedding.h"
#include "kernels/cuda/kv_cache.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/linear_quantized.h"
#include "kernels/cuda/residual.h"
#include "kernels/cuda/rowwise.h"
#include "kernels/cuda/vocabulary.h"
#include "kernels/cuda/weights.h"
#include "kernels/ops.h"
#include "kernels/quantize.h"

namespace trireme::cuda {

namespace {

/// Recordings are kept for so many sizes of steps; then they begin anew.
constexpr std::size_t most_recordings = 256;

/// Whether the write takes its keys from the heads that the rotation turns last.
bool go_together(const RopeArgs& rope, const KvWriteArgs& write) {
  std::int64_t rows = 0;
  for (const SequenceSpan& sequence : write.sequences) rows += sequence.rows;
  const KvCacheView& cache = write.cache;
  return rope.head_dim == cache.head_dim && rope.ld == write.ld &&
         write.k == rope.x + (rope.heads - cache.kv_heads) * rope.head_dim &&
         rows == std::ssize(rope.positions);
}

}  // namespace

std::string arithmetic_of(const std::string& gpu, int compute_capability) {
  return fmt::format("cuda sm_{} {}", compute_capability, gpu);
}

CudaBackend::CudaBackend(int gpu, const std::string& gpu_name, std::string device_id)
    : name_("cuda"), device_(std::make_shared<Device>(gpu)), context_(device_) {
  arithmetic_ = arithmetic_of(gpu_name, device_->traits().compute_capability);
  device_stream_ = {
      .device = gpu,
      .device_id = std::move(device_id),
      .stream = device_->stream(),
      .flush = [this] { ready(); },
      .tree_sum = [this](std::span<const float* const> pieces, std::span<const TreeStep> steps,
                         std::int64_t count,
                         float* out) { cuda::tree_sum(ready(), pieces, steps, count, out); },
      .allocate = [this](std::size_t bytes) -> std::shared_ptr<std::byte> {
        auto buffer = std::make_shared<DeviceBuffer>(device_->allocate(bytes));
        return {buffer, buffer->data()};
      },
      .forget_recorded = [this] { forget_recordings(); }};
  device_->watch(&device_stream_);
}

CudaBackend::~CudaBackend() {
  device_->watch(nullptr);
  forget_recordings();
}

// Memory.

DeviceBuffer CudaBackend::allocate(std::size_t bytes) const { return device_->allocate(bytes); }

void CudaBackend::upload(void* to, std::span<const std::byte> from) const {
  flush();
  device_->upload(to, from);
}

void CudaBackend::download(std::span<std::byte> to, const void* from) const {
  flush();
  device_->download(to, from);
}

void CudaBackend::copy(void* to, const void* from, std::size_t bytes) const {
  ready();
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, device_->stream()),
        "a copy within the GPU");
}

void CudaBackend::fill(void* to, int byte, std::size_t bytes) const {
  ready();
  check(cudaMemsetAsync(to, byte, bytes, device_->stream()), "cudaMemset");
}

void CudaBackend::finish() const {
  flush();
  device_->finish();
}

DeviceMemory CudaBackend::memory() const {
  device_->use();
  std::size_t free = 0;
  std::size_t total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return {static_cast<std::int64_t>(total), static_cast<std::int64_t>(free)};
}

// Steps.

void CudaBackend::begin_step(const StepInputs& inputs) const {
  flush();
  context_.begin_step(inputs);
}

void CudaBackend::repeat(const Repeated& key, const std::function<void()>& work) const {
  flush();
  const Key full{key, context_.most_keys(), context_.generation()};
  const auto found = recorded_.find(full);
  if (found == recorded_.end()) {
    // The first time everything finds its memory.
    work();
    flush();
    if (recorded_.size() >= most_recordings) forget_recordings();
    recorded_.emplace(Key{key, context_.most_keys(), context_.generation()}, Recorded{});
    return;
  }
  if (found->second.graph == nullptr) found->second.graph = record(work);
  check(cudaGraphLaunch(found->second.graph, device_->stream()), "cudaGraphLaunch");
}

cudaGraphExec_t CudaBackend::record(const std::function<void()>& work) const {
  const cudaStream_t stream = device_->stream();
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  context_.recording(true);
  cudaGraph_t graph = nullptr;
  try {
    work();
    flush();
  } catch (...) {
    context_.recording(false);
    cudaStreamEndCapture(stream, &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    throw;
  }
  context_.recording(false);
  check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
  cudaGraphExec_t ready = nullptr;
  const cudaError_t result = cudaGraphInstantiate(&ready, graph, 0);
  cudaGraphDestroy(graph);
  check(result, "cudaGraphInstantiate");
  return ready;
}

/// A recording that still runs is freed when it has run.
void CudaBackend::forget_recordings() const {
  cudaSetDevice(device_->traits().device);
  for (const auto& [key, recorded] : recorded_) {
    if (recorded.graph != nullptr) cudaGraphExecDestroy(recorded.graph);
  }
  recorded_.clear();
  context_.forget_recorded();
}

// What is put off.

void CudaBackend::flush() const {
  if (!rope_ && !sum_) return;
  device_->use();
  if (rope_) {
    const RopeArgs args = *std::exchange(rope_, std::nullopt);
    cuda::rope(context_, args);
  }
  if (!sum_) return;
  const PendingSum sum = *std::exchange(sum_, std::nullopt);
  if (sum.partials.data != nullptr) {
    const ShardSum output{{0, sum.partials.shards}, sum.y};
    sum_partials(context_, sum.partials, sum.bias, {&output, 1}, sum.partials.n);
  }
  if (sum.x != nullptr) cuda::add(context_, sum.x, sum.y, sum.count);
}

Context& CudaBackend::ready() const {
  device_->use();
  flush();
  return context_;
}

void CudaBackend::linear(ThreadPool& /*threads*/, const LinearArgs& args) const {
  check_linear(args);
  if (args.m == 0 || args.shape->n == 0) return;
  Context& context = ready();
  const bool quantized = quant::is_quantized(args.shape->dtype);
  ShardPartials partials;
  const bool whole = args.outputs.size() == 1 && args.ldy == args.shape->n;
  if (whole && (quantized ? linear_quantized_partials(context, args, partials)
                          : linear_partials(context, args, partials))) {
    sum_ = {partials, args.bias, args.outputs[0].y, partials.m * partials.n, nullptr};
    return;
  }
  quantized ? linear_quantized(context, args) : cuda::linear(context, args);
}

void CudaBackend::add(ThreadPool& /*threads*/, float* x, const float* y, std::int64_t count) const {
  if (sum_ && sum_->x == nullptr && sum_->y == y && sum_->count == count) {
    sum_->x = x;
    return;
  }
  ready();
  sum_ = {{}, nullptr, const_cast<float*>(y), count, x};
}

void CudaBackend::norm(const NormArgs& args, bool centered) const {
  check_norm(args);
  const bool rows_of_x = args.groups == 1 && args.ldx == args.dim && args.ldy == args.dim;
  if (sum_ && sum_->x != nullptr && sum_->x == args.x && args.y != args.x && rows_of_x &&
      sum_->count == args.rows * args.dim) {
    const PendingSum sum = *std::exchange(sum_, std::nullopt);
    device_->use();
    residual_norm(context_, {.partials = sum.partials,
                             .y = sum.y,
                             .bias = sum.bias,
                             .x = sum.x,
                             .h = args.y,
                             .rows = args.rows,
                             .n = args.dim,
                             .centered = centered,
                             .weight = args.weight,
                             .norm_bias = args.bias,
                             .eps = args.eps});
    return;
  }
  centered ? cuda::layer_norm(ready(), args) : cuda::rms_norm(ready(), args);
}

void CudaBackend::rope(ThreadPool& /*threads*/, const RopeArgs& args) const {
  check_rope(args);
  ready();
  rope_ = args;
}

void CudaBackend::kv_write(ThreadPool& /*threads*/, const KvWriteArgs& args) const {
  check_kv_write(args);
  if (rope_ && go_together(*rope_, args)) {
    const RopeArgs turned = *std::exchange(rope_, std::nullopt);
    return rope_kv_write(ready(), turned, args);
  }
  cuda::kv_write(ready(), args);
}

// The rest.

std::int64_t CudaBackend::panel_rows() const { return cuda::panel_rows; }

std::size_t CudaBackend::panel_bytes(const MatrixShape& shape) const {
  return cuda::panel_bytes(shape);
}

void CudaBackend::pack_panel(const MatrixShape& shape, std::int64_t panel, const std::byte* source,
                             std::byte* packed) const {
  cuda::pack_panel(shape, panel, source, packed);
}

void CudaBackend::embedding(ThreadPool& /*threads*/, std::span<const std::int32_t> ids, Range vocab,
                            const MatrixShape& shape, const std::byte* table, float* out) const {
  check_embedding(ids, vocab, shape, table, out);
  cuda::embedding(ready(), ids, vocab, shape, table, out);
}

void CudaBackend::attention(ThreadPool& /*threads*/, const AttentionArgs& args) const {
  check_attention(args);
  cuda::attention(ready(), args);
}

void CudaBackend::rms_norm(ThreadPool& /*threads*/, const NormArgs& args) const {
  norm(args, false);
}

void CudaBackend::layer_norm(ThreadPool& /*threads*/, const NormArgs& args) const {
  norm(args, true);
}

void CudaBackend::activate(ThreadPool& /*threads*/, Activation kind, float* x, std::int64_t rows,
                           std::int64_t cols, std::int64_t ldx) const {
  cuda::activate(ready(), kind, x, rows, cols, ldx);
}

void CudaBackend::gated_activation(ThreadPool& /*threads*/, Activation kind, const float* gate_up,
                                   std::int64_t rows, std::int64_t cols, std::int64_t ld,
                                   float* out, std::int64_t ldo) const {
  cuda::gated_activation(ready(), kind, gate_up, rows, cols, ld, out, ldo);
}

void CudaBackend::scale(ThreadPool& /*threads*/, float* x, float factor, std::int64_t count) const {
  cuda::scale(ready(), x, factor, count);
}

void CudaBackend::add_bias(ThreadPool& /*threads*/, float* x, const float* bias, std::int64_t rows,
                           std::int64_t cols) const {
  cuda::add_bias(ready(), x, bias, rows, cols);
}

void CudaBackend::gather_rows(ThreadPool& /*threads*/, const float* x, std::int64_t cols,
                              std::int64_t ldx, std::span<const std::int32_t> rows,
                              float* out) const {
  cuda::gather_rows(ready(), x, cols, ldx, rows, out);
}

void CudaBackend::gather(ThreadPool& /*threads*/, const float* table,
                         std::span<const std::int32_t> indices, float* out) const {
  cuda::gather(ready(), table, indices, out);
}

void CudaBackend::add_rows(ThreadPool& /*threads*/, float* x, std::int64_t cols, const float* table,
                           std::span<const std::int32_t> indices, std::int64_t offset) const {
  cuda::add_rows(ready(), x, std::ssize(indices), cols, cols, table, indices, offset);
}

void CudaBackend::pool(ThreadPool& /*threads*/, const PoolArgs& args) const {
  cuda::pool(ready(), args);
}

void CudaBackend::argmax(ThreadPool& /*threads*/, const float* logits, std::int64_t rows,
                         std::int64_t cols, std::int64_t ld, Top* out) const {
  cuda::argmax(ready(), logits, rows, cols, ld, out);
}

void CudaBackend::exp_sums(ThreadPool& /*threads*/, const float* logits, std::int64_t rows,
                           std::int64_t cols, std::int64_t ld, std::int64_t block,
                           ExpSum* out) const {
  cuda::exp_sums(ready(), logits, rows, cols, ld, block, out);
}

std::vector<std::int32_t> CudaBackend::draw(const float* logits, std::int64_t cols, std::int64_t ld,
                                            std::span<const DrawRow> rows) const {
  std::vector<std::int32_t> tokens(rows.size());
  const std::size_t bytes = tokens.size() * sizeof(std::int32_t);
  if (drawn_.size() < bytes) drawn_ = device_->allocate(bytes);
  cuda::draw(ready(), {.logits = logits,
                       .cols = cols,
                       .ld = ld,
                       .rows = rows,
                       .tokens = drawn_.as<std::int32_t>()});
  device_->download(std::as_writable_bytes(std::span(tokens)), drawn_.data());
  return tokens;
}

}  // namespace trireme::cuda
