// The operations of one device. Layers call these and nothing else; adding a device means
// implementing this class in one folder.
//
// Every operation keeps promise 1: an output element is computed by one fixed sequence of
// operations that depends on the model alone, never on how many rows there are, which thread runs
// or how the work is cut. On the CPU the sequence is, for every instruction set but AMX, that of
// the reference backend: sums over K are one chain of fused multiply-adds in ascending order, so
// reference, AVX2 and AVX-512 agree bit for bit and the tests compare with memcmp.
//
// Activations are float32, row-major; "rows" are tokens. Pointers are to the backend's memory,
// spans are the host's. A backend may do its work later, in the order of the calls, until somebody
// download()s or calls finish(). The argument structs are checked once, in kernels/ops.h, before a
// backend is called.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/range.h"
#include "core/thread_pool.h"
#include "core/weight_format.h"
#include "kernels/device_buffer.h"

namespace trireme {

struct DeviceStream;  // core/device_stream.h

/// The shape of a packed weight matrix [n, k] of y = x W^T. `k_shards` lists the widths of the
/// virtual shards of K that this rank holds, each summed on its own; one entry, all of K, where
/// nothing is cut.
struct MatrixShape {
  std::int64_t n = 0;
  std::vector<std::int64_t> k_shards;
  DType dtype = DType::f32;  ///< f32, bf16 or f16; i8, i4 or u4: see kernels/quantize.h
  std::int64_t group = 0;    ///< of i8, i4 and u4: k per scale, a multiple of 8

  WeightFormat format() const { return {dtype, group}; }
  std::int64_t k() const {
    std::int64_t sum = 0;
    for (const std::int64_t width : k_shards) sum += width;
    return sum;
  }
};

/// One output of `linear`: the sum of the local shards [shards.begin, shards.end), taken in the
/// order of the binary tree of that many leaves (core/shard.h).
struct ShardSum {
  Range shards;
  float* y = nullptr;  ///< [m, ldy]
};

struct LinearArgs {
  const float* x = nullptr;  ///< [m, ldx], columns are this rank's k
  std::int64_t m = 0;
  std::int64_t ldx = 0;
  const MatrixShape* shape = nullptr;
  const std::byte* w = nullptr;       ///< packed by Backend::pack
  const float* bias = nullptr;        ///< [n] or null; added once, after the sum (one output only)
  std::span<const ShardSum> outputs;  ///< at least one
  std::int64_t ldy = 0;
};

/// Keys and values of one layer, in blocks of `block_tokens` positions. Unused tails are zero.
/// Heads are padded to `head_stride` elements. K is [block, kv_head, head_stride, block_tokens]
/// (a dot product runs over lanes of keys), V is [block, kv_head, block_tokens, head_stride].
/// bfloat16 lies in pairs that are multiplied together: K is [..., head_stride / 2, block_tokens,
/// 2], V is [..., block_tokens / 2, head_stride, 2].
struct KvCacheView {
  static constexpr std::int64_t block_tokens = 32;

  std::byte* k = nullptr;
  std::byte* v = nullptr;
  std::int64_t kv_heads = 0;  ///< held by this rank
  std::int64_t head_dim = 0;
  DType dtype = DType::f32;

  std::int64_t head_stride() const { return round_up(head_dim, 16); }
  /// Elements of K (or of V) of one block.
  std::int64_t block_elements() const { return kv_heads * head_stride() * block_tokens; }

  bool in_pairs() const { return dtype == DType::bf16; }
  /// Where dimension d of the token in `slot` lies, from its block's and head's first element.
  std::int64_t k_index(std::int64_t slot, std::int64_t d) const {
    return in_pairs() ? (d / 2 * block_tokens + slot) * 2 + d % 2 : d * block_tokens + slot;
  }
  std::int64_t v_index(std::int64_t slot, std::int64_t d) const {
    return in_pairs() ? (slot / 2 * head_stride() + d) * 2 + slot % 2 : slot * head_stride() + d;
  }
};

/// The tokens of one sequence within a step: rows [row_begin, row_begin + rows) hold the absolute
/// positions position_begin, position_begin + 1, ...
struct SequenceSpan {
  std::int64_t row_begin = 0;
  std::int64_t rows = 0;
  std::int64_t position_begin = 0;
  const std::int32_t* block_table = nullptr;  ///< block of positions [32 i, 32 i + 32)
  /// Attention: each row sees the keys at positions [0, keys), whatever its own; 0: those up to its
  /// own position (causal).
  std::int64_t keys = 0;
};

/// What a score gets for how far its key stands from the query (T5's relative position bias): a
/// number per head and distance key - query. Distances beyond `reach` get what `reach` gets, on
/// either side. Kernels read 32 distances at once, so the table goes on for 31 more.
struct ScoreDistances {
  const float* table = nullptr;  ///< [heads, columns()]; null: nothing is added
  std::int64_t reach = 0;

  std::int64_t columns() const { return 2 * (reach + 31) + 1; }
  std::int64_t column(std::int64_t distance) const { return reach + 31 + distance; }
};

struct KvWriteArgs {
  const float* k = nullptr;  ///< [rows, ld], kv_heads * head_dim columns
  const float* v = nullptr;
  std::int64_t ld = 0;
  KvCacheView cache;
  std::span<const SequenceSpan> sequences;
};

/// Softmax attention of each query over the keys that it sees (SequenceSpan::keys), online over
/// blocks of 32 keys at absolute positions (Milakov and Gimelshein, arXiv 1805.02867). A result
/// depends on the query and the keys that it sees; a key that it does not see takes no part.
///
/// float32 and float16 caches: q * scale stays float32; a score is a chain of fused multiply-adds
/// over head_dim, to which `distances` adds; weights are e^(score - largest score so far); o is a
/// chain over the keys.
///
/// bfloat16 caches: pairs of bfloat16, as in matrix products, so that VDPBF16PS can be used. One
/// step takes a pair: sum = fma(x0, y0, fma(x1, y1, sum)), and from here to the division at the end
/// denormals are zero, in and out.
///  1. q' = q * (scale * log2 e) in float32, rounded to bfloat16 once.
///  2. A score is a chain over pairs (2 i, 2 i + 1) of head_dim; an odd last one meets a zero. The
///     number of `distances`, times log2 e, is added to it.
///  3. Weights are 2^(score - base) in float32 (exp2_of, kernels/elementary.inc), rounded to
///     bfloat16. `base` moves only where a block has a score above base + 8: to the largest that
///     the query sees in it, and then o and the sum are multiplied by 2^(old base - new base).
///     Weights stay below 2^8, and bfloat16 is as exact there as below 1.
///  4. The weights' sum is kept in 16 lanes, in float32: lane i adds the second, then the first of
///     the keys (2 i, 2 i + 1) of each block. It sums the weights after rounding: what values are
///     multiplied with then adds up to one, and where one key has nearly all the weight the result
///     is its value, not its value with a rounding error. (A float32 softmax rounded afterwards, as
///     transformers has it, is off by up to 2^-9 there.)
///  5. o is a chain over the pairs (2 i, 2 i + 1) of keys of which the query sees one or both; an
///     unseen one, whatever it holds, is a weight and a value of zero.
///  6. The result is o / sum, the lanes of the sum added in the fixed tree.
struct AttentionArgs {
  const float* q = nullptr;  ///< [rows, ldq], heads * head_dim columns
  std::int64_t ldq = 0;
  float* out = nullptr;  ///< [rows, ldo]
  std::int64_t ldo = 0;
  std::int64_t heads = 0;                    ///< query heads of this rank
  std::span<const std::int32_t> kv_head_of;  ///< [heads] index of each one's K/V head in the cache
  KvCacheView cache;                         ///< the step's own keys are written already
  float scale = 1.0f;                        ///< multiplies q before the dot products
  std::int64_t window = 0;  ///< causal rows see the last `window` positions only; 0: all
  ScoreDistances distances;
  std::span<const SequenceSpan> sequences;
};

/// Rotates pairs (i, i + rotary_dim / 2) of each head, as Llama and GPT-NeoX do. Position p reads
/// row p of the tables, [positions, rotary_dim / 2] each.
struct RopeArgs {
  float* x = nullptr;  ///< [rows, ld], in place; heads * head_dim columns
  std::int64_t ld = 0;
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t rotary_dim = 0;
  const float* cos = nullptr;
  const float* sin = nullptr;
  std::span<const std::int32_t> positions;  ///< [rows]
};

/// y = norm(x) * weight (+ bias), over groups of `dim` columns: `groups` per row (1 for a hidden
/// state, the number of heads for a q/k norm). In place where y == x.
struct NormArgs {
  const float* x = nullptr;
  float* y = nullptr;
  std::int64_t rows = 0;
  std::int64_t ldx = 0;
  std::int64_t ldy = 0;
  std::int64_t groups = 1;
  std::int64_t dim = 0;
  const float* weight = nullptr;  ///< [dim]
  const float* bias = nullptr;    ///< [dim] or null
  float eps = 1e-5f;
};

enum class Activation : std::uint8_t { gelu_tanh, gelu_erf, relu, silu, tanh };

/// What one vector is made of the rows of a sequence, and in which order: `mean`, `mean_sqrt_len`
/// (divided by the root of their number) and `weighted_mean` (row i weighs i + 1) are chains of
/// additions from the first row on.
enum class Pooling : std::uint8_t { mean, first, last, max, mean_sqrt_len, weighted_mean };

struct PoolArgs {
  const float* x = nullptr;  ///< [rows, ld]
  std::int64_t ld = 0;
  std::int64_t cols = 0;
  Pooling kind = Pooling::mean;
  bool normalize = false;                   ///< to length one
  std::span<const SequenceSpan> sequences;  ///< with at least one row each
  float* out = nullptr;                     ///< [sequences, cols]
};

/// What the operations of a step are called with: a device brings it over once.
struct StepInputs {
  std::span<const std::int32_t> token_ids;
  std::span<const std::int32_t> positions;
  std::span<const std::int32_t> type_ids;
  std::span<const SequenceSpan> sequences;
  std::span<const SequenceSpan> sources;
};

/// Work that is enqueued again and again, alike but for what StepInputs hold.
struct Repeated {
  const void* x = nullptr;  ///< what it begins with
  std::int64_t rows = 0;
  Range blocks;

  bool operator==(const Repeated&) const = default;
};

/// One token to be drawn from a row of logits, as transformers' generate() would: repetition
/// penalty, temperature, top-k, top-p, min-p.
struct DrawRow {
  bool greedy = true;
  float temperature = 1.0f;
  std::int32_t top_k = 0;  ///< 0: off
  float top_p = 1.0f;
  float min_p = 0.0f;
  float repetition_penalty = 1.0f;
  double uniform = 0;                       ///< the random number, in [0, 1)
  std::span<const std::int32_t> penalized;  ///< distinct ids seen before
};

/// Bytes of a device's memory.
struct DeviceMemory {
  std::int64_t total = 0;
  std::int64_t free = 0;
};

/// The largest logit of a row and where it is; ties go to the lowest index.
struct Top {
  float value = 0;
  std::int32_t index = 0;
};

/// max and sum(exp(x - max)) over one block of the vocabulary, to be joined in order of blocks.
struct ExpSum {
  float max = 0;
  float sum = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  /// "reference", "avx2", "avx512", "amx", ...
  virtual std::string_view name() const = 0;
  /// What the output bytes depend on of it: backends of one arithmetic give one another's bits.
  virtual std::string_view arithmetic() const = 0;

  // Memory.

  /// Whether what operations work on is the host's memory, so that anybody may read and write it.
  virtual bool uses_host_memory() const { return true; }
  /// Zeroed memory for operations. Throws Error(resource), naming flags that help, when there is
  /// not enough.
  virtual DeviceBuffer allocate(std::size_t bytes) const;
  /// Copies from the host; `from` may be changed as soon as the call returns. Thread-safe.
  virtual void upload(void* to, std::span<const std::byte> from) const;
  /// Copies to the host when all that was called before is done, and waits for it.
  virtual void download(std::span<std::byte> to, const void* from) const;
  /// Copies within the backend's memory; the two do not overlap.
  virtual void copy(void* to, const void* from, std::size_t bytes) const;
  virtual void fill(void* to, int byte, std::size_t bytes) const;
  /// Waits until all that was called is done. Throws Error(resource) for what failed on the way.
  virtual void finish() const {}

  /// Of the device; where the backend uses the host's, zeros.
  virtual DeviceMemory memory() const { return {}; }
  /// For whoever adds to a GPU's work from outside; null where there is no GPU.
  virtual const DeviceStream* device_stream() const { return nullptr; }

  // Steps.

  /// A step begins: its operations are called with these spans, which stay as they are until the
  /// next step.
  virtual void begin_step(const StepInputs& /*inputs*/) const {}
  /// Calls `work`, or does again what it did when it was called for the same key before. It must
  /// call operations of this backend only, with one row per sequence.
  virtual void repeat(const Repeated& /*key*/, const std::function<void()>& work) const { work(); }

  // Weights.

  /// What the packed bytes depend on of it: backends of one packing read one another's.
  virtual std::string_view packing() const = 0;
  /// Rows of a packed matrix come in panels of this many.
  virtual std::int64_t panel_rows() const = 0;
  /// Bytes of each of them; a matrix is its panels one after another.
  virtual std::size_t panel_bytes(const MatrixShape& shape) const = 0;
  std::size_t packed_bytes(const MatrixShape& shape) const {
    return static_cast<std::size_t>(ceil_div(shape.n, panel_rows())) * panel_bytes(shape);
  }
  /// Packs the rows of one panel, [panel * panel_rows(), ...) cut off at n, into `packed`, the
  /// host's memory. `source` is row-major [rows, k] in the shape's dtype, float32 for i8 and i4,
  /// CodedWeight for u4 (the same scale and zero throughout a group, codes below 16). Thread-safe.
  virtual void pack_panel(const MatrixShape& shape, std::int64_t panel, const std::byte* source,
                          std::byte* packed) const = 0;

  // Matrix products and look-ups.

  virtual void linear(ThreadPool& threads, const LinearArgs& args) const = 0;
  /// out[i] = row (ids[i] - vocab.begin) of the packed table, or zeros where ids[i] is outside
  /// `vocab`. out is [ids.size(), k]. Zeros are always +0, so that a sum over ranks is exact.
  virtual void embedding(ThreadPool& threads, std::span<const std::int32_t> ids, Range vocab,
                         const MatrixShape& shape, const std::byte* table, float* out) const = 0;

  // Attention.

  /// Rounds K and V to the cache's dtype and stores them at their positions. A block's first write
  /// (position 0 of the block) zeroes the rest of the block.
  virtual void kv_write(ThreadPool& threads, const KvWriteArgs& args) const = 0;
  virtual void attention(ThreadPool& threads, const AttentionArgs& args) const = 0;
  virtual void rope(ThreadPool& threads, const RopeArgs& args) const = 0;

  // Elementwise and row-wise.

  virtual void rms_norm(ThreadPool& threads, const NormArgs& args) const = 0;
  virtual void layer_norm(ThreadPool& threads, const NormArgs& args) const = 0;
  /// x[rows, cols] = activation(x), in place.
  virtual void activate(ThreadPool& threads, Activation kind, float* x, std::int64_t rows,
                        std::int64_t cols, std::int64_t ldx) const = 0;
  /// out[rows, cols] = activation(gate) * up, where row = [gate(cols) | up(cols)], ld apart.
  virtual void gated_activation(ThreadPool& threads, Activation kind, const float* gate_up,
                                std::int64_t rows, std::int64_t cols, std::int64_t ld, float* out,
                                std::int64_t ldo) const = 0;
  /// x[i] += y[i].
  virtual void add(ThreadPool& threads, float* x, const float* y, std::int64_t count) const = 0;
  /// x[i] *= factor.
  virtual void scale(ThreadPool& threads, float* x, float factor, std::int64_t count) const = 0;
  /// x[r, c] += bias[c].
  virtual void add_bias(ThreadPool& threads, float* x, const float* bias, std::int64_t rows,
                        std::int64_t cols) const = 0;

  // Look-ups.

  /// out[i] = row rows[i] of x [?, cols], ldx apart; out is [rows.size(), cols].
  virtual void gather_rows(ThreadPool& threads, const float* x, std::int64_t cols, std::int64_t ldx,
                           std::span<const std::int32_t> rows, float* out) const;
  /// out[i] = table[indices[i]]. `indices` belong to the model: a device keeps them.
  virtual void gather(ThreadPool& threads, const float* table,
                      std::span<const std::int32_t> indices, float* out) const;
  /// Row i of x [indices.size(), cols] += row indices[i] + offset of the table.
  virtual void add_rows(ThreadPool& threads, float* x, std::int64_t cols, const float* table,
                        std::span<const std::int32_t> indices, std::int64_t offset) const;

  /// One vector per sequence.
  virtual void pool(ThreadPool& threads, const PoolArgs& args) const = 0;

  // Over the vocabulary.

  /// Largest of each row of logits [rows, ld], over cols columns.
  virtual void argmax(ThreadPool& threads, const float* logits, std::int64_t rows,
                      std::int64_t cols, std::int64_t ld, Top* out) const = 0;
  /// Per row and per block of `block` columns (the last may be short): out[rows, blocks].
  virtual void exp_sums(ThreadPool& threads, const float* logits, std::int64_t rows,
                        std::int64_t cols, std::int64_t ld, std::int64_t block,
                        ExpSum* out) const = 0;

  /// Whether it has a draw() of its own; else the host draws (runtime/sampler.h).
  virtual bool draws() const { return false; }
  /// One token per row of logits [rows.size(), ld], over cols columns.
  virtual std::vector<std::int32_t> draw(const float* logits, std::int64_t cols, std::int64_t ld,
                                         std::span<const DrawRow> rows) const;
};

/// `count` values of the backend's memory, for the host to read: where they are if it can read them
/// there, or a copy in `room`.
template <typename T>
std::span<const T> on_host(const Backend& backend, const T* values, std::int64_t count,
                           std::vector<T>& room) {
  if (backend.uses_host_memory()) return {values, static_cast<std::size_t>(count)};
  room.resize(static_cast<std::size_t>(count));
  backend.download(std::as_writable_bytes(std::span(room)), values);
  return room;
}

}  // namespace trireme
