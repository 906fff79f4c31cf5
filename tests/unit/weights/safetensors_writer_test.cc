// What is written can be read back, is laid out as other readers expect, and is never half there.
#include "weights/safetensors_writer.h"

#include <sys/resource.h>

#include <csignal>
#include <cstring>

#include "support/scratch.h"
#include "weights/safetensors_file.h"
#include "weights/safetensors_format.h"

namespace trireme {
namespace {

TEST(SafetensorsWriter, RoundTripsEveryDtype) {
  const Scratch scratch;
  std::vector<std::byte> data(6 * 8);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 37);
  std::vector<TensorToWrite> tensors;
  for (const DType dtype :
       {DType::u8, DType::f32, DType::bf16, DType::f64, DType::f16, DType::i8, DType::i16,
        DType::u16, DType::i32, DType::u32, DType::i64, DType::u64, DType::boolean}) {
    tensors.push_back({"tensor \"" + std::string(name_of(dtype)) + "\" \xc3\xa9",
                       dtype,
                       {2, 3},
                       std::span(data).first(6 * size_of(dtype))});
  }
  tensors.push_back({"empty", DType::f32, {0, 3}, {}});
  tensors.push_back({"scalar", DType::f32, {}, std::span(data).first(4)});
  const auto path = scratch.path() / "out.safetensors";
  write_safetensors(path, tensors, {{"made by", "a test"}});
  EXPECT_EQ(SafetensorsFile(path).metadata().at("made by"), "a test");
  const auto source = open_safetensors(path);
  ASSERT_EQ(source->tensors().size(), tensors.size());
  for (const TensorToWrite& tensor : tensors) {
    const TensorInfo* info = source->find(tensor.name);
    ASSERT_NE(info, nullptr);
    EXPECT_EQ(info->dtype, tensor.dtype);
    EXPECT_EQ(info->shape, tensor.shape);
    std::vector<std::byte> back(tensor.data.size());
    const bool matrix = tensor.shape.size() == 2;
    source->read(*info, {0, matrix ? tensor.shape[0] : 1}, {0, matrix ? tensor.shape[1] : 1},
                 back.data());
    EXPECT_TRUE(std::ranges::equal(back, tensor.data));
  }
}

TEST(SafetensorsWriter, AlignsAndOrders) {
  const Scratch scratch;
  const std::byte data[8] = {};
  const std::vector<TensorToWrite> tensors = {{"b", DType::u8, {1}, std::span(data, 1)},
                                              {"a", DType::f32, {1}, std::span(data, 4)},
                                              {"c", DType::f64, {1}, std::span(data, 8)}};
  const auto path = scratch.path() / "out.safetensors";
  write_safetensors(path, tensors);
  const SafetensorsLayout layout =
      lay_out_safetensors("x", {{"b", DType::u8, {1}}, {"a", DType::u8, {1}}});
  EXPECT_EQ(layout.bytes, layout.start.size() + 2);
  EXPECT_EQ(layout.begins[1] + 1, layout.begins[0]) << "in the order of names";
  const std::string first = scratch.read(path);
  std::uint64_t length = 0;
  std::memcpy(&length, first.data(), sizeof(length));
  EXPECT_EQ(length % 8, 0u);
  const auto header = parse_safetensors_header(first.substr(8, length), 13, "x");
  EXPECT_EQ(header.entries[0].begin, 8u);
  EXPECT_EQ(header.entries[1].begin, 12u);
  write_safetensors(path, std::vector{tensors[2], tensors[0], tensors[1]});
  EXPECT_EQ(scratch.read(path), first);
}

TEST(SafetensorsWriter, AFullDiskLeavesTheOldFile) {
  const Scratch scratch;
  const std::filesystem::path path = scratch.write("out.safetensors", "old");
  const std::vector<std::byte> data(100000);
  const TensorToWrite tensor{"w", DType::u8, {100000}, data};
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  getrlimit(RLIMIT_FSIZE, &old_limit);
  const rlimit limit{50000, old_limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  const std::string message =
      message_of(ErrorKind::resource, [&] { write_safetensors(path, std::span(&tensor, 1)); });
  setrlimit(RLIMIT_FSIZE, &old_limit);
  EXPECT_NE(message.find("out.safetensors: cannot write"), std::string::npos) << message;
  EXPECT_NE(message.find("free some space"), std::string::npos) << message;
  EXPECT_EQ(scratch.read(path), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.path()), {}), 1);
}

TEST(SafetensorsWriter, WritesStraightIntoDevices) {
  const std::byte data[4] = {};
  const TensorToWrite tensor{"w", DType::f32, {1}, data};
  write_safetensors("/dev/null", std::span(&tensor, 1));
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  message_of(ErrorKind::resource, [&] { write_safetensors("/dev/full", std::span(&tensor, 1)); });
  message_of(ErrorKind::input, [&] { write_safetensors("/no/such/file", std::span(&tensor, 1)); });
}

}  // namespace
}  // namespace trireme
