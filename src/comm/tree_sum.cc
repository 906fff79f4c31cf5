#include "comm/tree_sum.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "core/error.h"
#include "core/shard.h"

namespace trireme {

namespace {

constexpr std::int64_t block = 1024;  // floats: the intermediate sums stay in the first-level cache

/// Sixteen floats: a cache line, in as many registers as the instruction set needs.
using Lanes __attribute__((vector_size(64))) = float;

/// out[i] = left[i] + right[i]; `out` may be `left` or `right`, which keeps the compiler from
/// vectorising a plain loop.
[[gnu::always_inline]] inline void add_lanes(const float* left, const float* right, float* out,
                                             std::int64_t count) {
  constexpr std::int64_t width = sizeof(Lanes) / sizeof(float);
  std::int64_t i = 0;
  for (; i + width <= count; i += width) {
    Lanes a, b;
    std::memcpy(&a, left + i, sizeof(a));
    std::memcpy(&b, right + i, sizeof(b));
    a += b;
    std::memcpy(out + i, &a, sizeof(a));
  }
  for (; i < count; ++i) out[i] = left[i] + right[i];
}

// A sum of two floats has the same bits on every instruction set; wider ones are only faster.

void add_default(const float* left, const float* right, float* out, std::int64_t count) {
  add_lanes(left, right, out, count);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void add_avx2(const float* left, const float* right, float* out,
                                      std::int64_t count) {
  add_lanes(left, right, out, count);
}

[[gnu::target("avx512f")]] void add_avx512(const float* left, const float* right, float* out,
                                           std::int64_t count) {
  add_lanes(left, right, out, count);
}
#endif

using Add = void (*)(const float*, const float*, float*, std::int64_t);

Add widest_add() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return add_avx512;
  if (__builtin_cpu_supports("avx2")) return add_avx2;
#endif
  return add_default;
}

float rounded_to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return std::bit_cast<float>((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u);
}

}  // namespace

bool plan_dependent_reduction() {
  static const bool enabled = [] {
    const char* value = std::getenv("TRIREME_TEST_PLAN_DEPENDENT_REDUCTION");
    if (value == nullptr || std::string_view(value) != "1") return false;
    std::fputs(
        "trireme: WARNING: TRIREME_TEST_PLAN_DEPENDENT_REDUCTION=1: results DEPEND ON THE PLAN. "
        "This is for tests only; unset it.\n",
        stderr);
    return true;
  }();
  return enabled;
}

TreeSumPlan::TreeSumPlan(const TreeSum& sum)
    : shard_count_(sum.shard_count),
      held_(sum.held),
      in_rank_order_(sum.held.size() > 1 && plan_dependent_reduction()) {
  std::vector<Range> pieces;
  std::int64_t covered = 0;
  for (const Range& held : held_) {
    TRIREME_ASSERT(held.empty() || held.begin == covered);
    if (!held.empty()) covered = held.end;
    first_piece_.push_back(static_cast<std::int64_t>(pieces.size()));
    for (const Range& subtree : largest_subtrees(shard_count_, held)) pieces.push_back(subtree);
  }
  TRIREME_ASSERT(covered == shard_count_);
  first_piece_.push_back(static_cast<std::int64_t>(pieces.size()));
  std::int64_t next = 0;
  if (shard_count_ > 0) build({0, shard_count_}, pieces, next, 0);
  TRIREME_ASSERT(next == piece_count());
}

std::int64_t TreeSumPlan::build(Range node, const std::vector<Range>& pieces, std::int64_t& next,
                                std::int64_t slot) {
  if (pieces[static_cast<std::size_t>(next)] == node) return next++;
  const auto left_size =
      static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(node.size() - 1)));
  const std::int64_t middle = node.begin + left_size;
  const std::int64_t left = build({node.begin, middle}, pieces, next, slot);
  const std::int64_t right = build({middle, node.end}, pieces, next, left < 0 ? slot + 1 : slot);
  steps_.push_back({left, right, slot});
  slots_ = std::max(slots_, slot + 1);
  return ~slot;
}

bool TreeSumPlan::describes(const TreeSum& sum) const {
  return shard_count_ == sum.shard_count && held_ == sum.held;
}

std::int64_t TreeSumPlan::most_pieces() const {
  std::int64_t most = 0;
  for (int rank = 0; rank < ranks(); ++rank) most = std::max(most, pieces(rank).size());
  return most;
}

void TreeSumPlan::evaluate(std::span<const float* const> pieces, std::int64_t count,
                           float* out) const {
  TRIREME_ASSERT(static_cast<std::int64_t>(pieces.size()) == piece_count());
  if (in_rank_order_) return evaluate_in_rank_order(pieces, count, out);
  if (pieces.empty()) std::fill_n(out, count, 0.0f);
  if (pieces.size() == 1 && count > 0 && pieces[0] != out) {
    std::memmove(out, pieces[0], static_cast<std::size_t>(count) * sizeof(float));
  }
  if (steps_.empty()) return;
  // Only the last step may write to `out`, which may be a piece that an earlier one reads.
  const auto slots = std::make_unique_for_overwrite<float[]>(
      steps_.size() > 1 ? static_cast<std::size_t>(slots_ * block) : 0);
  static const Add add = widest_add();
  for (std::int64_t begin = 0; begin < count; begin += block) {
    const std::int64_t size = std::min(block, count - begin);
    const auto operand = [&](std::int64_t index) {
      return index >= 0 ? pieces[static_cast<std::size_t>(index)] + begin
                        : slots.get() + ~index * block;
    };
    for (const TreeStep& step : steps_) {
      float* const into = &step == &steps_.back() ? out + begin : slots.get() + step.slot * block;
      add(operand(step.left), operand(step.right), into, size);
    }
  }
}

void TreeSumPlan::evaluate_in_rank_order(std::span<const float* const> pieces, std::int64_t count,
                                         float* out) const {
  for (std::int64_t i = 0; i < count; ++i) {
    float sum = 0;
    for (int rank = 0; rank < ranks(); ++rank) {
      float total = 0;
      const Range own = this->pieces(rank);
      for (std::int64_t piece = own.begin; piece < own.end; ++piece) {
        total += pieces[static_cast<std::size_t>(piece)][i];
      }
      sum += rounded_to_bfloat16(total);
    }
    out[i] = sum;
  }
}

const TreeSumPlan& TreeSumPlans::get(const TreeSum& sum) {
  for (const TreeSumPlan& plan : plans_) {
    if (plan.describes(sum)) return plan;
  }
  constexpr std::size_t most = 64;
  if (plans_.size() == most) plans_.pop_front();
  return plans_.emplace_back(sum);
}

}  // namespace trireme
