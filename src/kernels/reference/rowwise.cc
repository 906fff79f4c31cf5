// Norms, rotary embedding, activations, additions and the reductions over the vocabulary.
#include <limits>

#include "core/error.h"
#include "kernels/reference/reference_backend.h"
#include "kernels/reference/scalar.h"

namespace trireme {

namespace {

using reference::Lanes;

float activated(Activation kind, float x) {
  switch (kind) {
    case Activation::gelu_tanh:
      return reference::gelu_tanh_of(x);
    case Activation::gelu_erf:
      return reference::gelu_erf_of(x);
    case Activation::relu:
      return reference::relu_of(x);
    case Activation::silu:
      return reference::silu_of(x);
    case Activation::tanh:
      return reference::tanh_of(x);
  }
  return x;
}

float mean_of(const float* x, std::int64_t dim) {
  Lanes lanes;
  for (std::int64_t i = 0; i < dim; ++i) lanes.lane[i % Lanes::count] += x[i];
  return lanes.sum() / static_cast<float>(dim);
}

/// Mean of (x - center)^2.
float mean_square(const float* x, float center, std::int64_t dim) {
  Lanes lanes;
  for (std::int64_t i = 0; i < dim; ++i) {
    float& lane = lanes.lane[i % Lanes::count];
    const float offset = x[i] - center;
    lane = std::fma(offset, offset, lane);
  }
  return lanes.sum() / static_cast<float>(dim);
}

void normalize(const NormArgs& args, const float* x, float* y, float center) {
  const float scale = 1.0f / std::sqrt(mean_square(x, center, args.dim) + args.eps);
  for (std::int64_t i = 0; i < args.dim; ++i) {
    const float normal = (x[i] - center) * scale;
    y[i] = args.bias == nullptr ? normal * args.weight[i]
                                : std::fma(normal, args.weight[i], args.bias[i]);
  }
}

template <typename Function>
void for_each_group(ThreadPool& threads, const NormArgs& args, const Function& function) {
  threads.parallel_for(args.rows, [&](std::int64_t row) {
    for (std::int64_t group = 0; group < args.groups; ++group) {
      function(args.x + row * args.ldx + group * args.dim,
               args.y + row * args.ldy + group * args.dim);
    }
  });
}

Top top_of(const float* x, std::int64_t cols) {
  Top top{x[0], 0};
  for (std::int64_t i = 1; i < cols; ++i) {
    const bool was_nan = top.value != top.value;
    if (x[i] > top.value || (was_nan && x[i] == x[i])) top = {x[i], static_cast<std::int32_t>(i)};
  }
  return top;
}

ExpSum exp_sum_of(const float* x, std::int64_t count) {
  constexpr float lowest = -std::numeric_limits<float>::infinity();
  float max = lowest;
  for (std::int64_t i = 0; i < count; ++i) max = reference::larger(x[i], max);
  max += 0.0f;
  if (max == lowest) return {lowest, 0.0f};
  Lanes lanes;
  for (std::int64_t i = 0; i < count; ++i) {
    lanes.lane[i % Lanes::count] += reference::exp_of(x[i] - max);
  }
  return {max, lanes.sum()};
}

}  // namespace

void ReferenceBackend::rope(ThreadPool& threads, const RopeArgs& args) const {
  const std::int64_t half = args.rotary_dim / 2;
  threads.parallel_for(static_cast<std::int64_t>(args.positions.size()), [&](std::int64_t row) {
    const std::int64_t table = args.positions[static_cast<std::size_t>(row)] * half;
    for (std::int64_t head = 0; head < args.heads; ++head) {
      float* x = args.x + row * args.ld + head * args.head_dim;
      for (std::int64_t i = 0; i < half; ++i) {
        const float cos = args.cos[table + i];
        const float sin = args.sin[table + i];
        const float low = x[i];
        const float high = x[i + half];
        x[i] = low * cos - high * sin;
        x[i + half] = high * cos + low * sin;
      }
    }
  });
}

void ReferenceBackend::rms_norm(ThreadPool& threads, const NormArgs& args) const {
  for_each_group(threads, args, [&](const float* x, float* y) { normalize(args, x, y, 0.0f); });
}

void ReferenceBackend::layer_norm(ThreadPool& threads, const NormArgs& args) const {
  for_each_group(threads, args,
                 [&](const float* x, float* y) { normalize(args, x, y, mean_of(x, args.dim)); });
}

void ReferenceBackend::activate(ThreadPool& threads, Activation kind, float* x, std::int64_t rows,
                                std::int64_t cols, std::int64_t ldx) const {
  threads.parallel_for(rows, [&](std::int64_t row) {
    float* line = x + row * ldx;
    for (std::int64_t i = 0; i < cols; ++i) line[i] = activated(kind, line[i]);
  });
}

void ReferenceBackend::gated_activation(ThreadPool& threads, Activation kind, const float* gate_up,
                                        std::int64_t rows, std::int64_t cols, std::int64_t ld,
                                        float* out, std::int64_t ldo) const {
  threads.parallel_for(rows, [&](std::int64_t row) {
    const float* gate = gate_up + row * ld;
    const float* up = gate + cols;
    float* line = out + row * ldo;
    for (std::int64_t i = 0; i < cols; ++i) line[i] = activated(kind, gate[i]) * up[i];
  });
}

void ReferenceBackend::add(ThreadPool&, float* x, const float* y, std::int64_t count) const {
  for (std::int64_t i = 0; i < count; ++i) x[i] += y[i];
}

void ReferenceBackend::add_bias(ThreadPool& threads, float* x, const float* bias, std::int64_t rows,
                                std::int64_t cols) const {
  threads.parallel_for(rows, [&](std::int64_t row) {
    for (std::int64_t i = 0; i < cols; ++i) x[row * cols + i] += bias[i];
  });
}

void ReferenceBackend::argmax(ThreadPool& threads, const float* logits, std::int64_t rows,
                              std::int64_t cols, std::int64_t ld, Top* out) const {
  TRIREME_ASSERT(cols > 0);
  threads.parallel_for(rows, [&](std::int64_t row) { out[row] = top_of(logits + row * ld, cols); });
}

void ReferenceBackend::exp_sums(ThreadPool& threads, const float* logits, std::int64_t rows,
                                std::int64_t cols, std::int64_t ld, std::int64_t block,
                                ExpSum* out) const {
  TRIREME_ASSERT(block > 0);
  const std::int64_t blocks = ceil_div(cols, block);
  threads.parallel_for(rows * blocks, [&](std::int64_t part) {
    const std::int64_t begin = part % blocks * block;
    const std::int64_t count = std::min(block, cols - begin);
    out[part] = exp_sum_of(logits + part / blocks * ld + begin, count);
  });
}

}  // namespace trireme
