// Attention and the paged cache on a GPU: the plain kernel against the reference bit for bit,
// tensor cores against double precision, and the invariance of both under chunking, batching and
// launch.
#include "kernels/cuda/attention.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "../device/support.h"
#include "kernels/cuda/attention_splits.h"
#include "kernels/cuda/attention_tiles.h"
#include "kernels/cuda/kv_cache.h"
#include "kernels/ops.h"
#include "support.h"

namespace trireme::cuda::test {
namespace {

using trireme::test::difference;
using trireme::test::Floats;
using trireme::test::Random;
using trireme::test::rounded;

constexpr float scale = 0.3f;
using Spans = std::vector<SequenceSpan>;

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

/// Blocks in any order, some of them nobody's.
std::vector<std::vector<std::int32_t>> scattered_blocks(Random& random,
                                                        const std::vector<std::int64_t>& lengths,
                                                        std::int64_t& blocks) {
  blocks = 2;
  for (const std::int64_t length : lengths) blocks += ceil_div(length, 32);
  std::vector<std::int32_t> free;
  for (std::int64_t i = 0; i < blocks; ++i) free.push_back(static_cast<std::int32_t>(i));
  for (std::size_t i = free.size(); i > 1; --i) {
    std::swap(free[i - 1], free[at(random.integer(0, static_cast<std::int64_t>(i) - 1))]);
  }
  std::vector<std::vector<std::int32_t>> tables;
  for (const std::int64_t length : lengths) {
    const std::int64_t count = ceil_div(length, 32);
    tables.emplace_back(free.end() - count, free.end());
    free.resize(free.size() - at(count));
  }
  return tables;
}

struct Shape {
  DType dtype = DType::f32;
  std::vector<std::int32_t> kv_head_of = {0, 0};
  std::int64_t kv_heads = 1;
  std::int64_t head_dim = 16;
  std::int64_t window = 0;
  bool causal = true;  ///< else every query sees all keys of its sequence
  bool distances = false;
  std::vector<std::int64_t> lengths;
};

/// Some sequences with all their queries, keys and values.
struct Scene {
  Shape shape;
  std::int64_t heads = 0;
  std::int64_t tokens = 0;
  std::int64_t blocks = 0;
  Floats q;  ///< [tokens, ldq()]
  Floats k;  ///< [tokens, kv_heads * head_dim]
  Floats v;
  std::vector<std::vector<std::int32_t>> tables;
  ScoreDistances distances;
  Floats distance_table;

  Scene(Random& random, Shape its_shape) : shape(std::move(its_shape)) {
    heads = static_cast<std::int64_t>(shape.kv_head_of.size());
    for (const std::int64_t length : shape.lengths) tokens += length;
    q = random.values(tokens * ldq());
    k = random.values(tokens * shape.kv_heads * shape.head_dim);
    v = random.values(tokens * shape.kv_heads * shape.head_dim);
    tables = scattered_blocks(random, shape.lengths, blocks);
    if (shape.distances) add_distances(random);
  }

  void add_distances(Random& random) {
    distances.reach = random.integer(0, 2) * random.integer(1, 100);
    distance_table = random.values(heads * distances.columns());
    for (std::int64_t i = 0; i < heads * distances.columns(); ++i) {
      const std::int64_t column = i % distances.columns();
      const std::int64_t inside =
          std::clamp(column, distances.column(-distances.reach), distances.column(distances.reach));
      distance_table[at(i)] = distance_table[at(i - column + inside)];
    }
  }

  KvCacheView cache() const {
    return {nullptr, nullptr, shape.kv_heads, shape.head_dim, shape.dtype};
  }
  std::int64_t cache_bytes() const {
    return blocks * cache().block_elements() * static_cast<std::int64_t>(size_of(shape.dtype));
  }
  // Rows are wider than what they hold: queries lie beside keys, and others may write beside
  // results.
  std::int64_t ldq() const { return heads * shape.head_dim + 5; }
  std::int64_t ldo() const { return heads * shape.head_dim + 3; }
  std::int64_t out_size() const { return tokens * ldo(); }

  std::int64_t first_row(std::size_t sequence) const {
    std::int64_t row = 0;
    for (std::size_t i = 0; i < sequence; ++i) row += shape.lengths[i];
    return row;
  }

  /// Tokens [begin, end) of a sequence.
  SequenceSpan span(std::size_t sequence, std::int64_t begin, std::int64_t end) const {
    return {first_row(sequence) + begin, end - begin, begin, tables[sequence].data(),
            shape.causal ? 0 : shape.lengths[sequence]};
  }
  Spans whole() const {
    Spans spans;
    for (std::size_t i = 0; i < shape.lengths.size(); ++i) {
      spans.push_back(span(i, 0, shape.lengths[i]));
    }
    return spans;
  }
  /// Steps of any size, all sequences at once, until all tokens have had their turn.
  std::vector<Spans> chunks(Random& random, std::int64_t most) const {
    std::vector<std::int64_t> done(shape.lengths.size());
    std::vector<Spans> steps;
    while (done != shape.lengths) {
      Spans spans;
      for (std::size_t i = 0; i < done.size(); ++i) {
        const std::int64_t end = std::min(shape.lengths[i], done[i] + random.integer(0, most));
        spans.push_back(span(i, done[i], end));
        done[i] = end;
      }
      steps.push_back(spans);
    }
    return steps;
  }

  KvWriteArgs write_args(const Spans& spans) const {
    return {k.data(), v.data(), shape.kv_heads * shape.head_dim, cache(), spans};
  }
  AttentionArgs attention_args(const Spans& spans) const {
    return {.q = q.data(),
            .ldq = ldq(),
            .out = nullptr,
            .ldo = ldo(),
            .heads = heads,
            .kv_head_of = shape.kv_head_of,
            .cache = cache(),
            .scale = scale,
            .window = shape.window,
            .distances = {shape.distances ? distance_table.data() : nullptr, distances.reach},
            .sequences = spans};
  }
  /// What the reference backend makes of it.
  Floats reference() const {
    const auto backend = make_backend("reference");
    ThreadPool threads(1);
    std::vector<std::byte> k_cache(at(cache_bytes()), std::byte{0xff});
    std::vector<std::byte> v_cache = k_cache;
    const Spans spans = whole();
    KvWriteArgs write = write_args(spans);
    AttentionArgs args = attention_args(spans);
    write.cache.k = args.cache.k = k_cache.data();
    write.cache.v = args.cache.v = v_cache.data();
    Floats out(at(out_size()), -7.0f);
    args.out = out.data();
    check_kv_write(write);
    check_attention(args);
    backend->kv_write(threads, write);
    backend->attention(threads, args);
    return out;
  }

  std::string what() const {
    return fmt::format("{} heads {}/{} dim {} window {} length {}{}{}", name_of(shape.dtype), heads,
                       shape.kv_heads, shape.head_dim, shape.window, shape.lengths[0],
                       shape.causal ? "" : " both ways", shape.distances ? " distances" : "");
  }
};

using Attention = std::function<void(Context&, const AttentionArgs&)>;

/// A scene on the GPU: an empty cache of its own.
struct DeviceScene {
  const Scene& scene;
  TestContext& context;
  const float* q;
  const float* k;
  const float* v;
  const float* distances = nullptr;
  std::byte* k_cache;
  std::byte* v_cache;
  float* out;

  DeviceScene(TestContext& on, const Scene& its_scene) : scene(its_scene), context(on) {
    q = context.device(scene.q);
    k = context.device(scene.k);
    v = context.device(scene.v);
    if (scene.shape.distances) distances = context.device(scene.distance_table);
    k_cache = context.room<std::byte>(scene.cache_bytes());
    v_cache = context.room<std::byte>(scene.cache_bytes());
    out = context.device(Floats(at(scene.out_size()), -7.0f));
  }

  void write(const Spans& spans) {
    KvWriteArgs args = scene.write_args(spans);
    args.k = k;
    args.v = v;
    args.cache.k = k_cache;
    args.cache.v = v_cache;
    kv_write(context, args);
  }
  void attend(const Spans& spans, const Attention& function = attention) {
    AttentionArgs args = scene.attention_args(spans);
    args.q = q;
    args.out = out;
    args.cache.k = k_cache;
    args.cache.v = v_cache;
    args.distances.table = distances;
    function(context, args);
  }
  Floats result() { return context.host(out, scene.out_size()); }

  Floats run(const std::vector<Spans>& steps, const Attention& function = attention) {
    for (const Spans& spans : steps) {
      write(spans);
      attend(spans, function);
    }
    return result();
  }
};

Floats run(TestContext& context, const Scene& scene, const std::vector<Spans>& steps,
           const Attention& function = attention) {
  return DeviceScene(context, scene).run(steps, function);
}
Floats run(TestContext& context, const Scene& scene) {
  return run(context, scene, {scene.whole()});
}

const std::vector<std::int32_t> two_of_one = {0, 0};
const std::vector<std::int32_t> odd_map = {2, 0, 2, 1, 0, 2};
const std::vector<std::int32_t> seven_of_one = {0, 0, 0, 0, 0, 0, 0};
const std::vector<std::int32_t> one_each = {1, 0};

Shape shape_of(DType dtype, const std::vector<std::int32_t>& map, std::int64_t head_dim,
               std::int64_t window, std::vector<std::int64_t> lengths) {
  Shape shape;
  shape.dtype = dtype;
  shape.kv_head_of = map;
  shape.kv_heads = *std::max_element(map.begin(), map.end()) + 1;
  shape.head_dim = head_dim;
  shape.window = window;
  shape.lengths = std::move(lengths);
  return shape;
}

constexpr DType cache_dtypes[] = {DType::f32, DType::bf16, DType::f16};
constexpr DType half_dtypes[] = {DType::bf16, DType::f16};

// --- The cache ---

/// What the cache has to hold once `spans` are written: 0xff where nobody has written.
std::vector<std::byte> expected_cache(const Scene& scene, const Floats& values) {
  const KvCacheView cache = scene.cache();
  const std::int64_t stride = cache.head_stride();
  const std::size_t size = size_of(cache.dtype);
  std::vector<std::byte> bytes(at(scene.cache_bytes()), std::byte{0xff});
  const auto put = [&](std::int64_t element, float value) {
    const std::vector<std::byte> encoded = trireme::test::encoded({value}, cache.dtype);
    std::copy(encoded.begin(), encoded.end(), bytes.begin() + element * static_cast<int>(size));
  };
  for (std::size_t i = 0; i < scene.tables.size(); ++i) {
    const std::int64_t length = scene.shape.lengths[i];
    for (std::int64_t position = 0; position < round_up(length, 32); ++position) {
      const std::int64_t block = scene.tables[i][at(position / 32)];
      for (std::int64_t c = 0; c < cache.kv_heads * stride; ++c) {
        const std::int64_t head = c / stride;
        const std::int64_t d = c % stride;
        const std::int64_t from =
            ((scene.first_row(i) + position) * cache.kv_heads + head) * cache.head_dim + d;
        put(((block * cache.kv_heads + head) * 32 + position % 32) * stride + d,
            position < length && d < cache.head_dim ? values[at(from)] : 0.0f);
      }
    }
  }
  return bytes;
}

TEST_F(CudaTest, CacheHoldsWhatIsWrittenAndZeros) {
  Random random(1);
  for (const DType dtype : cache_dtypes) {
    for (const std::int64_t head_dim : {1, 16, 20, 64}) {
      const Scene scene(random, shape_of(dtype, odd_map, head_dim, 0, {1, 31, 32, 0, 33, 100}));
      for (const std::int64_t most : {200, 40, 3}) {
        TestContext context;
        DeviceScene device(context, scene);
        for (const Spans& spans : scene.chunks(random, most)) device.write(spans);
        const std::int64_t bytes = scene.cache_bytes();
        EXPECT_TRUE(context.host(device.k_cache, bytes) == expected_cache(scene, scene.k));
        EXPECT_TRUE(context.host(device.v_cache, bytes) == expected_cache(scene, scene.v));
      }
    }
  }
}

/// [q heads | k heads | v heads] of each row, as a model's product leaves them.
TEST_F(CudaTest, RopeAndWriteTogetherGiveTheBitsOfOneAfterTheOther) {
  Random random(2);
  const auto backend = make_backend("reference");
  ThreadPool threads(1);
  for (const DType dtype : cache_dtypes) {
    for (const auto& [head_dim, rotary_dim] : {std::pair{16, 16}, {20, 12}, {80, 80}, {5, 0}}) {
      Scene scene(random, shape_of(dtype, odd_map, head_dim, 0, {40, 3, 33}));
      const std::int64_t half = rotary_dim / 2;
      const std::int64_t kv_heads = scene.shape.kv_heads;
      const std::int64_t ld = (scene.heads + 2 * kv_heads) * head_dim + 1;
      const std::int64_t k_column = scene.heads * head_dim;
      const std::int64_t v_column = k_column + kv_heads * head_dim;
      const Floats before = random.values(scene.tokens * ld);
      const Floats cos = random.values(200 * half);
      const Floats sin = random.values(200 * half);
      std::vector<std::int32_t> positions;
      for (std::int64_t i = 0; i < scene.tokens; ++i) {
        positions.push_back(static_cast<std::int32_t>(random.integer(0, 199)));
      }

      TestContext context;
      DeviceScene device(context, scene);
      float* const x = context.device(before);
      const Spans spans = scene.whole();
      KvWriteArgs write = scene.write_args(spans);
      write.k = x + k_column;
      write.v = x + v_column;
      write.ld = ld;
      write.cache.k = device.k_cache;
      write.cache.v = device.v_cache;
      RopeArgs rope{x,
                    ld,
                    scene.heads + kv_heads,
                    head_dim,
                    rotary_dim,
                    context.device(cos),
                    context.device(sin),
                    positions};
      rope_kv_write(context, rope, write);

      Floats qkv = before;
      rope.x = qkv.data();
      rope.cos = cos.data();
      rope.sin = sin.data();
      backend->rope(threads, rope);
      EXPECT_EQ(difference(context.host(x, scene.tokens * ld), qkv), "");
      for (std::int64_t row = 0; row < scene.tokens; ++row) {
        for (std::int64_t c = 0; c < kv_heads * head_dim; ++c) {
          scene.k[at(row * kv_heads * head_dim + c)] = qkv[at(row * ld + k_column + c)];
          scene.v[at(row * kv_heads * head_dim + c)] = qkv[at(row * ld + v_column + c)];
        }
      }
      const std::int64_t bytes = scene.cache_bytes();
      EXPECT_TRUE(context.host(device.k_cache, bytes) == expected_cache(scene, scene.k));
      EXPECT_TRUE(context.host(device.v_cache, bytes) == expected_cache(scene, scene.v));
    }
  }
}

// --- Without tensor cores ---

void expect_reference_bits(Random& random, const Scene& scene) {
  const Floats wanted = scene.reference();
  for (const std::int64_t most : {1000, 40, 1}) {
    if (most == 1 && scene.tokens > 40) continue;
    TestContext context;
    context.traits.compute_capability = 75;
    const bool whole = most == 1000 || !scene.shape.causal;
    const Floats got =
        run(context, scene, whole ? std::vector<Spans>{scene.whole()} : scene.chunks(random, most));
    EXPECT_EQ(difference(got, wanted), "") << scene.what() << " in steps of " << most;
  }
}

TEST_F(CudaTest, PlainAttentionGivesTheReferenceBits) {
  Random random(3);
  for (const DType dtype : cache_dtypes) {
    for (const std::int64_t length : {1, 31, 32, 33, 70}) {
      for (const auto& [map, head_dim] :
           {std::pair{odd_map, 16}, {seven_of_one, 24}, {two_of_one, 1}, {one_each, 80}}) {
        const std::int64_t window = random.integer(0, 1) * random.integer(1, 70);
        expect_reference_bits(
            random, Scene(random, shape_of(dtype, map, head_dim, window, {length, 0, 3})));
      }
    }
    for (const std::int64_t window : {1, 31, 32, 33, 100}) {
      expect_reference_bits(random,
                            Scene(random, shape_of(dtype, two_of_one, 20, window, {130, 5})));
    }
    expect_reference_bits(random, Scene(random, shape_of(dtype, two_of_one, 130, 0, {33, 5})));
    expect_reference_bits(random, Scene(random, shape_of(dtype, seven_of_one, 256, 0, {20, 5})));
    expect_reference_bits(random, Scene(random, shape_of(dtype, two_of_one, 16, 0, {257})));
  }
}

TEST_F(CudaTest, PlainAttentionBothWaysAndWithDistancesGivesTheReferenceBits) {
  Random random(4);
  for (const DType dtype : cache_dtypes) {
    for (const std::int64_t length : {1, 40}) {
      for (const int mode : {1, 2, 3}) {
        Shape shape = shape_of(dtype, odd_map, 20, 0, {length, 33});
        shape.causal = (mode & 1) == 0;
        shape.distances = (mode & 2) != 0;
        expect_reference_bits(random, Scene(random, shape));
      }
    }
  }
}

// --- On tensor cores ---

/// What a result in double precision may be off by, as a part of the largest value that is seen:
/// weights are rounded to the cache's dtype.
double tolerance(DType dtype) { return dtype == DType::bf16 ? 0x1.1p-8 : 0x1.2p-11; }

/// q times the scale as scores see it: rounded, and in powers of two.
double scaled_query(DType dtype, float q) {
  constexpr float log2_e = 1.44269504f;
  return double{rounded(q * (scale * log2_e), dtype)} / double{log2_e};
}

/// Checks one query of one head against double precision, from the rounded keys and values.
void expect_near_double(const Scene& scene, const Floats& out, const SequenceSpan& span,
                        std::int64_t first_row, std::int64_t row, std::int64_t head) {
  const Shape& shape = scene.shape;
  const std::int64_t dim = shape.head_dim;
  const std::int64_t position = span.position_begin + row;
  const std::int64_t last = span.keys > 0 ? span.keys - 1 : position;
  const std::int64_t begin = span.keys > 0 || shape.window == 0
                                 ? 0
                                 : std::max<std::int64_t>(0, position - shape.window + 1);
  const std::int64_t kv = shape.kv_head_of[at(head)];
  const auto cached = [&](const Floats& values, std::int64_t key, std::int64_t d) {
    return double{
        rounded(values[at(((first_row + key) * shape.kv_heads + kv) * dim + d)], shape.dtype)};
  };
  std::vector<double> weights;
  for (std::int64_t key = begin; key <= last; ++key) {
    double score = 0;
    for (std::int64_t d = 0; d < dim; ++d) {
      const float q = scene.q[at((span.row_begin + row) * scene.ldq() + head * dim + d)];
      score += scaled_query(shape.dtype, q) * cached(scene.k, key, d);
    }
    if (shape.distances) {
      const std::int64_t reach = scene.distances.reach;
      const std::int64_t column = scene.distances.column(std::clamp(key - position, -reach, reach));
      score += double{scene.distance_table[at(head * scene.distances.columns() + column)]};
    }
    weights.push_back(score);
  }
  const double most = *std::max_element(weights.begin(), weights.end());
  double sum = 0;
  for (double& weight : weights) sum += weight = std::exp(weight - most);
  for (std::int64_t d = 0; d < dim; ++d) {
    double wanted = 0;
    double largest = 0;
    for (std::int64_t key = begin; key <= last; ++key) {
      const double value = cached(scene.v, key, d);
      wanted += weights[at(key - begin)] / sum * value;
      largest = std::max(largest, std::abs(value));
    }
    const std::int64_t index = (span.row_begin + row) * scene.ldo() + head * dim + d;
    ASSERT_NEAR(double{out[at(index)]}, wanted, tolerance(shape.dtype) * largest)
        << scene.what() << " position " << position;
  }
}

void expect_near_double(const Scene& scene, const Floats& out) {
  const Spans spans = scene.whole();
  for (std::size_t i = 0; i < spans.size(); ++i) {
    for (std::int64_t row = 0; row < spans[i].rows; ++row) {
      for (std::int64_t head = 0; head < scene.heads; ++head) {
        expect_near_double(scene, out, spans[i], scene.first_row(i), row, head);
      }
      for (std::int64_t gap = 0; gap < 3; ++gap) {
        ASSERT_EQ(out[at((spans[i].row_begin + row + 1) * scene.ldo() - 1 - gap)], -7.0f);
      }
    }
  }
}

void all_by_tiles(Context& context, const AttentionArgs& args) {
  attention_tiles(context, args, 0);
}

/// All the same: any chunks, and the kernel of many rows for every row.
void expect_invariance(Random& random, const Scene& scene, const Floats& wanted) {
  for (const std::int64_t most : {64, 5, 1}) {
    if (most == 1 && scene.tokens > 100) continue;
    TestContext context;
    const std::vector<Spans> steps = scene.chunks(random, most);
    EXPECT_EQ(difference(run(context, scene, steps), wanted), "")
        << scene.what() << " in steps of " << most;
    EXPECT_LE(context.largest_scratch,
              attention_scratch_bytes(scene.heads, scene.shape.head_dim, scene.tokens,
                                      std::max<std::int64_t>(1024, scene.tokens)));
    if (most != 5) continue;
    EXPECT_EQ(difference(run(context, scene, steps, all_by_tiles), wanted), "") << scene.what();
  }
}

TEST_F(CudaTest, TensorCoresAgreeWithDoublePrecisionInAnyChunks) {
  Random random(5);
  for (const DType dtype : half_dtypes) {
    for (const auto& [map, head_dim] :
         {std::pair{odd_map, 16}, {seven_of_one, 20}, {two_of_one, 64}, {one_each, 80}}) {
      for (const std::int64_t window : {0, 33}) {
        const Scene scene(random, shape_of(dtype, map, head_dim, window, {33, 1, 0, 70}));
        TestContext context;
        const Floats out = run(context, scene);
        expect_near_double(scene, out);
        expect_invariance(random, scene, out);
      }
    }
  }
}

TEST_F(CudaTest, TensorCoresTakeEveryHeadDim) {
  Random random(6);
  int number = 0;
  for (const std::int64_t head_dim : {1, 5, 32, 96, 112, 128, 144, 192, 256}) {
    const DType dtype = half_dtypes[number++ % 2];
    const Scene scene(random, shape_of(dtype, two_of_one, head_dim, 0, {66}));
    TestContext context;
    const Floats out = run(context, scene);
    expect_near_double(scene, out);
    expect_invariance(random, scene, out);
  }
}

/// The last rows of long sequences, one after the other, against all at once.
TEST_F(CudaTest, LongContextsDecodeToTheBitsOfPrefill) {
  Random random(7);
  for (const std::int64_t window : {0, 1, 31, 32, 33, 100, 300}) {
    for (const DType dtype : half_dtypes) {
      if (dtype == DType::f16 && window != 300) continue;
      const Scene scene(random, shape_of(dtype, two_of_one, 32, window, {600, 257, 256, 255}));
      TestContext context;
      const Floats wanted = run(context, scene);
      DeviceScene device(context, scene);
      const std::vector<std::int64_t> begin = {590, 250, 250, 249};
      Spans first;
      for (std::size_t i = 0; i < begin.size(); ++i) first.push_back(scene.span(i, 0, begin[i]));
      device.write(first);
      device.attend(first);
      for (std::int64_t step = 0; step < 10; ++step) {
        Spans spans;
        for (std::size_t i = 0; i < begin.size(); ++i) {
          const std::int64_t row = begin[i] + step;
          if (row < scene.shape.lengths[i]) spans.push_back(scene.span(i, row, row + 1));
        }
        device.write(spans);
        device.attend(spans);
        for (const SequenceSpan& span : spans) {
          if (step % 5 != 0 || window % 100 != 0) continue;
          const std::int64_t first_row = span.row_begin - span.position_begin;
          expect_near_double(scene, wanted, span, first_row, 0, 1);
        }
      }
      EXPECT_EQ(difference(device.result(), wanted), "") << scene.what();
    }
  }
}

TEST_F(CudaTest, OneBlockForAllSplitsGivesTheBitsOfOneForEach) {
  Random random(8);
  for (const std::int64_t window : {0, 300}) {
    for (const std::int64_t head_dim : {64, 96, 128, 256}) {
      const Scene scene(random, shape_of(DType::bf16, one_each, head_dim, window, {800, 300}));
      TestContext context;
      DeviceScene device(context, scene);
      device.write(scene.whole());
      const Spans last = {scene.span(0, 795, 800), scene.span(1, 299, 300)};
      const auto results = [&](const Attention& function) {
        device.attend(last, function);
        return device.result();
      };
      const Floats wanted =
          results([](Context& on, const AttentionArgs& args) { attention_splits(on, args, 5); });
      EXPECT_EQ(difference(results([](Context& on, const AttentionArgs& args) {
                             attention_splits(on, args, 5, 0);
                           }),
                           wanted),
                "");
      EXPECT_EQ(difference(results(all_by_tiles), wanted), "");
      EXPECT_EQ(difference(results(attention), wanted), "");
    }
  }
}

TEST_F(CudaTest, TensorCoresBothWaysAndWithDistances) {
  Random random(9);
  for (const DType dtype : half_dtypes) {
    for (const std::int64_t length : {1, 65, 270}) {
      for (const int mode : {1, 2, 3}) {
        Shape shape = shape_of(dtype, one_each, 64, 0, {length, 40});
        shape.causal = (mode & 1) == 0;
        shape.distances = (mode & 2) != 0;
        const Scene scene(random, shape);
        TestContext context;
        const Floats out = run(context, scene);
        expect_near_double(scene, out);
        if (shape.causal) {
          expect_invariance(random, scene, out);
          continue;
        }
        // All keys are there before the first query.
        DeviceScene device(context, scene);
        device.write(scene.whole());
        for (const Spans& spans : scene.chunks(random, 7)) device.attend(spans);
        EXPECT_EQ(difference(device.result(), out), "") << scene.what();
      }
    }
  }
}

/// Queries over the keys of another text: positions of their own, as many keys as that text has.
TEST_F(CudaTest, QueriesOverAnotherText) {
  Random random(10);
  for (const DType dtype : cache_dtypes) {
    const Scene scene(random, shape_of(dtype, odd_map, 32, 0, {77, 40}));
    TestContext context;
    DeviceScene device(context, scene);
    device.write(scene.whole());
    Spans spans = scene.whole();
    for (SequenceSpan& span : spans) span.position_begin += 500;
    spans[0].keys = 77;
    spans[1].keys = 1;
    device.attend(spans);
    const Floats wanted = device.result();
    for (std::int64_t head = 0; head < scene.heads && dtype != DType::f32; ++head) {
      expect_near_double(scene, wanted, spans[0], 0, 40, head);
      expect_near_double(scene, wanted, spans[1], 77, 39, head);
    }
    for (std::int64_t row = 0; row < 40; row += 13) {
      Spans one = spans;
      for (SequenceSpan& span : one) {
        span.row_begin += row;
        span.rows = 1;
      }
      device.attend(one);
    }
    EXPECT_EQ(difference(device.result(), wanted), "");
  }
}

/// More heads to one K/V head than a product has rows.
TEST_F(CudaTest, ManyHeadsOfOneKeyHead) {
  Random random(11);
  const std::vector<std::int32_t> map(37, 0);
  for (const DType dtype : cache_dtypes) {
    const Scene scene(random, shape_of(dtype, map, 16, 0, {40}));
    TestContext context;
    const Floats out = run(context, scene);
    if (dtype == DType::f32) {
      EXPECT_EQ(difference(out, scene.reference()), "");
    } else {
      expect_near_double(scene, out);
      expect_invariance(random, scene, out);
    }
  }
}

/// Scores that climb and fall over many powers of two.
TEST_F(CudaTest, ExtremeScores) {
  Random random(12);
  for (const float step : {0.4f, 40.0f, -0.4f, -40.0f}) {
    Scene scene(random, shape_of(DType::bf16, two_of_one, 16, 0, {270}));
    for (std::int64_t i = 0; i < 270; ++i) {
      for (std::int64_t c = 0; c < 32; ++c) scene.q[at(i * scene.ldq() + c)] = 1.0f;
      scene.k[at(i * 16)] = step * static_cast<float>(i);
    }
    TestContext context;
    const Floats out = run(context, scene);
    for (const float value : out) ASSERT_TRUE(std::isfinite(value)) << step;
    expect_invariance(random, scene, out);
  }
}

/// What a query does not see may hold anything as a key, and anything finite as a value.
TEST_F(CudaTest, UnseenKeysCannotShow) {
  Random random(13);
  for (const DType dtype : cache_dtypes) {
    for (const std::int64_t window : {1, 7, 33}) {
      Scene scene(random, shape_of(dtype, two_of_one, 32, window, {90}));
      TestContext context;
      const Floats clean = run(context, scene);
      for (std::int64_t i = 0; i < 50 * 32; ++i) {
        scene.k[at(i)] = i % 3 == 0 ? HUGE_VALF : std::nanf("");
        scene.v[at(i)] = dtype == DType::f32 ? HUGE_VALF : 60000.0f;
      }
      const Floats poisoned = run(context, scene);
      const std::int64_t from = (50 + window - 1) * scene.ldo();
      EXPECT_EQ(difference(Floats(poisoned.begin() + from, poisoned.end()),
                           Floats(clean.begin() + from, clean.end())),
                "")
          << scene.what();
    }
  }
}

/// Where one key has all the weight the result is its value.
TEST_F(CudaTest, OneKeyGivesItsValue) {
  Random random(14);
  for (const DType dtype : half_dtypes) {
    const Scene scene(random, shape_of(dtype, odd_map, 20, 1, {70}));
    TestContext context;
    const Floats out = run(context, scene);
    for (std::int64_t i = 0; i < 70 * 6 * 20; ++i) {
      const std::int64_t row = i / 120;
      const std::int64_t head = i % 120 / 20;
      const std::int64_t from = (row * 3 + odd_map[at(head)]) * 20 + i % 20;
      ASSERT_EQ(out[at(row * scene.ldo() + i % 120)], rounded(scene.v[at(from)], dtype));
    }
  }
}

/// Steps without rows, heads or sequences ask for nothing.
TEST_F(CudaTest, NothingToDo) {
  Random random(15);
  const Scene scene(random, shape_of(DType::bf16, two_of_one, 16, 0, {5, 0}));
  TestContext context;
  DeviceScene device(context, scene);
  device.write({});
  device.attend({});
  device.write({scene.span(0, 0, 0), scene.span(1, 0, 0)});
  device.attend({scene.span(0, 0, 0), scene.span(1, 0, 0)});
  for (const float value : device.result()) ASSERT_EQ(value, -7.0f);
}

}  // namespace
}  // namespace trireme::cuda::test
