// The header of GGUF files, right and wrong in every way that a damaged or hostile file may be.
#include "weights/gguf_format.h"

#include "support/gguf_bytes.h"
#include "support/scratch.h"

namespace trireme {
namespace {

std::optional<GgufHeader> parse(const std::string& bytes) {
  return parse_gguf_header(bytes, bytes.size(), "m.gguf");
}

std::string refusal(const GgufBytes& file) {
  return message_of(ErrorKind::input, [&] { parse(file.bytes()); });
}

void expect_refusal(const GgufBytes& file, std::initializer_list<std::string> parts) {
  const std::string message = refusal(file);
  expect_contains(message, "m.gguf: ");
  for (const std::string& part : parts) expect_contains(message, part);
}

GgufBytes whole_file(std::uint32_t version = 3) {
  GgufBytes file;
  file.start(2, 4, version)
      .pair("general.architecture", "llama")
      .pair("llama.block_count", 2u)
      .pair("llama.eps", 0.5f)
      .pair("tokens", std::vector<std::string>{"a", "", "bc"})
      .tensor("w", {32, 3}, 8, 32)
      .tensor("b", {4}, 0, 0)
      .data(32 + 3 * 34);
  return file;
}

TEST(GgufFormat, ReadsBothVersions) {
  for (const std::uint32_t version : {2u, 3u}) {
    const auto header = parse(whole_file(version).bytes());
    ASSERT_TRUE(header.has_value());
    EXPECT_EQ(*header->metadata.string("general.architecture"), "llama");
    EXPECT_EQ(header->metadata.integer("llama.block_count"), 2);
    EXPECT_EQ(header->metadata.number("llama.eps"), 0.5);
    EXPECT_EQ(header->metadata.number("llama.block_count"), 2.0);
    EXPECT_EQ(*header->metadata.strings("tokens"), (std::vector<std::string>{"a", "", "bc"}));
    EXPECT_FALSE(header->metadata.has("nothing"));
    ASSERT_EQ(header->tensors.size(), 2u);
    const GgufTensor& w = header->tensors[1];
    EXPECT_EQ(w.name, "w");
    EXPECT_EQ(w.shape, (std::vector<std::int64_t>{3, 32}));
    EXPECT_EQ(w.type->name, "Q8_0");
    EXPECT_EQ(w.bytes, 3u * 34);
    EXPECT_EQ(w.offset, header->tensors[0].offset + 32);
    EXPECT_EQ(w.offset % 32, 0u);
  }
}

TEST(GgufFormat, AsksForMoreUntilTheHeaderIsThere) {
  const std::string bytes = whole_file().bytes();
  const std::size_t data = 32 + 3 * 34;
  std::size_t enough = 0;
  while (!parse_gguf_header(bytes.substr(0, enough), bytes.size(), "m.gguf")) ++enough;
  EXPECT_LE(enough, bytes.size() - data);
  EXPECT_GT(enough, bytes.size() - data - 32);
}

TEST(GgufFormat, EveryCutIsNoticed) {
  const std::string bytes = whole_file().bytes();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THROW(parse(bytes.substr(0, size)), Error) << size;
  }
}

TEST(GgufFormat, RefusesOtherFilesAndVersions) {
  EXPECT_NE(refusal(GgufBytes().value<std::uint64_t>(0)).find("too few"), std::string::npos);
  GgufBytes pickle;
  expect_refusal(pickle.pair("not a GGUF file", 1u).data(32), {"does not begin with \"GGUF\""});
  for (const auto& [version, words] :
       {std::pair(1u, "GGUF of version 1"), std::pair(4u, "GGUF of version 4"),
        std::pair(3u << 24, "big-endian")}) {
    GgufBytes file;
    expect_refusal(file.start(0, 0, version), {words, "versions 2 and 3"});
  }
}

TEST(GgufFormat, RefusesCountsAndSizesThatCannotBe) {
  expect_refusal(GgufBytes().start(std::uint64_t{1} << 61, 0), {"tensors, more than"});
  expect_refusal(GgufBytes().start(0, std::uint64_t{1} << 61), {"keys, more than"});
  expect_refusal(GgufBytes().start(0, 1).value<std::uint64_t>(~std::uint64_t{0}).data(16),
                 {"bytes are needed at offset"});
  GgufBytes list;
  list.start(0, 1).string("k").value<std::uint32_t>(9).value<std::uint32_t>(10);
  expect_refusal(list.value<std::uint64_t>(std::uint64_t{1} << 61), {"key k: ", "values, more"});
}

TEST(GgufFormat, RefusesValuesOfNoKind) {
  expect_refusal(GgufBytes().start(0, 1).string("k").value<std::uint32_t>(13).data(16),
                 {"key k: ", "unknown kind 13"});
  GgufBytes nested;
  nested.start(0, 1).string("k").value<std::uint32_t>(9).value<std::uint32_t>(9);
  expect_refusal(nested.value<std::uint64_t>(0), {"key k: ", "list of lists"});
  GgufBytes truth;
  truth.start(0, 1).string("k").value<std::uint32_t>(7).value<std::uint8_t>(2);
  expect_refusal(truth, {"key k: ", "neither true nor false"});
}

TEST(GgufFormat, RefusesWhatIsThereTwice) {
  expect_refusal(GgufBytes().start(0, 2).pair("k", 1u).pair("k", 1u), {"key k: ", "given twice"});
  GgufBytes twins;
  twins.start(2, 0).tensor("w", {4}, 0, 0).tensor("w", {4}, 0, 32).data(64);
  expect_refusal(twins, {"tensor w: ", "listed twice"});
}

TEST(GgufFormat, RefusesImpossibleTensors) {
  const auto with = [](const std::vector<std::uint64_t>& dimensions, std::uint32_t type,
                       std::uint64_t offset) {
    GgufBytes file;
    return file.start(1, 0).tensor("w", dimensions, type, offset).data(64);
  };
  EXPECT_NO_THROW(parse(with({16}, 0, 0).bytes()));
  expect_refusal(with({17}, 0, 0), {"tensor w: ", "lie outside"});
  expect_refusal(with({16}, 0, 32), {"tensor w: ", "lie outside"});
  expect_refusal(with({1}, 0, std::uint64_t{1} << 62), {"tensor w: ", "lie outside"});
  expect_refusal(with({1}, 0, 4), {"tensor w: ", "no multiple of the alignment, 32"});
  expect_refusal(with({1, 1, 1, 1, 1}, 0, 0), {"tensor w: ", "5 dimensions"});
  expect_refusal(with({std::uint64_t{1} << 63}, 0, 0), {"tensor w: ", "dimension 0"});
  expect_refusal(with({1u << 31, 1u << 31, 4}, 0, 0), {"tensor w: ", "dimension 2"});
  expect_refusal(with({std::uint64_t{1} << 62}, 0, 0), {"tensor w: "});
  expect_refusal(with({48}, 2, 0), {"tensor w: ", "rows of 48", "Q4_0's blocks of 32"});
  expect_refusal(with({std::uint64_t{1} << 62}, 28, 0), {"tensor w: ", "impossible"});
  GgufBytes overlap;
  overlap.start(2, 0).tensor("a", {9}, 0, 0).tensor("b", {4}, 0, 32).data(64);
  expect_refusal(overlap, {"tensors a and b overlap"});
}

TEST(GgufFormat, TensorsOfUnknownTypesAreNamedLater) {
  GgufBytes file;
  file.start(1, 0).tensor("w", {256}, 16, 0).data(66);
  const auto header = parse(file.bytes());
  EXPECT_EQ(header->tensors[0].type, nullptr);
  EXPECT_EQ(gguf_type_name(header->tensors[0].type_id), "IQ2_XXS");
  EXPECT_EQ(gguf_type_name(77), "number 77");
}

TEST(GgufFormat, HeedsTheAlignment) {
  GgufBytes file;
  file.start(1, 1).pair("general.alignment", 64u).tensor("w", {4}, 0, 64).data(80, 64);
  EXPECT_EQ(parse(file.bytes())->tensors[0].offset % 64, 0u);
  for (const std::uint32_t alignment : {0u, 24u, 1u << 31}) {
    GgufBytes odd;
    odd.start(0, 1).pair("general.alignment", alignment);
    expect_refusal(odd, {"general.alignment is ", "a power of two"});
  }
}

TEST(GgufFormat, NamesTheKeyOfAnotherKind) {
  const auto header = parse(whole_file().bytes());
  const GgufMetadata& metadata = header->metadata;
  expect_contains(message_of(ErrorKind::input, [&] { (void)metadata.integer("llama.eps"); }),
                  "m.gguf: llama.eps is 0.5; expected an integer");
  expect_contains(message_of(ErrorKind::input, [&] { (void)metadata.string("tokens"); }),
                  "tokens is a list of 3 values; expected a string");
  expect_contains(
      message_of(ErrorKind::input, [&] { (void)metadata.strings("general.architecture"); }),
      "general.architecture is \"llama\"; expected a list of strings");
}

}  // namespace
}  // namespace trireme
