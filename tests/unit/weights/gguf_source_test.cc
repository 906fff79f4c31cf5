// The numbers of GGUF tensors: every type's blocks bit for bit as the gguf package's, and any
// rectangle of any layout as the whole.
#include <cstring>
#include <random>

#include "support/gguf_bytes.h"
#include "support/scratch.h"
#include "weights/gguf_names.h"
#include "weights/gguf_types.h"
#include "weights/matrix_view.h"
#include "weights/model_files.h"
#include "weights/safetensors_file.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

fs::path data_folder() { return fs::path(TRIREME_SOURCE_DIR) / "tests/data/gguf"; }

std::vector<std::byte> read(const TensorSource& source, const TensorInfo& tensor, Range rows,
                            Range cols) {
  std::vector<std::byte> out(static_cast<std::size_t>(rows.size() * cols.size()) *
                             size_of(tensor.dtype));
  source.read(tensor, rows, cols, out.data());
  return out;
}

std::vector<std::byte> read_all(const TensorSource& source, const TensorInfo& tensor) {
  const MatrixView view = matrix_view(tensor);
  return read(source, tensor, {0, view.rows}, {0, view.cols});
}

TEST(GgufTypes, DequantizeAsTheGgufPackage) {
  const auto golden = open_safetensors(data_folder() / "blocks.safetensors");
  int types = 0;
  for (std::uint32_t id = 0; id < 64; ++id) {
    const GgufType* type = gguf_type(id);
    if (type == nullptr || !type->is_quantized()) continue;
    SCOPED_TRACE(type->name);
    const TensorInfo* blocks = golden->find(std::string(type->name) + ".blocks");
    ASSERT_NE(blocks, nullptr);
    ASSERT_EQ(blocks->shape,
              (std::vector<std::int64_t>{3, static_cast<std::int64_t>(type->bytes)}));
    const auto bytes = read_all(*golden, *blocks);
    const auto expected = read_all(*golden, *golden->find(std::string(type->name) + ".values"));
    std::vector<float> values(3 * type->block);
    type->dequantize(bytes.data(), 3, values.data());
    ASSERT_EQ(expected.size(), values.size() * sizeof(float));
    EXPECT_EQ(std::memcmp(values.data(), expected.data(), expected.size()), 0);
    ++types;
  }
  EXPECT_EQ(types, 12);
}

TEST(GgufSource, AnyRectangleIsPartOfTheWhole) {
  std::mt19937 random(7);
  const auto range = [&](std::int64_t size) {
    const std::int64_t a = std::uniform_int_distribution<std::int64_t>(0, size)(random);
    const std::int64_t b = std::uniform_int_distribution<std::int64_t>(0, size)(random);
    return Range{std::min(a, b), std::max(a, b)};
  };
  for (const auto& model : fs::directory_iterator(data_folder() / "models")) {
    const auto source = open_model_files(model.path() / "model.gguf")->open_weights();
    for (const TensorInfo* tensor : source->tensors()) {
      SCOPED_TRACE(model.path().string() + " " + tensor->name);
      const auto whole = read_all(*source, *tensor);
      const MatrixView view = matrix_view(*tensor);
      const std::size_t unit = size_of(tensor->dtype);
      for (int i = 0; i < 20; ++i) {
        const Range rows = range(view.rows), cols = range(view.cols);
        source->will_read(*tensor, rows, cols);
        const auto part = read(*source, *tensor, rows, cols);
        if (part.empty()) continue;
        for (std::int64_t row = 0; row < rows.size(); ++row) {
          const std::int64_t from = (rows.begin + row) * view.cols + cols.begin;
          const auto bytes = static_cast<std::size_t>(cols.size()) * unit;
          ASSERT_EQ(std::memcmp(part.data() + static_cast<std::size_t>(row) * bytes,
                                whole.data() + static_cast<std::size_t>(from) * unit, bytes),
                    0);
        }
      }
    }
  }
}

TEST(GgufSource, CountsWhatItHandsOut) {
  const auto source = open_model_files(data_folder() / "models/mistral/model.gguf")->open_weights();
  const TensorInfo* tensor = source->find("model.layers.1.self_attn.q_proj.weight");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->shape, (std::vector<std::int64_t>{64, 32}));
  (void)read(*source, *tensor, {3, 9}, {5, 12});
  EXPECT_EQ(source->bytes_read(), 6 * 7 * 4);
}

/// A llama of one matrix, four rows of two heads.
class GgufFiles : public testing::Test {
 protected:
  std::string write(const std::string& name, std::uint32_t type, std::uint32_t heads = 2) {
    GgufBytes file;
    file.start(2, 2)
        .pair("general.architecture", "llama")
        .pair("llama.attention.head_count", heads)
        .tensor("blk.0.attn_q.weight", {8, 4}, type, 0)
        .tensor("rope_freqs.weight", {1}, 0, 128);
    file.data(128 + 4);
    return scratch_.write(name, file.bytes());
  }
  Scratch scratch_;
};

TEST_F(GgufFiles, InterleavedHeadsAreHalvesAgain) {
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < 12; ++row) rows.push_back(interleaved_row(row, 6));
  EXPECT_EQ(rows, (std::vector<std::int64_t>{0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11}));
  expect_contains(message_of(ErrorKind::input,
                             [&] { open_model_files(write("m.gguf", 0, 3))->open_weights(); }),
                  "tensor blk.0.attn_q.weight has 4 rows, which are not those of 3 rotated heads");
}

TEST_F(GgufFiles, RopeFactorsAreNoTensorOfTheModel) {
  const auto source = open_model_files(write("m.gguf", 0))->open_weights();
  ASSERT_EQ(source->tensors().size(), 1u);
  EXPECT_EQ(source->tensors()[0]->name, "model.layers.0.self_attn.q_proj.weight");
}

TEST_F(GgufFiles, ATypeThatCannotBeReadIsNamedWithThoseThatCan) {
  const auto source = open_model_files(write("m.gguf", 39))->open_weights();
  const std::string message =
      message_of(ErrorKind::input, [&] { source->find("model.layers.0.self_attn.q_proj.weight"); });
  for (const char* part : {"m.gguf: tensor blk.0.attn_q.weight: ", "type MXFP4", "Q4_K, "}) {
    expect_contains(message, part);
  }
  EXPECT_TRUE(source->tensors().empty());
}

TEST(GgufNames, AreHuggingFaces) {
  const auto name = [](const char* architecture, const char* tensor) {
    return hugging_face_name(architecture, tensor).name;
  };
  EXPECT_EQ(name("llama", "output_norm.weight"), "model.norm.weight");
  EXPECT_EQ(name("qwen2", "blk.11.attn_q.bias"), "model.layers.11.self_attn.q_proj.bias");
  EXPECT_EQ(name("qwen3", "blk.0.attn_q_norm.weight"), "model.layers.0.self_attn.q_norm.weight");
  EXPECT_EQ(name("gpt2", "blk.3.attn_qkv.weight"), "transformer.h.3.attn.c_attn.weight");
  for (const char* unknown : {"blk.", "blk.1", "weight", "", "blk.1.attn_qkv.weight", "blk..x.y"}) {
    EXPECT_EQ(name("llama", unknown), unknown);
  }
}

}  // namespace
}  // namespace trireme
