// Weights packed for a GPU: what is unpacked, on the host or in a kernel, is what the CPU's packing
// holds, bit for bit, and four bits are four bits.
#include "kernels/cuda/weights.h"

#include "../device/support.h"
#include "kernels/cuda/weights_device.h"
#include "support.h"

namespace trireme::cuda {
namespace {

using trireme::test::Floats;
using trireme::test::Format;
using trireme::test::Matrix;
using trireme::test::Random;

std::vector<std::byte> packed_for_gpu(const Matrix& matrix) {
  const MatrixShape& shape = matrix.shape;
  const DType stored = shape.group > 0 ? DType::f32 : shape.dtype;
  const std::vector<std::byte> source = trireme::test::encoded(matrix.source, stored);
  const std::size_t row_bytes = static_cast<std::size_t>(shape.k()) * size_of(stored);
  std::vector<std::byte> packed(packed_bytes(shape), std::byte{0xff});
  for (std::int64_t panel = 0; panel * panel_rows < shape.n; ++panel) {
    pack_panel(shape, panel,
               source.data() + static_cast<std::size_t>(panel * panel_rows) * row_bytes,
               packed.data() + static_cast<std::size_t>(panel) * panel_bytes(shape));
  }
  return packed;
}

const std::vector<std::vector<std::int64_t>> shardings = {
    {1}, {63}, {64}, {65}, {256, 256, 100}, {5, 0, 40, 513}, {0}, {}};

TEST(PackedWeights, HoldWhatTheCpuPacked) {
  Random random(1);
  for (const Format& format : trireme::test::weight_formats) {
    for (const auto& shards : shardings) {
      for (const std::int64_t n : {1, 63, 64, 65, 130}) {
        const Matrix matrix(random, n, shards, format);
        const std::vector<std::byte> packed = packed_for_gpu(matrix);
        Floats plain(matrix.plain.size());
        for (std::int64_t row = 0; row < n; ++row) {
          unpack_row(matrix.shape, row, packed.data(), plain.data() + row * matrix.shape.k());
        }
        EXPECT_EQ(trireme::test::difference(plain, matrix.plain), "")
            << trireme::test::name_of(format) << " n " << n;
      }
    }
  }
}

TEST(PackedWeights, InfinitiesMakeTheirGroupNan) {
  Random random(2);
  for (const DType dtype : {DType::i8, DType::i4}) {
    Matrix matrix(random, 3, {100}, {dtype, 64});
    matrix.source[70] = INFINITY;
    matrix.pack();
    const std::vector<std::byte> packed = packed_for_gpu(matrix);
    Floats row(100);
    unpack_row(matrix.shape, 0, packed.data(), row.data());
    EXPECT_EQ(
        trireme::test::difference(row, Floats(matrix.plain.begin(), matrix.plain.begin() + 100)),
        "");
    EXPECT_FALSE(std::isnan(row[63]));
    EXPECT_TRUE(std::isnan(row[64]));
  }
}

/// Whatever is not a weight is zero: padded k, and rows beyond n.
TEST(PackedWeights, FillUpWithZeros) {
  Random random(3);
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    const Matrix matrix(random, 2, {3, 70}, dtype);
    const std::vector<std::byte> packed = packed_for_gpu(matrix);
    const std::size_t element = size_of(dtype);
    ASSERT_EQ(packed.size(), 64 * (64 + 128) * element);
    std::size_t others = 0;
    for (std::size_t i = 0; i < packed.size(); ++i) {
      const std::size_t row = i / element / 192;
      const std::size_t k = i / element % 192;
      const bool weight = row < 2 && (k < 3 || (k >= 64 && k < 64 + 70));
      if (!weight && packed[i] != std::byte{0}) ++others;
    }
    EXPECT_EQ(others, 0u);
  }
  for (const DType dtype : {DType::i8, DType::i4, DType::u4}) {
    const Matrix matrix(random, 1, {40}, {dtype, 64});
    const std::vector<std::byte> packed = packed_for_gpu(matrix);
    const PackedLayout layout(matrix.shape);
    std::size_t used = 0;
    for (const std::byte byte : packed) used += byte != std::byte{0} ? 1 : 0;
    EXPECT_LE(used, (dtype == DType::i8 ? 40u : 20u) + 3);
    EXPECT_EQ(layout.blocks(), 2);
    EXPECT_EQ(packed.size(), static_cast<std::size_t>(2 * layout.strip_bytes()));
  }
}

TEST(PackedWeights, TakeTheirBits) {
  const auto bytes = [](DType dtype, std::int64_t group) {
    return static_cast<double>(packed_bytes({4096, {2048, 2048}, dtype, group})) / (4096.0 * 4096);
  };
  EXPECT_EQ(bytes(DType::f32, 0), 4);
  EXPECT_EQ(bytes(DType::bf16, 0), 2);
  EXPECT_EQ(bytes(DType::i8, 256), 1 + 2.0 / 256);
  EXPECT_EQ(bytes(DType::i4, 64), 0.5 + 2.0 / 64);
  EXPECT_EQ(bytes(DType::u4, 128), 0.5 + 3.0 / 128);
}

__global__ void unpack_kernel(PackedLayout layout, const std::byte* packed, float* out) {
  for (std::int64_t row = blockIdx.x; row < layout.n; row += gridDim.x) {
    for (std::int32_t k = static_cast<std::int32_t>(threadIdx.x); k < layout.k(); k += 32) {
      out[row * layout.k() + k] = weight_at(layout, packed, row, k);
    }
  }
}

using CudaWeights = test::CudaTest;

TEST_F(CudaWeights, AreFoundByKernels) {
  Random random(4);
  for (const Format& format : trireme::test::weight_formats) {
    for (const auto& shards : shardings) {
      const Matrix matrix(random, 67, shards, format);
      test::TestContext context;
      const std::byte* packed = context.device(packed_for_gpu(matrix));
      float* out = context.room<float>(67 * matrix.shape.k());
      launch(unpack_kernel, dim3(8), dim3(32), 0, context.stream, PackedLayout(matrix.shape),
             packed, out);
      check_launch("unpack");
      const Floats got = context.host(out, 67 * matrix.shape.k());
      EXPECT_EQ(trireme::test::difference(got, matrix.plain), "") << trireme::test::name_of(format);
    }
  }
}

}  // namespace
}  // namespace trireme::cuda
