// Scaling, and one vector for the rows of a sequence.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernels/host/host_backend.h"
#include "kernels/host/parts.h"

namespace trireme {

namespace {

/// out = sum of weight(row) * x[row], from the first row on.
template <typename Weight>
void weighted_sum(const PoolArgs& args, const SequenceSpan& span, float* out,
                  const Weight& weight) {
  std::fill(out, out + args.cols, 0.0f);
  for (std::int64_t row = 0; row < span.rows; ++row) {
    const float* x = args.x + (span.row_begin + row) * args.ld;
    const float w = weight(row);
    for (std::int64_t i = 0; i < args.cols; ++i) out[i] += w * x[i];
  }
}

void divide(float* x, std::int64_t cols, float divisor) {
  for (std::int64_t i = 0; i < cols; ++i) x[i] /= divisor;
}

void largest(const PoolArgs& args, const SequenceSpan& span, float* out) {
  const float* x = args.x + span.row_begin * args.ld;
  std::copy(x, x + args.cols, out);
  for (std::int64_t row = 1; row < span.rows; ++row) {
    x += args.ld;
    for (std::int64_t i = 0; i < args.cols; ++i) out[i] = x[i] > out[i] ? x[i] : out[i];
  }
}

void copy_row(const PoolArgs& args, std::int64_t row, float* out) {
  const float* x = args.x + row * args.ld;
  std::copy(x, x + args.cols, out);
}

void pool_one(const PoolArgs& args, const SequenceSpan& span, float* out) {
  const auto rows = static_cast<float>(span.rows);
  switch (args.kind) {
    case Pooling::first:
      return copy_row(args, span.row_begin, out);
    case Pooling::last:
      return copy_row(args, span.row_begin + span.rows - 1, out);
    case Pooling::max:
      return largest(args, span, out);
    case Pooling::mean:
      weighted_sum(args, span, out, [](std::int64_t) { return 1.0f; });
      return divide(out, args.cols, rows);
    case Pooling::mean_sqrt_len:
      weighted_sum(args, span, out, [](std::int64_t) { return 1.0f; });
      return divide(out, args.cols, std::sqrt(rows));
    case Pooling::weighted_mean:
      weighted_sum(args, span, out, [](std::int64_t row) { return static_cast<float>(row + 1); });
      return divide(out, args.cols, rows * (rows + 1) / 2);
  }
}

/// To length one; what is shorter than 1e-12 stays as short, as in torch's normalize.
void normalize(float* x, std::int64_t cols) {
  double squares = 0;
  for (std::int64_t i = 0; i < cols; ++i) {
    squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  divide(x, cols, std::max(static_cast<float>(std::sqrt(squares)), 1e-12f));
}

}  // namespace

void HostBackend::scale(ThreadPool& threads, float* x, float factor, std::int64_t count) const {
  const std::int64_t parts = ceil_div(count, few_elements);
  for_parts(threads, parts, count, few_elements, [&](std::int64_t part) {
    const std::int64_t end = std::min(count, (part + 1) * few_elements);
    for (std::int64_t i = part * few_elements; i < end; ++i) x[i] *= factor;
  });
}

void HostBackend::pool(ThreadPool& threads, const PoolArgs& args) const {
  std::int64_t rows = 0;
  for (const SequenceSpan& span : args.sequences) {
    TRIREME_ASSERT(span.rows > 0);
    rows += span.rows;
  }
  for_parts(threads, static_cast<std::int64_t>(args.sequences.size()), rows * args.cols,
            few_elements, [&](std::int64_t i) {
              float* out = args.out + i * args.cols;
              pool_one(args, args.sequences[static_cast<std::size_t>(i)], out);
              if (args.normalize) normalize(out, args.cols);
            });
}

}  // namespace trireme
