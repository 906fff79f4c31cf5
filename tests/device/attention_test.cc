// Attention over the paged cache: the reference against double precision, every backend against the
// reference, and the invariance under chunking, tiling and placement of blocks.
#include <algorithm>

#include "kernels/ops.h"
#include "support.h"

namespace trireme::test {
namespace {

/// Some sequences with all their queries, keys and values, and a cache with scattered blocks.
struct Scene {
  std::int64_t heads = 4;
  std::int64_t kv_heads = 2;
  std::int64_t head_dim = 16;
  std::int64_t window = 0;
  bool causal = true;  ///< else every query sees all keys of its sequence
  ScoreDistances distances;
  Floats distance_table;
  DType dtype = DType::f32;
  std::vector<std::int64_t> lengths;

  std::vector<std::int32_t> kv_head_of;
  Floats q;  ///< [all tokens, heads * head_dim]
  Floats k;  ///< [all tokens, kv_heads * head_dim]
  Floats v;
  std::vector<std::vector<std::int32_t>> tables;
  Buffer k_cache;
  Buffer v_cache;
  KvCacheView cache;

  void make(Random& random) {
    std::int64_t tokens = 0;
    std::int64_t blocks = 0;
    for (const std::int64_t length : lengths) {
      tokens += length;
      blocks += ceil_div(length, 32);
    }
    for (std::int64_t head = 0; head < heads; ++head) {
      kv_head_of.push_back(static_cast<std::int32_t>(head * kv_heads / heads));
    }
    q = random.values(tokens * heads * head_dim);
    k = random.values(tokens * kv_heads * head_dim);
    v = random.values(tokens * kv_heads * head_dim);
    cache = {nullptr, nullptr, kv_heads, head_dim, dtype};
    const auto bytes =
        static_cast<std::size_t>((blocks + 2) * cache.block_elements()) * size_of(dtype);
    k_cache = Buffer(bytes);
    v_cache = Buffer(bytes);
    // Left over from other sequences: what a first write does not clear would show as NaN.
    std::memset(k_cache.data(), 0xff, bytes);
    std::memset(v_cache.data(), 0xff, bytes);
    cache.k = k_cache.data();
    cache.v = v_cache.data();
    place_blocks(random, blocks + 2);
  }

  void place_blocks(Random& random, std::int64_t blocks) {
    std::vector<std::int32_t> free;
    for (std::int64_t i = 0; i < blocks; ++i) free.push_back(static_cast<std::int32_t>(i));
    for (std::size_t i = free.size(); i > 1; --i) {
      std::swap(
          free[i - 1],
          free[static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(i) - 1))]);
    }
    for (const std::int64_t length : lengths) {
      const std::int64_t count = ceil_div(length, 32);
      tables.emplace_back(free.end() - count, free.end());
      free.resize(free.size() - static_cast<std::size_t>(count));
    }
  }

  void add_distances(Random& random) {
    distances.reach = random.integer(0, 2) * random.integer(1, 100);
    distance_table = random.values(heads * distances.columns());
    // Beyond the reach all are alike.
    for (std::int64_t i = 0; i < heads * distances.columns(); ++i) {
      const std::int64_t column = i % distances.columns();
      const std::int64_t inside =
          std::clamp(column, distances.column(-distances.reach), distances.column(distances.reach));
      distance_table[static_cast<std::size_t>(i)] =
          distance_table[static_cast<std::size_t>(i - column + inside)];
    }
    distances.table = distance_table.data();
  }

  std::int64_t rows() const { return static_cast<std::int64_t>(q.size()) / (heads * head_dim); }

  std::vector<SequenceSpan> whole() const {
    std::vector<SequenceSpan> spans;
    std::int64_t row = 0;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      spans.push_back({row, lengths[i], 0, tables[i].data(), causal ? 0 : lengths[i]});
      row += lengths[i];
    }
    return spans;
  }

  void write(const Backend& backend, ThreadPool& threads,
             const std::vector<SequenceSpan>& spans) const {
    const KvWriteArgs args{k.data(), v.data(), kv_heads * head_dim, cache, spans};
    check_kv_write(args);
    backend.kv_write(threads, args);
  }

  void attend(const Backend& backend, ThreadPool& threads, const std::vector<SequenceSpan>& spans,
              Floats& out) const {
    const std::int64_t ldo = heads * head_dim;
    const AttentionArgs args{.q = q.data(),
                             .ldq = heads * head_dim,
                             .out = out.data(),
                             .ldo = ldo,
                             .heads = heads,
                             .kv_head_of = kv_head_of,
                             .cache = cache,
                             .scale = 0.3f,
                             .window = window,
                             .distances = distances,
                             .sequences = spans};
    check_attention(args);
    backend.attention(threads, args);
  }

  /// Prefill of everything at once.
  Floats run(const Backend& backend, ThreadPool& threads) const {
    Floats out(q.size(), -7.0f);
    write(backend, threads, whole());
    attend(backend, threads, whole(), out);
    return out;
  }

  std::string what() const {
    return fmt::format("{} heads {}/{} dim {} window {} length {}{}{}", name_of(dtype), heads,
                       kv_heads, head_dim, window, lengths[0], causal ? "" : " both ways",
                       distances.table == nullptr ? "" : " distances");
  }
};

Scene scene(Random& random, DType dtype, std::int64_t heads, std::int64_t kv_heads,
            std::int64_t head_dim, std::int64_t window, std::vector<std::int64_t> lengths) {
  Scene made;
  made.heads = heads;
  made.kv_heads = kv_heads;
  made.head_dim = head_dim;
  made.window = window;
  made.dtype = dtype;
  made.lengths = std::move(lengths);
  made.make(random);
  return made;
}

/// q times the scale as scores see it: of a bfloat16 cache rounded, and in powers of two.
double scaled_query(const Scene& scene, float q) {
  constexpr float log2_e = 1.44269504f;
  return scene.dtype == DType::bf16 ? double{rounded(q * (0.3f * log2_e), DType::bf16)} / log2_e
                                    : double{q} * double{0.3f};
}

/// What an exact result may be off by: weights are rounded to bfloat16 for such a cache.
double tolerance(const Scene& scene, double largest_value) {
  return scene.dtype == DType::bf16 ? 0x1.1p-8 * largest_value : 2e-4;
}

struct Exact {
  std::vector<double> out;
  double largest_value = 0;  ///< of those that the query sees
};

/// One query of one head, in double precision, from the rounded keys and values.
Exact oracle(const Scene& scene, std::int64_t first_row, std::int64_t position, std::int64_t head,
             std::int64_t length = 0) {
  const std::int64_t dim = scene.head_dim;
  const std::int64_t kv = scene.kv_head_of[static_cast<std::size_t>(head)];
  const float* q = scene.q.data() + ((first_row + position) * scene.heads + head) * dim;
  const std::int64_t begin =
      scene.window == 0 ? 0 : std::max<std::int64_t>(0, position - scene.window + 1);
  const auto cached = [&](const Floats& values, std::int64_t key, std::int64_t d) {
    const std::int64_t at = ((first_row + key) * scene.kv_heads + kv) * dim + d;
    return double{rounded(values[static_cast<std::size_t>(at)], scene.dtype)};
  };
  std::vector<double> scores;
  const std::int64_t last = scene.causal ? position : length - 1;
  for (std::int64_t j = begin; j <= last; ++j) {
    double score = 0;
    for (std::int64_t d = 0; d < dim; ++d) {
      score += scaled_query(scene, q[d]) * cached(scene.k, j, d);
    }
    if (scene.distances.table != nullptr) {
      const ScoreDistances& distances = scene.distances;
      const std::int64_t distance = std::clamp(j - position, -distances.reach, distances.reach);
      score += double{distances.table[head * distances.columns() + distances.column(distance)]};
    }
    scores.push_back(score);
  }
  const double max = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  Exact exact{std::vector<double>(static_cast<std::size_t>(dim))};
  for (std::int64_t j = begin; j <= last; ++j) {
    const double p = std::exp(scores[static_cast<std::size_t>(j - begin)] - max);
    total += p;
    for (std::int64_t d = 0; d < dim; ++d) {
      const double value = cached(scene.v, j, d);
      exact.out[static_cast<std::size_t>(d)] += p * value;
      exact.largest_value = std::max(exact.largest_value, std::abs(value));
    }
  }
  for (double& value : exact.out) value /= total;
  return exact;
}

TEST(ReferenceAttention, AgreesWithDoublePrecision) {
  Random random(11);
  ThreadPool threads(2);
  const auto backend = make_backend("reference");
  for (const DType dtype : weight_dtypes) {
    for (const std::int64_t window : {0, 40}) {
      const Scene made = scene(random, dtype, 6, 3, 20, window, {70, 1, 33});
      const Floats out = made.run(*backend, threads);
      std::int64_t row = 0;
      for (const std::int64_t length : made.lengths) {
        for (std::int64_t i = 0; i < length * made.heads; ++i) {
          const Exact wanted = oracle(made, row, i / made.heads, i % made.heads);
          for (std::int64_t d = 0; d < made.head_dim; ++d) {
            const std::int64_t at = (row * made.heads + i) * made.head_dim + d;
            EXPECT_NEAR(double{out[static_cast<std::size_t>(at)]},
                        wanted.out[static_cast<std::size_t>(d)],
                        tolerance(made, wanted.largest_value))
                << made.what();
          }
        }
        row += length;
      }
    }
  }
}

TEST(ReferenceAttention, AgreesWithDoublePrecisionBothWaysAndWithDistances) {
  Random random(23);
  ThreadPool threads(2);
  const auto backend = make_backend("reference");
  for (const DType dtype : weight_dtypes) {
    for (const int mode : {1, 2, 3}) {
      Scene made = scene(random, dtype, 6, 3, 20, 0, {70, 1, 33});
      made.causal = (mode & 1) == 0;
      if ((mode & 2) != 0) made.add_distances(random);
      for (std::size_t i = 0; i < made.tables.size(); ++i) {
        ASSERT_EQ(made.whole()[i].keys, made.causal ? 0 : made.lengths[i]);
      }
      const Floats out = made.run(*backend, threads);
      std::int64_t row = 0;
      for (const std::int64_t length : made.lengths) {
        for (std::int64_t i = 0; i < length * made.heads; ++i) {
          const Exact wanted = oracle(made, row, i / made.heads, i % made.heads, length);
          for (std::int64_t d = 0; d < made.head_dim; ++d) {
            const std::int64_t at = (row * made.heads + i) * made.head_dim + d;
            ASSERT_NEAR(double{out[static_cast<std::size_t>(at)]},
                        wanted.out[static_cast<std::size_t>(d)],
                        tolerance(made, wanted.largest_value))
                << made.what();
          }
        }
        row += length;
      }
    }
  }
}

class AttentionTest : public DeviceTest {};

TEST_P(AttentionTest, BothWaysAndDistancesGiveTheReferenceBits) {
  Random random(24);
  for (const DType dtype : weight_dtypes) {
    for (const std::int64_t length : {1, 31, 32, 33, 65, 100, 300}) {
      for (const auto& [heads, kv_heads, dim] :
           {std::tuple{4, 4, 16}, {8, 2, 64}, {7, 1, 24}, {3, 3, 1}, {12, 12, 64}}) {
        Scene made = scene(random, dtype, heads, kv_heads, dim, 0, {length, 3});
        made.causal = random.integer(0, 2) == 0;
        if (random.integer(0, 2) > 0 || made.causal) made.add_distances(random);
        const Floats wanted = made.run(*reference_, threads_);
        EXPECT_EQ(difference(made.run(*backend_, threads_), wanted), "") << made.what();
      }
    }
  }
}

/// Queries over the keys of another text: positions of their own, as many keys as that text has.
TEST_P(AttentionTest, QueriesOverAnotherTextGiveTheReferenceBits) {
  Random random(25);
  for (const DType dtype : weight_dtypes) {
    const Scene made = scene(random, dtype, 8, 8, 32, 0, {77, 40});
    made.write(*reference_, threads_, made.whole());
    for (const std::int64_t rows : {1, 2, 40, 77}) {
      std::vector<SequenceSpan> spans = made.whole();
      spans[0].rows = rows;
      spans[0].keys = 77;
      spans[0].position_begin = 500;
      spans[1].rows = std::min<std::int64_t>(rows, 40);
      spans[1].keys = 1;
      Floats wanted(made.q.size(), -7.0f);
      Floats out(made.q.size(), -7.0f);
      made.attend(*reference_, threads_, spans, wanted);
      made.attend(*backend_, threads_, spans, out);
      ASSERT_EQ(difference(out, wanted), "") << rows << " rows " << name_of(dtype);
    }
  }
}

TEST_P(AttentionTest, GivesTheReferenceBits) {
  Random random(12);
  for (const DType dtype : weight_dtypes) {
    for (const std::int64_t length : {1, 31, 32, 33, 64, 65, 100}) {
      for (const auto& [heads, kv_heads, dim] :
           {std::tuple{4, 4, 16}, {8, 2, 64}, {7, 1, 24}, {3, 2, 1}, {2, 1, 80}, {14, 2, 128}}) {
        const std::int64_t window = random.integer(0, 1) == 0 ? 0 : random.integer(1, 70);
        const Scene made = scene(random, dtype, heads, kv_heads, dim, window, {length, 3});
        const Floats wanted = made.run(*reference_, threads_);
        EXPECT_EQ(difference(made.run(*backend_, threads_), wanted), "") << made.what();
      }
    }
  }
}

/// The last `rows` tokens of a long sequence, in steps of whatever size.
TEST_P(AttentionTest, LongContextsGiveTheReferenceBitsWithinABoundOfTheTruth) {
  Random random(18);
  int number = 0;
  for (const std::int64_t length : {1, 40, 63, 64, 511, 1000, 3000}) {
    for (const auto& [heads, kv_heads, dim] :
         {std::tuple{4, 1, 64}, {2, 2, 80}, {3, 1, 128}, {4, 2, 5}, {13, 1, 2}}) {
      const std::int64_t window = number++ % 2 == 0 ? 0 : random.integer(1, length + 1);
      const Scene made = scene(random, DType::bf16, heads, kv_heads, dim, window, {length});
      made.write(*reference_, threads_, made.whole());
      std::vector<SequenceSpan> last = made.whole();
      last[0].rows = std::min(length, length > 1000 ? 3 : random.integer(1, 40));
      last[0].position_begin = last[0].row_begin = length - last[0].rows;
      Floats wanted(made.q.size());
      Floats out(made.q.size());
      made.attend(*reference_, threads_, last, wanted);
      made.attend(*backend_, threads_, last, out);
      ASSERT_EQ(difference(out, wanted), "") << made.what() << " rows " << last[0].rows;
      for (std::int64_t head = 0; head < heads; ++head) {
        const Exact exact = oracle(made, 0, length - 1, head);
        for (std::int64_t d = 0; d < dim; ++d) {
          const std::int64_t at = ((length - 1) * heads + head) * dim + d;
          ASSERT_NEAR(double{out[static_cast<std::size_t>(at)]},
                      exact.out[static_cast<std::size_t>(d)], tolerance(made, exact.largest_value))
              << made.what();
        }
      }
    }
  }
}

/// Scores that climb, in steps below and above what is borne without scaling, and that fall.
TEST_P(AttentionTest, ClimbingScoresGiveTheReferenceBits) {
  Random random(19);
  for (const float step : {0.01f, 0.15f, 0.4f, 3.0f, 40.0f, -0.4f, -5.0f}) {
    Scene made = scene(random, DType::bf16, 2, 1, 16, 0, {200});
    for (std::int64_t i = 0; i < 200; ++i) {
      for (std::int64_t d = 0; d < 32; ++d) made.q[static_cast<std::size_t>(i * 32 + d)] = 1.0f;
      made.k[static_cast<std::size_t>(i * 16)] = step * static_cast<float>(i);
    }
    const Floats wanted = made.run(*reference_, threads_);
    EXPECT_EQ(difference(made.run(*backend_, threads_), wanted), "") << step;
    for (const float value : wanted) ASSERT_TRUE(std::isfinite(value)) << step;
  }
}

/// Denormals count as zero, but only after rounding to bfloat16: what that makes normal counts.
TEST_P(AttentionTest, QueriesAtTheEdgeOfDenormalsGiveTheReferenceBits) {
  Random random(22);
  Scene made = scene(random, DType::bf16, 2, 1, 16, 0, {64});
  constexpr float edge = 0x1p-126f / (0.3f * 1.44269504f);
  for (float& q : made.q) q = edge * (1.0f - 0x1p-11f * static_cast<float>(random.integer(0, 20)));
  for (float& k : made.k) k = k > 0 ? 0x1p127f : 0x1p126f;
  const Floats wanted = made.run(*reference_, threads_);
  EXPECT_EQ(difference(made.run(*backend_, threads_), wanted), "");
}

/// Where one key has all the weight the result is its value, whatever its weight rounds to.
TEST_P(AttentionTest, OneKeyGivesItsValue) {
  Random random(20);
  const Scene made = scene(random, DType::bf16, 8, 2, 20, 1, {70});
  const Floats out = made.run(*backend_, threads_);
  for (std::int64_t i = 0; i < 70 * 8 * 20; ++i) {
    const std::int64_t row = i / 160;
    const std::int64_t kv_head = i % 160 / 20 / 4;
    const float value =
        rounded(made.v[static_cast<std::size_t>((row * 2 + kv_head) * 20 + i % 20)], DType::bf16);
    ASSERT_EQ(out[static_cast<std::size_t>(i)], std::fpclassify(value) == FP_SUBNORMAL ? 0 : value);
  }
}

TEST_P(AttentionTest, KeysBehindTheWindowCannotShow) {
  Random random(21);
  for (const DType dtype : weight_dtypes) {
    for (const std::int64_t window : {1, 2, 7, 32, 33}) {
      Scene made = scene(random, dtype, 4, 2, 32, window, {80});
      const Floats clean = made.run(*backend_, threads_);
      for (std::int64_t seen_from = 1; seen_from + window < 80; seen_from += 7) {
        const auto poisoned_values = static_cast<std::size_t>(seen_from * 64);
        for (std::size_t i = 0; i < poisoned_values; ++i) {
          made.k[i] = std::nanf("");
          made.v[i] = HUGE_VALF;
        }
        const Floats poisoned = made.run(*backend_, threads_);
        const std::int64_t row = (seen_from + window - 1) * 128;
        EXPECT_EQ(difference(Floats(poisoned.begin() + row, poisoned.end()),
                             Floats(clean.begin() + row, clean.end())),
                  "")
            << made.what() << " from " << seen_from;
      }
    }
  }
}

TEST_P(AttentionTest, KeysThatAQueryDoesNotSeeCannotShow) {
  Random random(13);
  for (const DType dtype : weight_dtypes) {
    Scene made = scene(random, dtype, 4, 2, 32, 0, {50});
    const Floats clean = made.run(*backend_, threads_);
    // The last token's key and value are poisoned; only its own row may change.
    for (std::size_t i = 49 * 64; i < 50 * 64; ++i) {
      made.k[i] = HUGE_VALF;
      made.v[i] = std::nanf("");
    }
    Floats poisoned = made.run(*backend_, threads_);
    poisoned.resize(49 * 4 * 32);
    EXPECT_EQ(difference(poisoned, Floats(clean.begin(), clean.begin() + 49 * 4 * 32)), "");
  }
}

TEST_P(AttentionTest, InfiniteScoresGiveTheReferenceBits) {
  Random random(14);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const float large : {1e30f, 1e20f, -1e30f}) {
      Scene made = scene(random, dtype, 4, 2, 32, 0, {70});
      for (std::int64_t i = 0; i < 200; ++i) {
        made.q[static_cast<std::size_t>(random.integer(0, 70 * 128 - 1))] = 1e30f;
        made.k[static_cast<std::size_t>(random.integer(0, 70 * 64 - 1))] = large;
      }
      const Floats wanted = made.run(*reference_, threads_);
      EXPECT_EQ(difference(made.run(*backend_, threads_), wanted), "");
    }
  }
}

std::string bytes_of(const Buffer& buffer) {
  return {reinterpret_cast<const char*>(buffer.data()), buffer.size()};
}

/// Every backend.
class AttentionInvarianceTest : public DeviceTest {};

TEST_P(AttentionInvarianceTest, ChunksBatchesAndThreadsDoNotShow) {
  Random random(15);
  for (const DType dtype : weight_dtypes) {
    for (const std::int64_t window : {0, 45}) {
      const Scene made = scene(random, dtype, 6, 2, 32, window, {75, 40, 1, 64});
      const Floats wanted = made.run(*backend_, threads_);
      const std::string keys = bytes_of(made.k_cache);
      const std::string values = bytes_of(made.v_cache);
      for (int round = 0; round < 12; ++round) {
        std::memset(made.cache.k, 0xff, made.k_cache.size());
        std::memset(made.cache.v, 0xff, made.v_cache.size());
        ThreadPool threads(round % 3 + 1);
        Floats out(wanted.size(), -7.0f);
        // Each step takes up to `most` tokens of each sequence; the first round decodes one by one.
        const std::int64_t most = round == 0 ? 1 : random.integer(1, 70);
        std::vector<SequenceSpan> left = made.whole();
        for (bool more = true; more;) {
          std::vector<SequenceSpan> step;
          for (SequenceSpan& span : left) {
            SequenceSpan now = span;
            now.rows = std::min(span.rows, round == 0 ? 1 : random.integer(0, most));
            span.row_begin += now.rows;
            span.position_begin += now.rows;
            span.rows -= now.rows;
            if (now.rows > 0) step.push_back(now);
          }
          made.write(*backend_, threads, step);
          made.attend(*backend_, threads, step, out);
          more =
              std::any_of(left.begin(), left.end(), [](const auto& span) { return span.rows > 0; });
        }
        ASSERT_EQ(difference(out, wanted), "") << made.what() << " round " << round;
        ASSERT_TRUE(bytes_of(made.k_cache) == keys && bytes_of(made.v_cache) == values);
      }
    }
  }
}

TEST_P(AttentionInvarianceTest, AHeadDoesNotDependOnTheOthersOfItsRank) {
  Random random(16);
  const Scene whole = scene(random, DType::bf16, 8, 2, 32, 0, {70});
  const Floats wanted = whole.run(*backend_, threads_);
  // A rank that holds heads 3 to 5 holds both K/V heads.
  Scene part = scene(random, DType::bf16, 3, 2, 32, 0, {70});
  part.kv_head_of = {0, 1, 1};
  part.k = whole.k;
  part.v = whole.v;
  for (std::int64_t row = 0; row < 70; ++row) {
    std::copy_n(whole.q.begin() + (row * 8 + 3) * 32, 3 * 32, part.q.begin() + row * 3 * 32);
  }
  const Floats out = part.run(*backend_, threads_);
  for (std::int64_t row = 0; row < 70; ++row) {
    const auto got = out.begin() + row * 3 * 32;
    const auto want = wanted.begin() + (row * 8 + 3) * 32;
    ASSERT_EQ(difference(Floats(got, got + 96), Floats(want, want + 96)), "") << "row " << row;
  }
}

TEST_P(AttentionInvarianceTest, CacheHoldsRoundedValuesAndZeroTails) {
  Random random(17);
  for (const DType dtype : weight_dtypes) {
    const Scene made = scene(random, dtype, 4, 2, 20, 0, {40});
    made.write(*backend_, threads_, made.whole());
    const KvCacheView& cache = made.cache;
    Floats keys(static_cast<std::size_t>(cache.block_elements()));
    Floats values(keys.size());
    for (std::int64_t position = 0; position < 64; ++position) {
      const std::int64_t block = made.tables[0][static_cast<std::size_t>(position / 32)];
      const std::size_t offset =
          static_cast<std::size_t>(block * cache.block_elements()) * size_of(dtype);
      convert_to_f32(cache.k + offset, dtype, keys.data(), keys.size());
      convert_to_f32(cache.v + offset, dtype, values.data(), values.size());
      for (std::int64_t i = 0; i < 2 * 32; ++i) {
        const std::int64_t head = i / 32;
        const std::int64_t d = i % 32;  // 20 to 31 are padding
        const bool real = position < 40 && d < 20;
        const auto at = static_cast<std::size_t>((position * 2 + head) * 20 + d);
        const std::int64_t slot = position % 32;
        EXPECT_EQ(keys[static_cast<std::size_t>(head * 32 * 32 + cache.k_index(slot, d))],
                  real ? rounded(made.k[at], dtype) : 0.0f);
        EXPECT_EQ(values[static_cast<std::size_t>(head * 32 * 32 + cache.v_index(slot, d))],
                  real ? rounded(made.v[at], dtype) : 0.0f);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, AttentionTest, testing::ValuesIn(exact_backends()), test_name);
INSTANTIATE_TEST_SUITE_P(Isa, AttentionInvarianceTest, testing::ValuesIn(available_backends()),
                         test_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(AttentionTest);

}  // namespace
}  // namespace trireme::test
