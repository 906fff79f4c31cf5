// Keys and values on their way to the cache: a warp takes one head of one row.
#include "kernels/cuda/elements.h"
#include "kernels/cuda/kv_cache.h"

namespace trireme::cuda {

namespace {

constexpr int block_slots = 32;
static_assert(block_slots == KvCacheView::block_tokens);
constexpr int warp_threads = 32;
constexpr int block_threads = 256;

struct WriteView {
  const float* k;  ///< null: the keys come from the rope
  const float* v;
  std::int64_t ld;
  void* k_cache;
  void* v_cache;
  std::int32_t kv_heads;
  std::int32_t head_dim;
  std::int32_t head_stride;
  DeviceSequences sequences;
};

struct RopeView {
  float* x;
  std::int64_t ld;
  std::int32_t heads;
  std::int32_t half;  ///< rotary_dim / 2
  const float* cos;
  const float* sin;
  const std::int32_t* positions;  ///< by rows of the matrix
};

/// Where a row stands.
struct Place {
  std::int64_t row;       ///< of the step's matrices
  std::int64_t position;  ///< in its sequence
  std::int64_t written;   ///< rows of this step in its block, from this one on
  const std::int32_t* block_table;
};

__device__ Place place_of(const DeviceSequences& sequences, std::int64_t index) {
  const DeviceSequence& sequence = sequences.list[sequences.sequence_of_row[index]];
  const std::int64_t local = index - sequence.first;
  const std::int64_t position = sequence.position_begin + local;
  const std::int64_t left = sequence.rows - local;
  const std::int64_t room = block_slots - position % block_slots;
  return {sequence.row_begin + local, position, left < room ? left : room, sequence.block_table};
}

/// One head's slot in the cache.
template <DType dtype>
struct Slot {
  using Stored = typename Element<dtype>::Stored;

  Stored* first;  ///< of head_stride elements

  __device__ Slot(void* cache, const WriteView& view, const Place& place, std::int32_t head) {
    const std::int64_t block = place.block_table[place.position / block_slots];
    const std::int64_t slot =
        (block * view.kv_heads + head) * block_slots + place.position % block_slots;
    first = static_cast<Stored*>(cache) + slot * view.head_stride;
  }

  __device__ void store(std::int32_t d, float value) const {
    first[d] = Element<dtype>::encode(value);
  }

  /// A block's first write: nothing stays behind of what the block held before. Slots that other
  /// rows of this step write are theirs.
  __device__ void clear_rest(const WriteView& view, const Place& place, int lane) const {
    if (place.position % block_slots != 0) return;
    const std::int64_t begin = place.written * view.head_stride * sizeof(Stored);
    const std::int64_t end = std::int64_t{block_slots} * view.head_stride * sizeof(Stored);
    auto* const bytes = reinterpret_cast<unsigned char*>(first);
    for (std::int64_t at = begin + lane * 16; at < end; at += warp_threads * 16) {
      *reinterpret_cast<uint4*>(bytes + at) = make_uint4(0, 0, 0, 0);
    }
  }
};

template <DType dtype>
__device__ void write_head(void* cache, const float* values, const WriteView& view,
                           const Place& place, std::int32_t head, int lane) {
  const Slot<dtype> slot(cache, view, place, head);
  for (std::int32_t d = lane; d < view.head_stride; d += warp_threads) {
    slot.store(d, d < view.head_dim ? values[d] : 0.0f);
  }
  slot.clear_rest(view, place, lane);
}

__device__ const float* head_of(const float* values, const WriteView& view, const Place& place,
                                std::int32_t head) {
  return values + place.row * view.ld + std::int64_t{head} * view.head_dim;
}

/// The warp's number in the grid: a row and a head of it.
struct Task {
  std::int64_t row;
  std::int32_t head;
};
__device__ Task task_of(std::int32_t heads) {
  const std::int64_t warp = (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / warp_threads;
  return {warp / heads, static_cast<std::int32_t>(warp % heads)};
}

template <DType dtype>
__global__ void __launch_bounds__(block_threads) kv_write_kernel(WriteView view) {
  const Task task = task_of(2 * view.kv_heads);
  if (task.row >= view.sequences.rows) return;
  const int lane = static_cast<int>(threadIdx.x) % warp_threads;
  const Place place = place_of(view.sequences, task.row);
  const bool keys = task.head < view.kv_heads;
  const std::int32_t head = keys ? task.head : task.head - view.kv_heads;
  write_head<dtype>(keys ? view.k_cache : view.v_cache,
                    head_of(keys ? view.k : view.v, view, place, head), view, place, head, lane);
}

struct Pair {
  float low;
  float high;
};
/// ReferenceBackend::rope's order of operations.
__device__ Pair rotated(float low, float high, float cos, float sin) {
  return {low * cos - high * sin, high * cos + low * sin};
}

/// Heads of the rope, the keys among them, then those of V.
template <DType dtype>
__global__ void __launch_bounds__(block_threads)
    rope_kv_write_kernel(RopeView rope, WriteView view) {
  const Task task = task_of(rope.heads + view.kv_heads);
  if (task.row >= view.sequences.rows) return;
  const int lane = static_cast<int>(threadIdx.x) % warp_threads;
  const Place place = place_of(view.sequences, task.row);
  if (task.head >= rope.heads) {
    const std::int32_t head = task.head - rope.heads;
    write_head<dtype>(view.v_cache, head_of(view.v, view, place, head), view, place, head, lane);
    return;
  }

  // --- Rotate in place ---
  float* x = rope.x + place.row * rope.ld + std::int64_t{task.head} * view.head_dim;
  const std::int64_t table = std::int64_t{rope.positions[place.row]} * rope.half;
  const std::int32_t key_head = task.head - (rope.heads - view.kv_heads);
  if (key_head < 0) {
    for (std::int32_t i = lane; i < rope.half; i += warp_threads) {
      const Pair pair = rotated(x[i], x[i + rope.half], rope.cos[table + i], rope.sin[table + i]);
      x[i] = pair.low;
      x[i + rope.half] = pair.high;
    }
    return;
  }

  // --- A key: to the cache too ---
  const Slot<dtype> slot(view.k_cache, view, place, key_head);
  for (std::int32_t i = lane; i < rope.half; i += warp_threads) {
    const Pair pair = rotated(x[i], x[i + rope.half], rope.cos[table + i], rope.sin[table + i]);
    x[i] = pair.low;
    x[i + rope.half] = pair.high;
    slot.store(i, pair.low);
    slot.store(i + rope.half, pair.high);
  }
  for (std::int32_t d = 2 * rope.half + lane; d < view.head_stride; d += warp_threads) {
    slot.store(d, d < view.head_dim ? x[d] : 0.0f);
  }
  slot.clear_rest(view, place, lane);
}

WriteView view_of(Context& context, const KvWriteArgs& args) {
  const KvCacheView& cache = args.cache;
  return {args.k,
          args.v,
          args.ld,
          cache.k,
          cache.v,
          static_cast<std::int32_t>(cache.kv_heads),
          static_cast<std::int32_t>(cache.head_dim),
          static_cast<std::int32_t>(cache.head_stride()),
          context.sequences(args.sequences)};
}

/// A block of threads for every eight of `warps`.
dim3 grid_of(std::int64_t warps) {
  return dim3(static_cast<unsigned>(ceil_div(warps, block_threads / warp_threads)));
}

}  // namespace

void kv_write(Context& context, const KvWriteArgs& args) {
  if (args.sequences.empty()) return;
  const WriteView view = view_of(context, args);
  const std::int64_t warps = std::int64_t{view.sequences.rows} * 2 * view.kv_heads;
  if (warps == 0) return;
  const auto kernel = args.cache.dtype == DType::f32    ? kv_write_kernel<DType::f32>
                      : args.cache.dtype == DType::bf16 ? kv_write_kernel<DType::bf16>
                                                        : kv_write_kernel<DType::f16>;
  launch(kernel, grid_of(warps), dim3(block_threads), 0, context.stream, view);
  check_launch("kv_write");
}

void rope_kv_write(Context& context, const RopeArgs& rope, const KvWriteArgs& write) {
  if (write.sequences.empty()) return;
  const WriteView view = view_of(context, write);
  const std::int64_t warps = std::int64_t{view.sequences.rows} * (rope.heads + view.kv_heads);
  if (warps == 0) return;
  const RopeView rope_view{rope.x,
                           rope.ld,
                           static_cast<std::int32_t>(rope.heads),
                           static_cast<std::int32_t>(rope.rotary_dim / 2),
                           rope.cos,
                           rope.sin,
                           context.step_array(rope.positions)};
  const auto kernel = write.cache.dtype == DType::f32    ? rope_kv_write_kernel<DType::f32>
                      : write.cache.dtype == DType::bf16 ? rope_kv_write_kernel<DType::bf16>
                                                         : rope_kv_write_kernel<DType::f16>;
  launch(kernel, grid_of(warps), dim3(block_threads), 0, context.stream, rope_view, view);
  check_launch("rope_kv_write");
}

}  // namespace trireme::cuda
