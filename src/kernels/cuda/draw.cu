// A row is drawn from in four kernels, of which the first three have a block for each part of it:
//
//   1. find_best   the best logit of each part
//   2. weigh       the parts' total weights, and a histogram over the distance from the best logit:
//                  of numbers of tokens where there is a top-k, else of weights
//   3. collect     the ids that the draw is between: those in the bins that can hold the k-th best
//                  or the last of top-p or min-p; of a row without such limits, the part that the
//                  random number falls into
//   4. choose      among these few, by a block per row: exactly where top-k and top-p end, then the
//                  token
//
// Tokens that weigh nothing are left out from the third on: they cannot be drawn, and no sum
// changes.
#include <cmath>
#include <vector>

#include "kernels/cuda/columns.h"
#include "kernels/cuda/draw.h"
#include "kernels/cuda/draw_sums.h"
#include "kernels/cuda/top.h"

namespace trireme::cuda {

namespace {

/// A block looks through so many columns.
constexpr int part_columns = 8192;
/// Rows that are drawn from at a time: their logits stay in the L2 cache, and scratch stays small.
constexpr std::int64_t most_rows = 64;
constexpr float minus_infinity = -HUGE_VALF;

/// DrawRow as kernels read it.
struct Settings {
  std::uint64_t uniform;  ///< in units of 2^-64
  Weight least_weight;    ///< of min-p
  float temperature;
  float penalty;
  float top_p;              ///< 1: off
  std::int32_t top_k;       ///< 0: off
  std::int32_t widest_bin;  ///< of min-p
  std::int32_t greedy;
  std::int32_t first_penalized;
  std::int32_t penalized;  ///< how many

  __device__ bool limited() const { return top_k > 0 || top_p < 1.0f || least_weight > 0; }
  /// Whether the end of top-k or top-p has to be looked for among bins.
  __device__ bool has_bins() const { return top_k > 0 || top_p < 1.0f; }
};

/// A group of rows, and its share of scratch.
struct Draw {
  const float* logits;
  std::int64_t ld;
  std::int64_t cols;
  std::int64_t parts;
  std::int64_t words;        ///< of a row's `penalized`
  const Settings* settings;  ///< [rows]
  std::uint32_t* penalized;  ///< [rows, words]: a bit for each id
  Top* tops;                 ///< [rows, parts]
  Weight* totals;            ///< [rows, parts]
  Weight* bins;              ///< [rows, bin_count]
  std::uint32_t* collected;  ///< [rows]: how many
  std::int32_t* ids;         ///< [rows, cols], those collected, in any order
  std::int32_t* tokens;      ///< [rows]
};

/// The logits of one row as the draw sees them.
struct Row {
  const float* logits;
  const std::uint32_t* penalized;
  Settings settings;

  __device__ Row(const Draw& draw, std::int64_t row)
      : logits(draw.logits + row * draw.ld),
        penalized(draw.penalized + row * draw.words),
        settings(draw.settings[row]) {}

  /// The logit of `id`, which is `raw` in memory, after the penalty.
  __device__ float after_penalty(std::int64_t id, float raw) const {
    if (settings.penalty == 1.0f || (penalized[id / 32] >> id % 32 & 1) == 0) return raw;
    return raw < 0 ? raw * settings.penalty : raw / settings.penalty;
  }
  /// In units of the temperature; what is not a number is -infinity.
  __device__ float scaled(float logit) const {
    return (logit != logit ? minus_infinity : logit) / settings.temperature;
  }
  __device__ float at(std::int64_t id, float raw) const { return scaled(after_penalty(id, raw)); }
};

/// floor(a b / 2^64).
__device__ inline Weight share_of(std::uint64_t uniform, Weight total) {
  return __umul64hi(uniform, total);
}

/// Of a row's parts, to everybody.
__device__ inline Top best_of_row(const Draw& draw, std::int64_t row) {
  Top top = no_top();
  for (std::int64_t i = threadIdx.x % 32; i < draw.parts; i += 32) {
    const Top other = draw.tops[row * draw.parts + i];
    if (better(other, top)) top = other;
  }
  return best_of_warp(top);
}

/// The columns that a block of the first three kernels looks through, `Width` to a thread at a
/// time: calls visit(first column) in the same number of rounds for all threads of a block, where a
/// round may be beyond the end.
template <int Width, typename Visit>
__device__ inline void for_part(const Draw& draw, const Visit& visit) {
  const std::int64_t begin = std::int64_t{blockIdx.x} * part_columns;
  const std::int64_t end = begin + part_columns < draw.cols ? begin + part_columns : draw.cols;
  for (std::int64_t base = begin; base < end; base += draw_threads * Width) {
    const std::int64_t column = base + std::int64_t{threadIdx.x} * Width;
    visit(column, column < end);
  }
}

__global__ void mark_penalized(Draw draw, const std::int32_t* ids) {
  const Settings settings = draw.settings[blockIdx.x];
  std::uint32_t* marks = draw.penalized + blockIdx.x * draw.words;
  for (int i = threadIdx.x; i < settings.penalized; i += draw_threads) {
    const auto id = static_cast<std::uint32_t>(ids[settings.first_penalized + i]);
    atomicOr(&marks[id / 32], 1u << id % 32);
  }
}

template <int Width>
__global__ void __launch_bounds__(draw_threads) find_best(Draw draw) {
  const std::int64_t index = blockIdx.y;
  const Row row(draw, index);
  Top top = no_top();
  for_part<Width>(draw, [&](std::int64_t column, bool inside) {
    if (!inside) return;
    const Floats<Width> raw = load<Width>(row.logits + column);
    for (int i = 0; i < Width; ++i) {
      const Top other{row.after_penalty(column + i, raw.at[i]),
                      static_cast<std::int32_t>(column) + i};
      if (better(other, top)) top = other;
    }
  });
  top = best_of_block<draw_warps>(top);
  if (threadIdx.x == 0) draw.tops[index * draw.parts + blockIdx.x] = top;
}

/// Adds a block's bins to the row's.
__device__ inline void add_bins(const SharedSums<bin_count>& bins, Weight* into) {
  __syncthreads();
  for (int i = threadIdx.x; i < bin_count; i += draw_threads) {
    const Weight sum = bins.at(i);
    if (sum > 0) atomicAdd(&into[i], sum);
  }
}

template <int Width>
__global__ void __launch_bounds__(draw_threads, 4) weigh(Draw draw) {
  __shared__ SharedSums<bin_count> bins;
  const std::int64_t index = blockIdx.y;
  const Row row(draw, index);
  const Top top = best_of_row(draw, index);
  if (row.settings.greedy) {
    if (blockIdx.x == 0 && threadIdx.x == 0) draw.tokens[index] = top.index;
    return;
  }
  const float best = row.scaled(top.value);
  const bool counts = row.settings.top_k > 0;
  if (row.settings.has_bins()) bins.clear();
  __syncthreads();

  Weight total = 0;
  for_part<Width>(draw, [&](std::int64_t column, bool inside) {
    if (!inside) return;
    const Floats<Width> raw = load<Width>(row.logits + column);
    for (int i = 0; i < Width; ++i) {
      const float logit = row.at(column + i, raw.at[i]);
      const Weight weight = weight_of(logit, best);
      if (weight == 0) continue;
      total += weight;
      if (row.settings.has_bins()) bins.add(bin_of(logit, best), counts ? 1 : weight);
    }
  });

  total = sum_of_block(total);
  if (threadIdx.x == 0) draw.totals[index * draw.parts + blockIdx.x] = total;
  if (row.settings.has_bins()) add_bins(bins, draw.bins + index * bin_count);
}

/// The weight of a whole row, in every lane of a warp.
__device__ inline Weight total_of_row(const Draw& draw, std::int64_t row) {
  Weight total = 0;
  for (std::int64_t i = threadIdx.x % 32; i < draw.parts; i += 32) {
    total += draw.totals[row * draw.parts + i];
  }
  return sum_of_warp(total);
}

/// The part of a row that passes `mark`, and the weight of those before it.
__device__ inline Passing part_that_passes(const Draw& draw, std::int64_t row, Weight mark) {
  Passing part{0, 0};
  const auto last = static_cast<int>(draw.parts) - 1;
  while (part.index != last) {
    const Weight total = draw.totals[row * draw.parts + part.index];
    if (part.before + total > mark) break;
    part.before += total;
    ++part.index;
  }
  return part;
}

/// Better tokens must weigh so much that the next one is not of the top-p.
__device__ inline Weight top_p_weight(Weight total, float top_p) {
  const auto limit =
      static_cast<Weight>(ceil(static_cast<double>(total) * static_cast<double>(top_p)));
  return limit > 0 ? limit : 1;
}

struct RowBins {
  const Weight* sums;
  __device__ Weight at(int i) const { return sums[i]; }
};

/// The last bin that may hold a token between which the draw is; to everybody.
__device__ inline int last_bin(const Draw& draw, std::int64_t index, const Settings& settings) {
  // What min-p leaves out still counts in the total of which top-p is a part.
  const bool total_needed = settings.top_k > 0 && settings.top_p < 1.0f;
  int last = settings.least_weight > 0 && !total_needed ? settings.widest_bin : bin_count - 1;
  if (settings.has_bins()) {
    const Weight mark = settings.top_k > 0
                            ? static_cast<Weight>(settings.top_k) - 1
                            : top_p_weight(total_of_row(draw, index), settings.top_p) - 1;
    const RowBins bins{draw.bins + index * bin_count};
    const int passing = pass(bins, bin_count, mark).index;
    last = passing < last ? passing : last;
  }
  return last;
}

/// Appends the ids of those lanes of a warp that want it to a row's.
__device__ inline void append(const Draw& draw, std::int64_t row, bool wanted, std::int64_t id) {
  const unsigned lane = threadIdx.x % 32;
  const unsigned all = __ballot_sync(0xffffffffu, wanted);
  if (all == 0) return;
  std::uint32_t first = 0;
  if (lane == 0) {
    first = atomicAdd(&draw.collected[row], static_cast<std::uint32_t>(__popc(all)));
  }
  first = __shfl_sync(0xffffffffu, first, 0);
  if (!wanted) return;
  const unsigned before = static_cast<unsigned>(__popc(all & ((1u << lane) - 1)));
  draw.ids[row * draw.cols + first + before] = static_cast<std::int32_t>(id);
}

template <int Width>
__global__ void __launch_bounds__(draw_threads, 4) collect(Draw draw) {
  const std::int64_t index = blockIdx.y;
  const Row row(draw, index);
  if (row.settings.greedy) return;
  if (!row.settings.limited()) {
    const Weight mark = share_of(row.settings.uniform, total_of_row(draw, index));
    if (part_that_passes(draw, index, mark).index != static_cast<int>(blockIdx.x)) return;
  }
  const float best = row.scaled(best_of_row(draw, index).value);
  const int last = last_bin(draw, index, row.settings);
  for_part<Width>(draw, [&](std::int64_t column, bool inside) {
    const Floats<Width> raw = inside ? load<Width>(row.logits + column) : Floats<Width>{};
    for (int i = 0; i < Width; ++i) {
      const float logit = row.at(inside ? column + i : 0, raw.at[i]);
      const bool wanted = inside && bin_of(logit, best) <= last && weight_of(logit, best) > 0;
      append(draw, index, wanted, column + i);
    }
  });
}

/// A token that the draw is between.
struct Candidate {
  Weight weight;
  std::uint32_t key;  ///< of its logit
  std::uint32_t id;
};

/// The candidates of a row, by a block: the first ones are kept in shared memory.
class Candidates {
 public:
  static constexpr int kept = 2048;

  __device__ Candidates(const Draw& draw, std::int64_t index, Candidate* shared)
      : row_(draw, index),
        best_(row_.scaled(best_of_row(draw, index).value)),
        ids_(draw.ids + index * draw.cols),
        count_(static_cast<int>(draw.collected[index])),
        shared_(shared) {
    for (int i = threadIdx.x; i < count_ && i < kept; i += draw_threads) shared_[i] = made(i);
    __syncthreads();
  }

  __device__ int count() const { return count_; }
  __device__ const Settings& settings() const { return row_.settings; }

  /// Calls visit(candidate) for each of this thread's.
  template <typename Visit>
  __device__ void each(const Visit& visit) const {
    for (int i = threadIdx.x; i < count_; i += draw_threads) {
      visit(i < kept ? shared_[i] : made(i));
    }
  }

  /// Of those that are `of` it, to everybody.
  template <typename Of>
  __device__ Weight weight(const Of& of) const {
    Weight sum = 0;
    each([&](const Candidate& one) { sum += of(one) ? one.weight : 0; });
    return sum_of_block(sum);
  }

 private:
  __device__ Candidate made(int i) const {
    const std::int32_t id = ids_[i];
    const float logit = row_.at(id, row_.logits[id]);
    return {weight_of(logit, best_), sort_key(logit), static_cast<std::uint32_t>(id)};
  }

  Row row_;
  float best_;
  const std::int32_t* ids_;
  int count_;
  Candidate* shared_;
};

/// A value of candidates (a key, an id), and what those below it add up to.
struct Place {
  std::uint32_t value;
  Weight before;
};

/// The smallest value with which the sum over candidates, by ascending value, exceeds `mark`.
/// Values have `Bits` bits, a multiple of 8, and are found from their highest digit on.
/// `add(candidate, use)` calls use(value, amount) for those that count.
template <int Bits, typename Add>
__device__ inline Place place_of(const Candidates& candidates, Weight mark, const Add& add) {
  constexpr int digit_bits = 8;
  __shared__ SharedSums<1 << digit_bits> digits;
  Place place{0, 0};
  for (int shift = Bits - digit_bits; shift >= 0; shift -= digit_bits) {
    __syncthreads();  // whoever still reads the digits before
    digits.clear();
    __syncthreads();
    candidates.each([&](const Candidate& one) {
      add(one, [&](std::uint32_t value, Weight amount) {
        const std::uint32_t higher = static_cast<std::uint32_t>(std::uint64_t{value} >> shift);
        if (higher >> digit_bits == place.value) {
          digits.add(static_cast<int>(higher & ((1u << digit_bits) - 1)), amount);
        }
      });
    });
    __syncthreads();
    const Passing digit = pass(digits, 1 << digit_bits, mark - place.before);
    place.value = place.value << digit_bits | static_cast<std::uint32_t>(digit.index);
    place.before += digit.before;
  }
  return place;
}

constexpr int id_bits = 24;
constexpr int key_bits = 32;

/// Which candidates are left: a beginning of the order from the best one to the worst.
struct Left {
  std::uint32_t last_key = 0xffffffffu;
  std::uint32_t last_id = 0xffffffffu;  ///< of those with the last key
  Weight least_weight = 0;

  __device__ bool operator()(const Candidate& one) const {
    const bool in_order = one.key < last_key || (one.key == last_key && one.id <= last_id);
    return in_order && one.weight >= least_weight;
  }
};

/// The k best, and whatever ties with the last.
__device__ inline void keep_top_k(const Candidates& candidates, Left& left) {
  const auto k = candidates.settings().top_k;
  if (k == 0 || candidates.count() <= k) return;
  left.last_key =
      place_of<key_bits>(candidates, static_cast<Weight>(k) - 1,
                         [](const Candidate& one, const auto& use) { use(one.key, Weight{1}); })
          .value;
}

/// The smallest set of best ones that weighs `limit`, ties in the order of ids.
__device__ inline void keep_top_p(const Candidates& candidates, Weight limit, Left& left) {
  const Left before = left;
  const Place key =
      place_of<key_bits>(candidates, limit - 1, [&](const Candidate& one, const auto& use) {
        if (before(one)) use(one.key, one.weight);
      });
  left.last_key = key.value;
  left.last_id = place_of<id_bits>(candidates, limit - 1 - key.before,
                                   [&](const Candidate& one, const auto& use) {
                                     if (one.key == key.value) use(one.id, one.weight);
                                   })
                     .value;
}

/// A block per row.
__global__ void __launch_bounds__(draw_threads) choose(Draw draw) {
  __shared__ Candidate shared[Candidates::kept];
  const std::int64_t index = blockIdx.x;
  if (draw.settings[index].greedy) return;
  const Candidates candidates(draw, index, shared);
  const Settings& settings = candidates.settings();

  Left left;
  Weight mark = 0;
  if (settings.limited()) {
    keep_top_k(candidates, left);
    if (settings.top_p < 1.0f) {
      const Weight total = settings.top_k > 0 ? candidates.weight(left) : total_of_row(draw, index);
      keep_top_p(candidates, top_p_weight(total, settings.top_p), left);
    }
    left.least_weight = settings.least_weight;
    mark = share_of(settings.uniform, candidates.weight(left));
  } else {
    mark = share_of(settings.uniform, total_of_row(draw, index));
    mark -= part_that_passes(draw, index, mark).before;
  }
  const Place token =
      place_of<id_bits>(candidates, mark, [&](const Candidate& one, const auto& use) {
        if (left(one)) use(one.id, one.weight);
      });
  if (threadIdx.x == 0) draw.tokens[index] = static_cast<std::int32_t>(token.value);
}

// The host's side.

Settings settings_of(const DrawRow& row, std::int64_t cols, std::int32_t first_penalized) {
  Settings settings{};
  settings.uniform = static_cast<std::uint64_t>(row.uniform * 0x1p53) << 11;
  settings.temperature = row.temperature;
  settings.penalty = row.repetition_penalty;
  settings.top_p = row.top_p;
  settings.top_k = row.top_k > 0 && row.top_k < cols ? row.top_k : 0;
  if (row.min_p > 0) {
    const double least = std::min(static_cast<double>(row.min_p), 1.0);
    settings.least_weight =
        static_cast<Weight>(std::ceil(least * static_cast<double>(whole_weight)));
    // One bin more than it takes: which tokens weigh enough is decided by their weights.
    settings.widest_bin = static_cast<std::int32_t>(
        std::min(bin_count - 1.0, -std::log(least) * static_cast<double>(bins_per_unit) + 1.0));
  }
  settings.greedy = row.greedy ? 1 : 0;
  settings.first_penalized = first_penalized;
  settings.penalized =
      row.repetition_penalty == 1.0f ? 0 : static_cast<std::int32_t>(row.penalized.size());
  return settings;
}

/// Hands scratch out piece by piece.
struct Pieces {
  std::byte* begin;
  std::size_t used = 0;

  template <typename T>
  T* take(std::int64_t count) {
    auto* piece = reinterpret_cast<T*>(begin + used);
    used += (static_cast<std::size_t>(count) * sizeof(T) + 255) / 256 * 256;
    return piece;
  }
};

/// Scratch of a group of `rows`. What has to be zero at first comes first: up to `zeroed` bytes.
Draw draw_of(Pieces& pieces, std::int64_t rows, std::int64_t cols, std::size_t& zeroed) {
  Draw draw{};
  draw.cols = cols;
  draw.parts = ceil_div(cols, std::int64_t{part_columns});
  draw.words = ceil_div(cols, std::int64_t{32});
  draw.bins = pieces.take<Weight>(rows * bin_count);
  draw.collected = pieces.take<std::uint32_t>(rows);
  draw.penalized = pieces.take<std::uint32_t>(rows * draw.words);
  zeroed = pieces.used;
  draw.tops = pieces.take<Top>(rows * draw.parts);
  draw.totals = pieces.take<Weight>(rows * draw.parts);
  draw.ids = pieces.take<std::int32_t>(rows * cols);
  return draw;
}

template <int Width>
void launch_kernels(const Context& context, const Draw& draw, std::int64_t rows,
                    const std::int32_t* penalized, bool all_greedy) {
  const dim3 parts(static_cast<unsigned>(draw.parts), static_cast<unsigned>(rows));
  const dim3 one_each(static_cast<unsigned>(rows));
  if (penalized != nullptr) {
    launch(mark_penalized, one_each, dim3(draw_threads), 0, context.stream, draw, penalized);
    check_launch("draw: penalties");
  }
  launch(find_best<Width>, parts, dim3(draw_threads), 0, context.stream, draw);
  check_launch("draw: best");
  launch(weigh<Width>, parts, dim3(draw_threads), 0, context.stream, draw);
  check_launch("draw: weights");
  if (all_greedy) return;
  launch(collect<Width>, parts, dim3(draw_threads), 0, context.stream, draw);
  check_launch("draw: candidates");
  launch(choose, one_each, dim3(draw_threads), 0, context.stream, draw);
  check_launch("draw: choice");
}

/// Copies to the device; the host's may be changed at once, for it is not pinned.
template <typename T>
void upload(const Context& context, T* to, const std::vector<T>& from) {
  if (from.empty()) return;
  check(cudaMemcpyAsync(to, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice,
                        context.stream),
        "draw: settings");
}

}  // namespace

std::size_t draw_scratch_bytes(std::int64_t rows, std::int64_t cols) {
  Pieces pieces{nullptr};
  std::size_t zeroed = 0;
  draw_of(pieces, std::min(rows, most_rows), cols, zeroed);
  pieces.take<Settings>(rows);
  return pieces.used + 256;
}

void draw(Context& context, const DrawArgs& args) {
  const auto rows = static_cast<std::int64_t>(args.rows.size());
  if (rows == 0) return;
  std::vector<Settings> settings;
  std::vector<std::int32_t> penalized;
  for (const DrawRow& row : args.rows) {
    settings.push_back(settings_of(row, args.cols, static_cast<std::int32_t>(penalized.size())));
    penalized.insert(penalized.end(), row.penalized.begin(),
                     row.penalized.begin() + settings.back().penalized);
  }

  Pieces pieces{context.scratch(draw_scratch_bytes(rows, args.cols) +
                                penalized.size() * sizeof(std::int32_t))};
  std::size_t zeroed = 0;
  Draw draw = draw_of(pieces, std::min(rows, most_rows), args.cols, zeroed);
  auto* const all_settings = pieces.take<Settings>(rows);
  auto* const all_penalized =
      pieces.take<std::int32_t>(static_cast<std::int64_t>(penalized.size()));
  upload(context, all_settings, settings);
  upload(context, all_penalized, penalized);

  draw.ld = args.ld;
  const bool fours = in_fours(args.cols, {args.logits}, {args.ld});
  for (std::int64_t begin = 0; begin < rows; begin += most_rows) {
    const std::int64_t count = std::min(most_rows, rows - begin);
    const auto first = settings.begin() + begin;
    const bool greedy =
        std::all_of(first, first + count, [](const Settings& s) { return s.greedy; });
    const std::int32_t* marked =
        std::any_of(first, first + count, [](const Settings& s) { return s.penalized > 0; })
            ? all_penalized
            : nullptr;
    check(cudaMemsetAsync(pieces.begin, 0, zeroed, context.stream), "draw: scratch");
    draw.logits = args.logits + begin * args.ld;
    draw.settings = all_settings + begin;
    draw.tokens = args.tokens + begin;
    fours ? launch_kernels<4>(context, draw, count, marked, greedy)
          : launch_kernels<1>(context, draw, count, marked, greedy);
  }
}

}  // namespace trireme::cuda
