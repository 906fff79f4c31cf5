// What stays in the four bits of its checkpoint, in which groups, and that it is the same numbers.
#include "models/stored_codes.h"

#include "core/buffer.h"
#include "kernels/packed.h"
#include "kernels/registry.h"
#include "models/loader.h"
#include "models/quantization_config.h"
#include "models/registry.h"
#include "support/packed_model.h"
#include "support/scratch.h"

namespace trireme {
namespace {

TEST(PackedCodeGroup, IsTheWidestThatFits) {
  EXPECT_EQ(packed_code_group(128, 4096, 0), 128);
  EXPECT_EQ(packed_code_group(128, 4096, 512), 128);
  EXPECT_EQ(packed_code_group(128, 896, 64), 64);  // Qwen2.5-0.5B's heads
  EXPECT_EQ(packed_code_group(128, 1408, 160), 32);
  EXPECT_EQ(packed_code_group(32, 4096, 512), 32);
  EXPECT_EQ(packed_code_group(1024, 4096, 0), 512);  // as wide as products take
  EXPECT_EQ(packed_code_group(96, 960, 0), 96);
  EXPECT_EQ(packed_code_group(128, 256, 16), 0);
  EXPECT_EQ(packed_code_group(16, 256, 0), 0);
  // One group a row: nothing begins within a shard.
  EXPECT_EQ(packed_code_group(4096, 4096, 160), 512);
  EXPECT_EQ(packed_code_group(100, 100, 8), 512);
}

/// A model with its weights, as a run opens them.
struct Opened {
  Scratch scratch;
  std::unique_ptr<TensorSource> source;
  std::unique_ptr<Model> model;
  std::string line;

  explicit Opened(const PackedLlama& llama) : Opened(llama, llama.checkpoint()) {}
  Opened(const PackedLlama& llama, const PackedCheckpoint& checkpoint) {
    checkpoint.write(scratch.path() / "model.safetensors");
    const HfConfig config = HfConfig::parse(llama.config(), "config.json");
    source = open_weights(*open_model_files(scratch.path()), config);
    model = make_model(config, DType::f32);
    line = model->keep_codes(*source);
    check_checkpoint(model->spec(), *source);
  }

  std::int64_t group_of(const std::string& key) const {
    return model->spec().blocks[1].find(key)->code_group;
  }
};

TEST(KeepCodes, KeepsAllThatFits) {
  for (const char* method : {"gptq", "awq"}) {
    const Opened opened(PackedLlama{.method = method});
    EXPECT_EQ(opened.line, "");
    EXPECT_EQ(opened.model->spec().quantization, Quantization::stored);
    EXPECT_EQ(opened.group_of("q_proj.weight"), 128);
    EXPECT_EQ(opened.group_of("o_proj.weight"), 32);     // virtual shards of 32
    EXPECT_EQ(opened.group_of("down_proj.weight"), 32);  // of 160
    EXPECT_EQ(opened.group_of("gate_proj.weight"), 128);
    EXPECT_EQ(opened.group_of("input_layernorm.weight"), 0);
    const ParameterSpec& head = *opened.model->spec().blocks.back().find("lm_head.weight");
    EXPECT_EQ(opened.model->spec().format_of(head).dtype, DType::f32);
  }
}

TEST(KeepCodes, SaysWhatItDoesNotKeepAndWhy) {
  const PackedLlama llama;
  PackedCheckpoint checkpoint = llama.checkpoint();
  std::vector<std::int32_t> groups;
  for (int i = 0; i < 256; ++i) groups.push_back(i % 2);
  checkpoint.add("model.layers.0.self_attn.k_proj.g_idx", DType::i32, {256}, groups);
  const Opened opened(llama, checkpoint);
  for (const char* key : {"q_proj.weight", "k_proj.weight", "v_proj.weight"}) {
    EXPECT_EQ(opened.group_of(key), 0) << "q, k and v are multiplied in one";
  }
  EXPECT_EQ(opened.group_of("o_proj.weight"), 32);
  expect_contains(opened.line, "3 of 21 quantised matrices take float32");
  expect_contains(opened.line, "1 (model.layers.0.self_attn.k_proj.weight): inputs in the order");
  expect_contains(opened.line,
                  "2 (model.layers.0.self_attn.q_proj.weight, ...): multiplied in one");
}

TEST(KeepCodes, NothingKeptIsNoQuantization) {
  const Opened opened(PackedLlama{.group = 16});
  EXPECT_EQ(opened.model->spec().quantization, Quantization::none);
  expect_contains(opened.line, "21 of 21 quantised matrices");
  expect_contains(opened.line, "fewer than 32");
}

/// Rows [rows) and columns [cols) of the model's first q_proj and k_proj stacked, as packed.
std::vector<float> unpacked(const PackedMatrix& matrix) {
  const MatrixShape& shape = matrix.shape();
  std::vector<float> out(static_cast<std::size_t>(shape.n * shape.k()));
  for (std::int64_t row = 0; row < shape.n; ++row) {
    packed::unpack_row(shape, row, matrix.data(), out.data() + row * shape.k());
  }
  return out;
}

TEST(KeepCodes, LoadsTheNumbersOfTheCheckpoint) {
  const auto backend = make_backend("reference");
  for (const char* method : {"gptq", "awq"}) {
    const Opened opened(PackedLlama{.method = method});
    const ModelSpec& spec = opened.model->spec();
    const BlockSpec& layer = spec.blocks[1];
    const ParameterSpec& q = *layer.find("q_proj.weight");
    const ParameterSpec& k = *layer.find("k_proj.weight");
    const ParameterSpec& down = *layer.find("down_proj.weight");
    ParameterStore store(*backend);
    const std::vector<ParameterPart> stacked{{&q, {{64, 160}, {0, 256}}},
                                             {&k, {{5, 42}, {0, 256}}}};
    store.add_matrix(stacked, {256}, spec.format_of(q));
    store.add_matrix({{&down, {{0, 256}, {160, 448}}}}, {160, 128}, spec.format_of(down));
    Buffer arena(store.bytes());
    store.place(arena.data());
    ThreadPool threads(2);
    load_parameters(store, *opened.source, threads);
    for (const PackedMatrix& matrix : store.matrices()) {
      EXPECT_EQ(matrix.shape().dtype, DType::u4);
      std::vector<float> expected(static_cast<std::size_t>(matrix.shape().n * matrix.shape().k()));
      float* out = expected.data();
      for (const ParameterPart& part : matrix.parts()) {
        opened.source->read(*opened.source->find(part.parameter->tensor), part.slice.rows,
                            part.slice.cols, reinterpret_cast<std::byte*>(out));
        out += part.slice.elements();
      }
      EXPECT_EQ(unpacked(matrix), expected) << method;
    }
  }
}

}  // namespace
}  // namespace trireme
