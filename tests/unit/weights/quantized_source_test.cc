// GPTQ and AWQ checkpoints presented as matrices: the golden files, every slice against the whole,
// what is hidden, and what is wrong with files, by the tensor's name.
#include "weights/quantized_source.h"

#include "support/packed_checkpoint.h"
#include "support/scratch.h"

namespace trireme {
namespace {

constexpr std::int64_t n = 24;
constexpr std::int64_t k = 96;
constexpr std::int64_t group = 32;

CheckpointQuantization format(QuantizationMethod method) {
  return {.method = method, .group_size = group};
}
const CheckpointQuantization gptq = format(QuantizationMethod::gptq);
const CheckpointQuantization awq = format(QuantizationMethod::awq);

struct Opened {
  Scratch scratch;
  std::unique_ptr<TensorSource> source;

  Opened(const PackedCheckpoint& checkpoint, const CheckpointQuantization& quantization) {
    checkpoint.write(scratch.path() / "model.safetensors");
    source = open_quantized(open_checkpoint(scratch.path()), quantization);
  }
};

PackedCheckpoint good_gptq() {
  PackedCheckpoint checkpoint(1);
  checkpoint.add_gptq("a.q_proj", n, k, group);
  checkpoint.add_halves("a.norm.weight", {n}, 1);
  return checkpoint;
}

PackedCheckpoint good_awq() {
  PackedCheckpoint checkpoint(2);
  checkpoint.add_awq("a.q_proj", n, k, group);
  return checkpoint;
}

std::vector<float> values(const TensorSource& source, Range rows, Range cols) {
  std::vector<float> out(static_cast<std::size_t>(rows.size() * cols.size()) + 1, -7.0f);
  source.read(*source.find("a.q_proj.weight"), rows, cols,
              reinterpret_cast<std::byte*>(out.data()));
  EXPECT_EQ(out.back(), -7.0f);
  out.pop_back();
  return out;
}

std::vector<CodedWeight> codes(const TensorSource& source, Range rows, Range cols) {
  std::vector<CodedWeight> out(static_cast<std::size_t>(rows.size() * cols.size()));
  source.read_codes(*source.find("a.q_proj.weight"), rows, cols, out.data());
  return out;
}

void expect_slices(const TensorSource& source, bool with_codes) {
  const std::vector<float> whole = values(source, {0, n}, {0, k});
  for (const Range rows : {Range{0, n}, Range{3, 17}, Range{8, 16}, Range{23, 24}, Range{5, 5}}) {
    for (const Range cols : {Range{0, k}, Range{7, 9}, Range{31, 33}, Range{64, 96}, Range{2, 2}}) {
      const std::vector<float> part = values(source, rows, cols);
      const auto coded = with_codes ? codes(source, rows, cols) : std::vector<CodedWeight>();
      for (std::size_t i = 0; i < part.size(); ++i) {
        const auto at = static_cast<std::int64_t>(i);
        const std::int64_t row = rows.begin + at / cols.size();
        const std::int64_t col = cols.begin + at % cols.size();
        ASSERT_EQ(part[i], whole[static_cast<std::size_t>(row * k + col)]) << row << " " << col;
        if (!with_codes) continue;
        ASSERT_EQ(coded[i].value(), part[i]);
      }
    }
  }
}

TEST(QuantizedSource, PresentsAMatrix) {
  const Opened opened(good_gptq(), gptq);
  const TensorInfo* weight = opened.source->find("a.q_proj.weight");
  ASSERT_NE(weight, nullptr);
  EXPECT_EQ(weight->shape, (std::vector<std::int64_t>{n, k}));
  EXPECT_EQ(weight->dtype, DType::f32);
  EXPECT_EQ(weight->code_bits, 4);
  EXPECT_EQ(weight->code_group, group);
  EXPECT_EQ(weight->bytes_in_file(), n * k / 2 + k / group * (n / 2 + n * 2) + k * 4);
  EXPECT_EQ(opened.source->find("a.q_proj.qweight"), nullptr);
  EXPECT_EQ(opened.source->find("a.q_proj.g_idx"), nullptr);
  std::vector<std::string> names;
  for (const TensorInfo* tensor : opened.source->tensors()) names.push_back(tensor->name);
  EXPECT_EQ(names, (std::vector<std::string>{"a.norm.weight", "a.q_proj.weight"}));
}

TEST(QuantizedSource, SlicesEqualTheWhole) {
  expect_slices(*Opened(good_gptq(), gptq).source, true);
  expect_slices(*Opened(good_awq(), awq).source, true);
  CheckpointQuantization eight = gptq;
  eight.bits = 8;
  PackedCheckpoint checkpoint(3);
  checkpoint.add_words("a.q_proj.qweight", k / 4, n);
  checkpoint.add_words("a.q_proj.qzeros", k / group, n / 4);
  checkpoint.add_halves("a.q_proj.scales", {k / group, n}, 0.1f);
  expect_slices(*Opened(checkpoint, eight).source, false);
}

TEST(QuantizedSource, ColumnsMayBelongToGroupsInAnyOrder) {
  PackedCheckpoint checkpoint = good_gptq();
  const Opened in_order(checkpoint, gptq);
  std::vector<std::int32_t> groups(k);
  for (std::size_t i = 0; i < groups.size(); ++i) groups[i] = static_cast<std::int32_t>(i % 3);
  checkpoint.add("a.q_proj.g_idx", DType::i32, {k}, groups);
  const Opened mixed(checkpoint, gptq);
  EXPECT_EQ(mixed.source->find("a.q_proj.weight")->code_group, 0);
  expect_slices(*mixed.source, false);
  const auto before = codes(*in_order.source, {0, n}, {0, k});
  const auto after = values(*mixed.source, {0, n}, {0, k});
  for (std::size_t i = 0; i < after.size(); ++i) {
    const std::size_t row = i / k * k;
    CodedWeight expected = before[row + i % k % 3 * group];  // any column of that group
    expected.code = before[i].code;
    ASSERT_EQ(after[i], expected.value());
  }
}

TEST(QuantizedSource, CodesAreToBeHadWhereRunsOfColumnsShareAScale) {
  PackedCheckpoint checkpoint(4);
  checkpoint.add_gptq("a.q_proj", n, 256, 128);
  std::vector<std::int32_t> groups(256);
  for (std::size_t i = 0; i < groups.size(); ++i) groups[i] = static_cast<std::int32_t>(i / 32 % 2);
  checkpoint.add("a.q_proj.g_idx", DType::i32, {256}, groups);
  CheckpointQuantization wide = gptq;
  wide.group_size = 128;
  EXPECT_EQ(Opened(checkpoint, wide).source->find("a.q_proj.weight")->code_group, 32);
  checkpoint.add("a.q_proj.scales", DType::f32, {2, n}, std::vector<float>(2 * n, 0.1f));
  const Opened opened(checkpoint, wide);  // not float16: they would have to be rounded
  EXPECT_EQ(opened.source->find("a.q_proj.weight")->code_group, 0);
}

TEST(QuantizedSource, BiasesOfZeroAreNotListed) {
  PackedCheckpoint checkpoint = good_gptq();
  checkpoint.add("a.q_proj.bias", DType::f16, {n}, std::vector<std::uint16_t>(n, 0));
  const Opened opened(checkpoint, gptq);
  EXPECT_EQ(opened.source->tensors().size(), 2u);
  EXPECT_NE(opened.source->find("a.q_proj.bias"), nullptr);  // for a model that has one
  checkpoint.add("a.q_proj.bias", DType::f16, {n}, std::vector<std::uint16_t>(n, 0x3c00));
  EXPECT_EQ(Opened(checkpoint, gptq).source->tensors().size(), 3u);
}

/// Opens `checkpoint`; the message must have all these parts.
void expect_refused(const PackedCheckpoint& checkpoint, const CheckpointQuantization& quantization,
                    std::initializer_list<const char*> parts) {
  const std::string message =
      message_of(ErrorKind::input, [&] { const Opened opened(checkpoint, quantization); });
  for (const char* part : parts) expect_contains(message, part);
}

TEST(QuantizedSource, MissingPartsAreNamed) {
  for (const char* part : {"a.q_proj.qzeros", "a.q_proj.scales"}) {
    PackedCheckpoint checkpoint = good_gptq();
    checkpoint.remove(part);
    expect_refused(checkpoint, gptq, {"a.q_proj.qweight", part});
  }
  PackedCheckpoint unordered = good_gptq();
  unordered.remove("a.q_proj.g_idx");
  const Opened fine(unordered, gptq);
  CheckpointQuantization act_order = gptq;
  act_order.desc_act = true;
  expect_refused(unordered, act_order, {"a.q_proj.g_idx"});
  PackedCheckpoint plain(5);
  plain.add_halves("a.weight", {4, 4}, 1);
  expect_refused(plain, gptq, {"quantization_config", ".qweight"});
}

TEST(QuantizedSource, WrongShapesAndDtypesAreNamed) {
  PackedCheckpoint checkpoint = good_gptq();
  checkpoint.add_words("a.q_proj.qzeros", k / group, n);
  expect_refused(checkpoint, gptq, {"a.q_proj.qzeros has shape [3, 24]; expected [3, 3]"});
  checkpoint = good_gptq();
  checkpoint.add_halves("a.q_proj.scales", {k / group + 1, n}, 1);
  expect_refused(checkpoint, gptq, {"a.q_proj.scales has shape [4, 24]; expected [3, 24]"});
  checkpoint = good_gptq();
  checkpoint.add_halves("a.q_proj.qweight", {k / 8, n}, 1);
  expect_refused(checkpoint, gptq, {"a.q_proj.qweight is float16; expected int32"});
  checkpoint = good_gptq();
  checkpoint.add("a.q_proj.qweight", DType::i32, {k}, std::vector<std::int32_t>(k));
  expect_refused(checkpoint, gptq, {"a.q_proj.qweight has shape [96]; expected a matrix"});
  checkpoint = good_gptq();
  checkpoint.add_words("a.q_proj.scales", k / group, n);
  expect_refused(checkpoint, gptq, {"a.q_proj.scales is int32; expected float16"});
  checkpoint = good_gptq();
  checkpoint.add_halves("a.q_proj.weight", {n, k}, 1);
  expect_refused(checkpoint, gptq, {"both a.q_proj.weight and a.q_proj.qweight"});
  expect_refused(good_gptq(), awq, {"a.q_proj.scales has shape"});  // config and files disagree
  CheckpointQuantization wide = gptq;
  wide.group_size = 128;
  expect_refused(good_gptq(), wide, {"a.q_proj.scales has shape [3, 24]; expected [1, 24]"});
}

TEST(QuantizedSource, GroupsOutOfRangeAreNamed) {
  for (const std::int32_t bad : {-1, 3, 1 << 30}) {
    PackedCheckpoint checkpoint = good_gptq();
    std::vector<std::int32_t> groups(k, 0);
    groups[5] = bad;
    checkpoint.add("a.q_proj.g_idx", DType::i32, {k}, groups);
    expect_refused(checkpoint, gptq, {"a.q_proj.g_idx puts input 5 into group", "3 groups"});
  }
  PackedCheckpoint checkpoint = good_gptq();
  checkpoint.add("a.q_proj.g_idx", DType::i32, {k - 1}, std::vector<std::int32_t>(k - 1));
  expect_refused(checkpoint, gptq, {"a.q_proj.g_idx has shape [95]; expected [96]"});
}

}  // namespace
}  // namespace trireme
