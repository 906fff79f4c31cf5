// Made-up weights: the same for every slice and run, spread as asked, and frozen.
#include <cmath>
#include <cstring>

#include "support/scratch.h"
#include "weights/tensor_source.h"

namespace trireme {
namespace {

template <typename T>
std::vector<T> read_all(const TensorSource& source, const char* name, Range rows, Range cols) {
  std::vector<T> values(static_cast<std::size_t>(rows.size() * cols.size()));
  source.read(*source.find(name), rows, cols, reinterpret_cast<std::byte*>(values.data()));
  return values;
}

TEST(DummySource, SlicesEqualTheWhole) {
  const auto source = make_dummy_source({{"w", DType::f32, {13, 3, 5}}}, 7);
  const auto whole = read_all<float>(*source, "w", {0, 13}, {0, 15});
  const auto slice = read_all<float>(*source, "w", {4, 11}, {2, 9});
  for (std::size_t i = 0; i < slice.size(); ++i) {
    EXPECT_EQ(slice[i], whole[(4 + i / 7) * 15 + 2 + i % 7]);
  }
  EXPECT_EQ(source->bytes_read(), (13 * 15 + 49) * 4);
}

TEST(DummySource, LongRowsEqualSingleElements) {
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
    const auto source = make_dummy_source({{"w", dtype, {2, 777}}}, 5);
    const TensorInfo& w = *source->find("w");
    const std::size_t unit = size_of(dtype);
    std::vector<std::byte> whole(2 * 777 * unit);
    source->read(w, {0, 2}, {0, 777}, whole.data());
    std::vector<std::byte> one(unit);
    for (std::int64_t i = 0; i < 2 * 777; ++i) {
      source->read(w, {i / 777, i / 777 + 1}, {i % 777, i % 777 + 1}, one.data());
      EXPECT_EQ(std::memcmp(one.data(), whole.data() + i * unit, unit), 0) << "element " << i;
    }
  }
}

TEST(DummySource, HasTheWantedMeanAndDeviation) {
  const auto source = make_dummy_source({{"w", DType::f32, {1000, 1000}, 1.0f, 0.5f}}, 3);
  const auto values = read_all<float>(*source, "w", {0, 1000}, {0, 1000});
  double sum = 0, squares = 0, fourth = 0;
  for (const float value : values) {
    const double x = (value - 1.0) / 0.5;
    sum += x;
    squares += x * x;
    fourth += x * x * x * x;
  }
  EXPECT_NEAR(sum / 1e6, 0, 0.005);
  EXPECT_NEAR(squares / 1e6, 1, 0.01);
  EXPECT_NEAR(fourth / 1e6, 3 - 0.3, 0.03);  // Irwin-Hall of four has excess kurtosis -0.3
}

TEST(DummySource, DependsOnSeedNameAndIndex) {
  const std::vector<DummyTensor> tensors = {{"a", DType::f32, {100}}, {"b", DType::f32, {100}}};
  const auto one = make_dummy_source(tensors, 1);
  const auto two = make_dummy_source(tensors, 2);
  const auto a1 = read_all<float>(*one, "a", {0, 1}, {0, 100});
  EXPECT_EQ(a1, read_all<float>(*make_dummy_source(tensors, 1), "a", {0, 1}, {0, 100}));
  EXPECT_NE(a1, read_all<float>(*one, "b", {0, 1}, {0, 100}));
  EXPECT_NE(a1, read_all<float>(*two, "a", {0, 1}, {0, 100}));
  EXPECT_NE(a1[0], a1[1]);
}

TEST(DummySource, RoundsToTheDtype) {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    const auto exact = make_dummy_source({{"w", DType::f32, {50}}}, 9);
    const auto rounded = make_dummy_source({{"w", dtype, {50}}}, 9);
    const auto a = read_all<float>(*exact, "w", {0, 1}, {0, 50});
    const auto b = read_all<std::uint16_t>(*rounded, "w", {0, 1}, {0, 50});
    for (std::size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(b[i], dtype == DType::bf16 ? f32_to_bf16(a[i]) : f32_to_f16(a[i]));
    }
  }
}

// Computed apart, with Python's integers. Benchmarks print hashes of outputs made with these
// weights: they may never change.
TEST(DummySource, IsFrozen) {
  const auto source = make_dummy_source({{"model.embed_tokens.weight", DType::f32, {4}}}, 0);
  const auto values = read_all<std::uint32_t>(*source, "model.embed_tokens.weight", {0, 1}, {0, 4});
  const std::vector<std::uint32_t> frozen = {1010335616u, 1014657006u, 3171457882u, 3133747693u};
  EXPECT_EQ(values, frozen);
}

TEST(DummySource, RefusesImpossibleTensors) {
  const std::int64_t big = std::int64_t{1} << 40;
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{big, big}, std::vector<std::int64_t>{-1}}) {
    const std::string message = message_of(ErrorKind::input, [&] {
      make_dummy_source({{"w", DType::f32, shape}}, 0);
    });
    EXPECT_NE(message.find("tensor w: shape"), std::string::npos) << message;
  }
  message_of(ErrorKind::input, [] { make_dummy_source({{"w", DType::i8, {1}}}, 0); });
}

}  // namespace
}  // namespace trireme
