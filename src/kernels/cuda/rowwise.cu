// Norms, rotary embedding, activations, additions, and rows picked out of a matrix.
#include "kernels/cuda/columns.h"
#include "kernels/cuda/elementary.h"
#include "kernels/cuda/row_sums.h"
#include "kernels/cuda/rowwise.h"

namespace trireme::cuda {

namespace {

// Norms.

/// Wider groups have a block each; narrower ones (a head's) half a warp.
constexpr std::int64_t widest_of_half_warp = 256;
constexpr unsigned half_warps = 8;  ///< of a block

template <int Width, bool Centered>
__global__ void norm_by_block(NormArgs args) {
  const std::int64_t row = blockIdx.x / args.groups;
  const std::int64_t column = blockIdx.x % args.groups * args.dim;
  BlockRow<Width> x(args.x + row * args.ldx + column, args.dim, dynamic_shared<float>());
  normalize_row<Width, Centered>(x, args.dim, args.weight, args.bias, args.eps,
                                 args.y + row * args.ldy + column);
}

template <bool Centered>
__global__ void norm_by_half_warp(NormArgs args) {
  const std::int64_t lane = threadIdx.x % row_lanes;
  const std::int64_t index = std::int64_t{blockIdx.x} * half_warps + threadIdx.x / row_lanes;
  // Half warps beyond the last group repeat it up to the sums, to keep their warp together.
  const std::int64_t last = args.rows * args.groups - 1;
  const std::int64_t group = index < last ? index : last;
  const std::int64_t row = group / args.groups;
  const std::int64_t column = group % args.groups * args.dim;
  const float* x = args.x + row * args.ldx + column;
  float* y = args.y + row * args.ldy + column;

  float center = 0;
  if (Centered) {
    const float sum = sum_of_lanes(lane_chain(x, args.dim, lane, 0.0f, PlainTerm{}));
    center = sum / static_cast<float>(args.dim);
  }
  const float squares = sum_of_lanes(lane_chain(x, args.dim, lane, 0.0f, SquareTerm{center}));
  if (index > last) return;
  const float scale = scale_of(squares, args.dim, args.eps);
  for (std::int64_t i = lane; i < args.dim; i += row_lanes) {
    Floats<1> value = load<1>(x + i);
    normalize(value, center, scale, args.weight, args.bias, i);
    store(y + i, value);
  }
}

template <bool Centered>
void norm(const Context& context, const NormArgs& args) {
  const std::int64_t groups = args.rows * args.groups;
  if (groups == 0) return;
  if (args.dim <= widest_of_half_warp) {
    launch(norm_by_half_warp<Centered>, dim3(static_cast<unsigned>(ceil_div(groups, half_warps))),
           dim3(half_warps * row_lanes), 0, context.stream, args);
  } else {
    const bool fours = in_fours(args.dim, {args.x, args.y, args.weight, args.bias},
                                {args.groups == 1 ? args.ldx : args.dim, args.ldx, args.ldy});
    launch(fours ? norm_by_block<4, Centered> : norm_by_block<1, Centered>,
           dim3(static_cast<unsigned>(groups)), dim3(row_threads(args.dim)),
           row_shared_bytes(args.dim), context.stream, args);
  }
  check_launch("norm");
}

// Rotary embedding.

/// Columns are pairs of a row: those of the first head, then of the second, ...
struct Rope {
  float* x;
  std::int64_t ld;
  std::int32_t half;
  std::int32_t head_dim;
  const float* cos;
  const float* sin;
  const std::int32_t* positions;

  template <int Width>
  __device__ void run(std::int64_t row, std::int64_t column) const {
    const std::int32_t pair = static_cast<std::int32_t>(column) % half;
    const std::int32_t head = static_cast<std::int32_t>(column) / half;
    float* low_at = x + row * ld + std::int64_t{head} * head_dim + pair;
    const std::int64_t table = std::int64_t{positions[row]} * half + pair;
    const Floats<Width> c = load<Width>(cos + table);
    const Floats<Width> s = load<Width>(sin + table);
    Floats<Width> low = load<Width>(low_at);
    Floats<Width> high = load<Width>(low_at + half);
    for (int i = 0; i < Width; ++i) {
      const float was_low = low.at[i];
      low.at[i] = was_low * c.at[i] - high.at[i] * s.at[i];
      high.at[i] = high.at[i] * c.at[i] + was_low * s.at[i];
    }
    store(low_at, low);
    store(low_at + half, high);
  }
};

// Activations.

template <Activation Kind>
__device__ inline float activated(float x) {
  if constexpr (Kind == Activation::gelu_tanh) return gelu_tanh_of(x);
  if constexpr (Kind == Activation::gelu_erf) return gelu_erf_of(x);
  if constexpr (Kind == Activation::relu) return relu_of(x);
  if constexpr (Kind == Activation::silu) return silu_of(x);
  if constexpr (Kind == Activation::tanh) return tanh_of(x);
}

template <Activation Kind>
struct Activate {
  float* x;
  std::int64_t ld;

  template <int Width>
  __device__ void run(std::int64_t row, std::int64_t column) const {
    float* at = x + row * ld + column;
    Floats<Width> values = load<Width>(at);
    for (int i = 0; i < Width; ++i) values.at[i] = activated<Kind>(values.at[i]);
    store(at, values);
  }
};

template <Activation Kind>
struct GatedActivate {
  const float* gate_up;
  std::int64_t cols;
  std::int64_t ld;
  float* out;
  std::int64_t ldo;

  template <int Width>
  __device__ void run(std::int64_t row, std::int64_t column) const {
    const float* at = gate_up + row * ld + column;
    Floats<Width> gate = load<Width>(at);
    const Floats<Width> up = load<Width>(at + cols);
    for (int i = 0; i < Width; ++i) gate.at[i] = activated<Kind>(gate.at[i]) * up.at[i];
    store(out + row * ldo + column, gate);
  }
};

template <Activation Kind>
struct KindIs {
  static constexpr Activation value = Kind;
};

/// Calls function(KindIs<kind>).
template <typename Function>
void with_kind(Activation kind, const Function& function) {
  switch (kind) {
    case Activation::gelu_tanh:
      return function(KindIs<Activation::gelu_tanh>{});
    case Activation::gelu_erf:
      return function(KindIs<Activation::gelu_erf>{});
    case Activation::relu:
      return function(KindIs<Activation::relu>{});
    case Activation::silu:
      return function(KindIs<Activation::silu>{});
    case Activation::tanh:
      return function(KindIs<Activation::tanh>{});
  }
}

// Additions and the like.

/// x += y, a row of y being the same for all rows of x, or that of an index.
struct Add {
  float* x;
  std::int64_t ldx;
  const float* y;
  std::int64_t ldy;
  const std::int32_t* indices;  ///< or null: row 0
  std::int64_t offset;

  template <int Width>
  __device__ void run(std::int64_t row, std::int64_t column) const {
    const std::int64_t index = indices == nullptr ? 0 : indices[row] + offset;
    Floats<Width> sum = load<Width>(x + row * ldx + column);
    const Floats<Width> other = load<Width>(y + index * ldy + column);
    for (int i = 0; i < Width; ++i) sum.at[i] += other.at[i];
    store(x + row * ldx + column, sum);
  }
};

struct Scale {
  float* x;
  float factor;

  template <int Width>
  __device__ void run(std::int64_t, std::int64_t column) const {
    Floats<Width> values = load<Width>(x + column);
    for (int i = 0; i < Width; ++i) values.at[i] *= factor;
    store(x + column, values);
  }
};

struct GatherRows {
  const float* x;
  std::int64_t ldx;
  const std::int32_t* rows;
  float* out;
  std::int64_t cols;

  template <int Width>
  __device__ void run(std::int64_t row, std::int64_t column) const {
    store(out + row * cols + column, load<Width>(x + rows[row] * ldx + column));
  }
};

struct Gather {
  const float* table;
  const std::int32_t* indices;
  float* out;

  template <int Width>
  __device__ void run(std::int64_t, std::int64_t column) const {
    out[column] = table[indices[column]];
  }
};

}  // namespace

void rms_norm(Context& context, const NormArgs& args) { norm<false>(context, args); }

void layer_norm(Context& context, const NormArgs& args) { norm<true>(context, args); }

void rope(Context& context, const RopeArgs& args) {
  const std::int64_t half = args.rotary_dim / 2;
  const auto rows = static_cast<std::int64_t>(args.positions.size());
  if (rows == 0 || args.heads * half == 0) return;
  const Rope work{args.x,
                  args.ld,
                  static_cast<std::int32_t>(half),
                  static_cast<std::int32_t>(args.head_dim),
                  args.cos,
                  args.sin,
                  context.step_array(args.positions)};
  const bool fours = in_fours(half, {args.x, args.cos, args.sin}, {args.ld, args.head_dim});
  for_each_column(context, work, rows, args.heads * half, fours, "rope");
}

void activate(Context& context, Activation kind, float* x, std::int64_t rows, std::int64_t cols,
              std::int64_t ldx) {
  with_kind(kind, [&](auto known) {
    const Activate<decltype(known)::value> work{x, ldx};
    for_each_column(context, work, rows, cols, in_fours(cols, {x}, {ldx}), "activate");
  });
}

void gated_activation(Context& context, Activation kind, const float* gate_up, std::int64_t rows,
                      std::int64_t cols, std::int64_t ld, float* out, std::int64_t ldo) {
  with_kind(kind, [&](auto known) {
    const GatedActivate<decltype(known)::value> work{gate_up, cols, ld, out, ldo};
    const bool fours = in_fours(cols, {gate_up, out}, {ld, ldo});
    for_each_column(context, work, rows, cols, fours, "gated_activation");
  });
}

void add(Context& context, float* x, const float* y, std::int64_t count) {
  const Add work{x, 0, y, 0, nullptr, 0};
  for_each_column(context, work, 1, count, in_fours(count, {x, y}, {}), "add");
}

void scale(Context& context, float* x, float factor, std::int64_t count) {
  for_each_column(context, Scale{x, factor}, 1, count, in_fours(count, {x}, {}), "scale");
}

void add_bias(Context& context, float* x, const float* bias, std::int64_t rows, std::int64_t cols) {
  const Add work{x, cols, bias, 0, nullptr, 0};
  for_each_column(context, work, rows, cols, in_fours(cols, {x, bias}, {}), "add_bias");
}

void add_rows(Context& context, float* x, std::int64_t rows, std::int64_t cols, std::int64_t ldx,
              const float* table, std::span<const std::int32_t> indices, std::int64_t offset) {
  if (rows == 0) return;
  const Add work{x, ldx, table, cols, context.step_array(indices), offset};
  for_each_column(context, work, rows, cols, in_fours(cols, {x, table}, {ldx}), "add_rows");
}

void gather_rows(Context& context, const float* x, std::int64_t cols, std::int64_t ldx,
                 std::span<const std::int32_t> rows, float* out) {
  if (rows.empty()) return;
  const GatherRows work{x, ldx, context.step_array(rows), out, cols};
  for_each_column(context, work, static_cast<std::int64_t>(rows.size()), cols,
                  in_fours(cols, {x, out}, {ldx}), "gather_rows");
}

void gather(Context& context, const float* table, std::span<const std::int32_t> indices,
            float* out) {
  if (indices.empty()) return;
  const Gather work{table, context.constant_array(indices), out};
  for_each_column(context, work, 1, static_cast<std::int64_t>(indices.size()), false, "gather");
}

}  // namespace trireme::cuda
