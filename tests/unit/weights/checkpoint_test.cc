// Model directories as they come: single files, shards, slices of tensors, and what is wrong with
// them.
#include <cstring>

#include "safetensors_bytes.h"
#include "support/scratch.h"
#include "weights/matrix_view.h"
#include "weights/safetensors_file.h"
#include "weights/safetensors_writer.h"

namespace trireme {
namespace {

std::string one_tensor(const std::string& name) {
  return safetensors_bytes("{\"" + name + R"(":{"dtype":"U8","shape":[2,2],"data_offsets":[0,4]}})",
                           4);
}

void expect_message(const Scratch& scratch, std::initializer_list<const char*> parts) {
  const std::string message =
      message_of(ErrorKind::input, [&] { open_checkpoint(scratch.path()); });
  for (const char* part : parts) EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(Checkpoint, ReadsOneFile) {
  const Scratch scratch;
  scratch.write("model.safetensors", one_tensor("w"));
  const auto source = open_checkpoint(scratch.path());
  const TensorInfo* w = source->find("w");
  ASSERT_NE(w, nullptr);
  EXPECT_EQ(source->find("v"), nullptr);
  EXPECT_EQ(w->shape, (std::vector<std::int64_t>{2, 2}));
  EXPECT_NE(source->describe().find("model.safetensors"), std::string::npos);
  std::byte corner{};
  source->read(*w, {1, 2}, {0, 1}, &corner);
  EXPECT_EQ(corner, std::byte{2});
  EXPECT_EQ(source->bytes_read(), 1);
}

/// Every rectangle of a matrix must equal the same part of the whole, by each way of reading.
void check_slices(std::int64_t rows, std::int64_t cols) {
  const Scratch scratch;
  std::vector<float> values(static_cast<std::size_t>(rows * cols));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const TensorToWrite tensor{"w", DType::f32, {rows, cols}, std::as_bytes(std::span(values))};
  write_safetensors(scratch.path() / "model.safetensors", std::span(&tensor, 1));
  const auto source = open_checkpoint(scratch.path());
  const TensorInfo& w = *source->find("w");
  std::int64_t expected_bytes = 0;
  for (const Range r :
       {Range{0, rows}, Range{1, rows}, Range{rows / 2, rows / 2}, Range{rows - 1, rows}}) {
    for (const Range c : {Range{0, cols}, Range{0, 1}, Range{cols / 3, cols - 1}, Range{2, 2}}) {
      std::vector<float> slice(static_cast<std::size_t>(r.size() * c.size()) + 1, -1.0f);
      source->read(w, r, c, reinterpret_cast<std::byte*>(slice.data()));
      expected_bytes += r.size() * c.size() * 4;
      EXPECT_EQ(slice.back(), -1.0f);
      for (std::int64_t i = 0; i < r.size() * c.size(); ++i) {
        const std::int64_t at = (r.begin + i / c.size()) * cols + c.begin + i % c.size();
        ASSERT_EQ(slice[static_cast<std::size_t>(i)], static_cast<float>(at));
      }
    }
  }
  EXPECT_EQ(source->bytes_read(), expected_bytes);
}

TEST(Checkpoint, SlicesEqualTheWhole) {
  check_slices(7, 5);
  check_slices(1000,
               1023);      // rows just under a page: read through the bounce buffer, several times
  check_slices(50, 1025);  // rows just over a page: read one by one
  check_slices(1, 9);
}

TEST(Checkpoint, VectorsAndScalarsAreOneRow) {
  const Scratch scratch;
  scratch.write("model.safetensors",
                safetensors_bytes(R"({"s":{"dtype":"U8","shape":[],"data_offsets":[0,1]},
                                      "v":{"dtype":"U8","shape":[5],"data_offsets":[1,6]},
                                      "c":{"dtype":"U8","shape":[2,3,2],"data_offsets":[6,18]},
                                      "e":{"dtype":"U8","shape":[0,3],"data_offsets":[18,18]}})",
                                  18));
  const auto source = open_checkpoint(scratch.path());
  std::byte out[2] = {};
  source->read(*source->find("s"), {0, 1}, {0, 1}, out);
  EXPECT_EQ(out[0], std::byte{0});
  source->read(*source->find("v"), {0, 1}, {3, 5}, out);
  EXPECT_EQ(out[1], std::byte{5});
  source->read(*source->find("c"), {1, 2}, {4, 6}, out);
  EXPECT_EQ(out[0], std::byte{16});
  source->read(*source->find("e"), {0, 0}, {0, 3}, nullptr);
  EXPECT_EQ(source->tensors().size(), 4u);
  EXPECT_EQ(source->tensors().front()->name, "c");
}

TEST(Checkpoint, UnreadableDtypesFailOnlyWhenAskedFor) {
  const Scratch scratch;
  scratch.write("model.safetensors",
                safetensors_bytes(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
                                      "q":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[1,2]}})",
                                  2));
  const auto source = open_checkpoint(scratch.path());
  EXPECT_NE(source->find("a"), nullptr);
  const std::string message = message_of(ErrorKind::input, [&] { source->find("q"); });
  EXPECT_NE(message.find("tensor q: Trireme cannot read F8_E4M3"), std::string::npos) << message;
}

TEST(Checkpoint, ReadsShards) {
  const Scratch scratch;
  scratch.write("a.safetensors", one_tensor("x"));
  scratch.write("b.safetensors", one_tensor("y"));
  scratch.write(
      "model.safetensors.index.json",
      R"({"metadata":{"total_size":8},"weight_map":{"y":"b.safetensors","x":"a.safetensors"}})");
  const auto source = open_checkpoint(scratch.path());
  EXPECT_EQ(source->tensors().size(), 2u);
  std::byte whole[4] = {};
  source->read(*source->find("y"), {0, 2}, {0, 2}, whole);
  EXPECT_EQ(whole[3], std::byte{3});
  EXPECT_NE(source->find("y")->file.find("b.safetensors"), std::string::npos);
}

struct BadIndex {
  const char* json;
  const char* expected;
};

const BadIndex bad_indices[] = {
    {"", "not JSON"},
    {"{}", "weight_map"},
    {"[]", "weight_map"},
    {R"({"weight_map":[]})", "weight_map"},
    {R"({"weight_map":{"x":3}})", "gives tensor x no file name"},
    {R"({"weight_map":{"x":"a.safetensors","x":"a.safetensors"}})", "lists tensor x twice"},
    {R"({"weight_map":{"x":"../a.safetensors"}})", "not a file name"},
    {R"({"weight_map":{"x":"/etc/passwd"}})", "not a file name"},
    {R"({"weight_map":{"x":"sub/a.safetensors"}})", "not a file name"},
    {R"({"weight_map":{"x":".."}})", "not a file name"},
    {R"({"weight_map":{"x":""}})", "not a file name"},
    {R"({"weight_map":{"x":"a.safetensors\u0000"}})", "not a file name"},
    {R"({"weight_map":{"x":"c.safetensors"}})", "holds tensor x; download this shard"},
    {R"({"weight_map":{"y":"a.safetensors"}})", "no tensor y in it"},
    {R"({"weight_map":{"x":"a.safetensors","z":"b.safetensors"}})", "tensor x is also in"},
};

TEST(Checkpoint, RefusesLyingIndices) {
  const Scratch scratch;
  scratch.write("a.safetensors", one_tensor("x"));
  scratch.write("b.safetensors",
                safetensors_bytes(R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
                                      "z":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                                  2));
  for (const BadIndex& bad : bad_indices) {
    SCOPED_TRACE(bad.json);
    scratch.write("model.safetensors.index.json", bad.json);
    expect_message(scratch, {bad.expected});
  }
}

TEST(Checkpoint, SaysWhatToDoWithoutSafetensors) {
  const Scratch scratch;
  expect_message(scratch, {"neither model.safetensors nor", "--load-format dummy"});
  scratch.write("model-00001-of-00002.safetensors", "");
  expect_message(scratch, {"(but model-00001-of-00002.safetensors)"});
  scratch.write("pytorch_model.bin", "");
  expect_message(scratch, {"pytorch_model.bin", "save_pretrained"});
}

TEST(Checkpoint, RefusesShortFiles) {
  const Scratch scratch;
  const std::string whole = one_tensor("w");
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{7}, std::size_t{8}, std::size_t{30}, whole.size() - 1}) {
    SCOPED_TRACE(size);
    scratch.write("model.safetensors", whole.substr(0, size));
    expect_message(scratch, {"model.safetensors", "download it again"});
  }
}

TEST(Checkpoint, NoticesTruncationWhileOpen) {
  const Scratch scratch;
  const auto file = scratch.write("model.safetensors", one_tensor("w"));
  const auto source = open_checkpoint(scratch.path());
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 2);
  std::byte whole[4] = {};
  const std::string message = message_of(ErrorKind::input, [&] {
    source->read(*source->find("w"), {0, 2}, {0, 2}, whole);
  });
  EXPECT_NE(message.find("cut short"), std::string::npos) << message;
}

TEST(Checkpoint, RefusesADirectoryInTheFilesPlace) {
  const Scratch scratch;
  std::filesystem::create_directory(scratch.path() / "model.safetensors");
  expect_message(scratch, {"not a regular file"});
}

TEST(Checkpoint, ABrokenLinkIsNotAsIfThereWereNoFile) {
  const Scratch scratch;
  std::filesystem::create_symlink("blob", scratch.path() / "model.safetensors");
  expect_message(scratch, {"model.safetensors: cannot open: this link leads to", "(blob)"});
  std::filesystem::rename(scratch.path() / "model.safetensors", scratch.path() / "a.safetensors");
  scratch.write("model.safetensors.index.json", R"({"weight_map":{"x":"a.safetensors"}})");
  expect_message(scratch, {"a.safetensors: cannot open: this link leads to"});
}

}  // namespace
}  // namespace trireme
