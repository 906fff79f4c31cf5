#include "trireme/tensor.h"

#include <gtest/gtest.h>

#include "support/scratch.h"

namespace trireme {
namespace {

TEST(HostTensor, HoldsTypedElements) {
  HostTensor tensor({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  EXPECT_EQ(tensor.dtype(), TensorDType::float32);
  EXPECT_EQ(tensor.elements(), 6);
  EXPECT_EQ(tensor.rows(), 2);
  EXPECT_EQ(tensor.bytes().size(), 24u);
  tensor.values<float>()[4] = 50;
  EXPECT_EQ(std::as_const(tensor).values<float>()[4], 50);
  EXPECT_EQ(tensor.description(), "float32 [2, 3]");
  expect_contains(message_of(ErrorKind::usage, [&] { tensor.values<double>(); }), "float32 [2, 3]");
}

TEST(HostTensor, TypesOfElements) {
  EXPECT_EQ(dtype_of<bool>(), TensorDType::boolean);
  EXPECT_EQ(dtype_of<std::int64_t>(), TensorDType::int64);
  EXPECT_EQ(dtype_of<std::uint8_t>(), TensorDType::uint8);
  EXPECT_EQ(HostTensor({1}, std::vector<bool>{true}).values<bool>()[0], true);
  HostTensor half(TensorDType::float16, {2});
  EXPECT_EQ(half.values<std::uint16_t>().size(), 2u);
  message_of(ErrorKind::usage, [&] { half.values<std::int16_t>(); });
}

TEST(HostTensor, ShapesThatCannotBe) {
  message_of(ErrorKind::usage, [] { HostTensor(TensorDType::int8, {2, -1}); });
  message_of(ErrorKind::usage, [] { HostTensor(TensorDType::float64, {1 << 30, 1 << 30, 4}); });
  message_of(ErrorKind::usage, [] { HostTensor({2}, std::vector<float>{1}); });
  EXPECT_EQ(HostTensor(TensorDType::float64, {std::int64_t{1} << 60, 0, std::int64_t{1} << 60})
                .elements(),
            0);
  EXPECT_EQ(HostTensor(TensorDType::float64, {}).elements(), 1);
  EXPECT_EQ(HostTensor().elements(), 0);
}

TEST(HostTensor, Rows) {
  const HostTensor tensor({3, 2}, std::vector<std::int32_t>{1, 2, 3, 4, 5, 6});
  EXPECT_EQ(tensor.slice_rows(1, 2), HostTensor({1, 2}, std::vector<std::int32_t>{3, 4}));
  EXPECT_EQ(tensor.slice_rows(1, 1, 2), HostTensor({2, 2}, std::vector<std::int32_t>{5, 6, 5, 6}));
  EXPECT_EQ(tensor.slice_rows(3, 3).shape(), (std::vector<std::int64_t>{0, 2}));
  message_of(ErrorKind::usage, [&] { tensor.slice_rows(2, 4); });
  message_of(ErrorKind::usage, [&] { HostTensor().slice_rows(0, 0, 1); });
}

}  // namespace
}  // namespace trireme
