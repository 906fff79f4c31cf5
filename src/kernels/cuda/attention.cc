// Which attention kernels take a step, and what they are told.
#include "kernels/cuda/attention.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "kernels/cuda/attention_splits.h"
#include "kernels/cuda/attention_tiles.h"
#include "kernels/cuda/attention_view.h"

namespace trireme::cuda {

namespace {

constexpr std::int64_t most_head_dim = 256;
/// Queries of one product of the tensor cores.
constexpr std::int32_t product_rows = 16;

std::vector<std::int32_t> heads_of_each(const AttentionArgs& args) {
  std::vector<std::int32_t> count(static_cast<std::size_t>(args.cache.kv_heads));
  for (const std::int32_t head : args.kv_head_of) ++count[static_cast<std::size_t>(head)];
  return count;
}

/// How a step's sequences are shared out.
struct Split {
  std::int32_t few_rows = 0;  ///< sequences of up to as many rows go to attention_splits
  bool others = false;        ///< there are sequences with more
};

Split split_of(const AttentionArgs& args, const DeviceSequences& sequences) {
  if (sequences.one_row_each) return {1, false};
  const std::int32_t together = most_heads_together(args);
  const std::int64_t most = std::max(1, product_rows / together);
  std::int64_t few = 0;
  std::int64_t many = 0;
  for (const SequenceSpan& sequence : args.sequences) {
    std::int64_t& larger = sequence.rows <= most ? few : many;
    larger = std::max(larger, sequence.rows);
  }
  // Scratch memory holds so many rows for each sequence.
  if (few * sequences.count > sequences.rows) {
    many = std::max(many, few);
    few = 1;
  }
  return {static_cast<std::int32_t>(few), many > few};
}

}  // namespace

AttentionView view_of(Context& context, const AttentionArgs& args) {
  const KvCacheView& cache = args.cache;
  AttentionView view{};
  view.q = args.q;
  view.out = args.out;
  view.ldq = args.ldq;
  view.ldo = args.ldo;
  view.k = cache.k;
  view.v = cache.v;
  view.heads = static_cast<std::int32_t>(args.heads);
  view.kv_heads = static_cast<std::int32_t>(cache.kv_heads);
  view.head_dim = static_cast<std::int32_t>(cache.head_dim);
  view.head_stride = static_cast<std::int32_t>(cache.head_stride());
  view.scale = args.scale;
  // A window beyond all positions is none.
  constexpr std::int64_t farthest = std::numeric_limits<std::int32_t>::max();
  view.window = args.window < farthest ? static_cast<std::int32_t>(args.window) : 0;
  view.distances = args.distances.table;
  view.reach = static_cast<std::int32_t>(args.distances.reach);
  view.distance_columns = static_cast<std::int32_t>(args.distances.columns());
  view.sequences = context.sequences(args.sequences);
  return view;
}

unsigned set_groups(Context& context, const AttentionArgs& args, std::int32_t most,
                    AttentionView& view) {
  const std::vector<std::int32_t> count = heads_of_each(args);
  std::vector<HeadGroup> groups;
  std::vector<std::int32_t> order;
  for (std::int32_t kv_head = 0; kv_head < view.kv_heads; ++kv_head) {
    const auto begin = static_cast<std::int32_t>(order.size());
    const std::int32_t heads = count[static_cast<std::size_t>(kv_head)];
    for (std::int32_t done = 0; done < heads; done += most) {
      groups.push_back({kv_head, begin + done, std::min(most, heads - done)});
    }
    for (std::int32_t head = 0; head < view.heads; ++head) {
      if (args.kv_head_of[static_cast<std::size_t>(head)] == kv_head) order.push_back(head);
    }
  }
  view.groups = context.constant_array(std::span<const HeadGroup>(groups));
  view.order = context.constant_array(std::span<const std::int32_t>(order));
  return static_cast<unsigned>(groups.size());
}

std::int32_t most_heads_together(const AttentionArgs& args) {
  const std::vector<std::int32_t> count = heads_of_each(args);
  return *std::max_element(count.begin(), count.end());
}

bool with_tensor_cores(const DeviceTraits& traits, const KvCacheView& cache) {
  return traits.tensor_cores() && cache.dtype != DType::f32;
}

void attention_tensor(Context& context, const AttentionArgs& args) {
  const Split split = split_of(args, context.sequences(args.sequences));
  if (split.few_rows > 0) attention_splits(context, args, split.few_rows);
  if (split.others) attention_tiles(context, args, split.few_rows);
}

void attention(Context& context, const AttentionArgs& args) {
  if (args.heads == 0 || args.sequences.empty()) return;
  if (context.sequences(args.sequences).rows == 0) return;
  if (args.cache.head_dim > most_head_dim) {
    fail(ErrorKind::input, "heads of {} dimensions: on GPUs attention takes up to {}",
         args.cache.head_dim, most_head_dim);
  }
  if (with_tensor_cores(context.traits, args.cache)) {
    attention_tensor(context, args);
  } else {
    attention_plain(context, args);
  }
}

}  // namespace trireme::cuda
