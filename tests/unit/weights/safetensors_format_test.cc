// Headers that lie, one by one: each must be refused with a message that names file and tensor.
#include "weights/safetensors_format.h"

#include "support/scratch.h"

namespace trireme {
namespace {

struct BadHeader {
  const char* what;
  const char* json;
  std::uint64_t data_bytes;
  const char* expected;  ///< part of the message
};

const BadHeader bad_headers[] = {
    {"empty", "", 0, "not JSON"},
    {"garbage", "{]", 0, "not JSON"},
    {"cut short", R"({"a":{"dtype":"F32","shape":[1],)", 4, "not JSON"},
    {"trailing text", "{} x", 0, "not JSON"},
    {"invalid UTF-8", "{\"\xff\":1}", 0, "not JSON"},
    {"a list", "[]", 0, "not a JSON object"},
    {"entry is a number", R"({"a":1})", 0, "tensor a: its entry is not a JSON object"},
    {"twice", R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},
                 "a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
     0, "tensor a: listed twice"},
    {"no dtype", R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, "needs the fields"},
    {"no shape", R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4, "needs the fields"},
    {"no offsets", R"({"a":{"dtype":"F32","shape":[1]}})", 4, "needs the fields"},
    {"extra field", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4,
     "field x"},
    {"repeated field", R"({"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}})", 4,
     "field shape"},
    {"dtype is a number", R"({"a":{"dtype":32,"shape":[1],"data_offsets":[0,4]}})", 4,
     "field dtype"},
    {"unknown dtype", R"({"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", 4,
     "unknown dtype F33"},
    {"negative size", R"({"a":{"dtype":"F32","shape":[1,-1],"data_offsets":[0,4]}})", 4,
     "dimension 1"},
    {"fractional size", R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4,
     "dimension 0"},
    {"huge size", R"({"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}})", 4,
     "not JSON"},
    {"product overflows to the right number",
     R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,1],"data_offsets":[0,0]}})", 0,
     "an impossible number"},
    {"overflow hidden by a zero",
     R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}})", 0,
     "an impossible number"},
    {"too few bytes", R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,10]}})", 10,
     "hold 10 bytes, but shape [2, 3] of F32 needs 24"},
    {"half a byte", R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", 1,
     "an impossible number"},
    {"backwards", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "lie outside"},
    {"beyond the end", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4,
     "lie outside of the file's 4 bytes"},
    {"negative offset", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", 4,
     "data_offsets is not"},
    {"offset of 2^64",
     R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551616]}})", 4, "not JSON"},
    {"three offsets", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}})", 4,
     "data_offsets is not"},
    {"overlap",
     R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
     6, "tensor b: its data begin at offset 2, but the tensors before it end at 4 (they overlap)"},
    {"the same bytes twice",
     R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
     4, "they overlap"},
    {"hole",
     R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}})",
     6, "a hole"},
    {"hole at the start", R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})", 4, "a hole"},
    {"bytes left over", R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 3,
     "3 bytes of data, but its tensors end at byte 2"},
    {"metadata is a list", R"({"__metadata__":[]})", 0, "__metadata__ is not"},
    {"metadata holds a number", R"({"__metadata__":{"a":1}})", 0, "__metadata__ field a"},
    {"metadata twice", R"({"__metadata__":{},"__metadata__":{}})", 0, "__metadata__ listed twice"},
    {"control characters in a name", "{\"a\\n\\u001b[31m\":1}", 0, "tensor a\\x0a\\x1b[31m:"},
};

TEST(SafetensorsFormat, RefusesEveryLie) {
  for (const BadHeader& bad : bad_headers) {
    SCOPED_TRACE(bad.what);
    const std::string message = message_of(ErrorKind::input, [&] {
      parse_safetensors_header(bad.json, bad.data_bytes, "x.safetensors");
    });
    EXPECT_NE(message.find(bad.expected), std::string::npos) << message;
    EXPECT_TRUE(message.starts_with("x.safetensors: ")) << message;
    EXPECT_NE(message.find("download it again"), std::string::npos) << message;
  }
}

TEST(SafetensorsFormat, RefusesDeepNesting) {
  const std::string deep = "{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}";
  message_of(ErrorKind::input, [&] { parse_safetensors_header(deep, 0, "x"); });
}

TEST(SafetensorsFormat, ReadsWhatIsRight) {
  const char* json = R"({"__metadata__":{"format":"pt"},
    "w":{"dtype":"BF16","shape":[2,3],"data_offsets":[8,20]},
    "empty":{"dtype":"F32","shape":[0,7],"data_offsets":[8,8]},
    "scalar":{"dtype":"I64","shape":[],"data_offsets":[0,8]},
    "fp8":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[20,23]}}   )";
  const SafetensorsHeader header = parse_safetensors_header(json, 23, "x");
  ASSERT_EQ(header.entries.size(), 4u);
  EXPECT_EQ(header.entries[0].name, "empty");
  EXPECT_EQ(header.entries[1].dtype, std::nullopt);
  EXPECT_EQ(header.entries[1].dtype_name, "F8_E4M3");
  EXPECT_EQ(header.entries[2].shape, std::vector<std::int64_t>{});
  EXPECT_EQ(header.entries[3].dtype, DType::bf16);
  EXPECT_EQ(header.entries[3].begin, 8u);
  EXPECT_EQ(header.metadata.at("format"), "pt");
  EXPECT_TRUE(parse_safetensors_header("{}", 0, "x").entries.empty());
}

TEST(SafetensorsFormat, ChecksTheLengthOfTheHeader) {
  EXPECT_EQ(checked_header_length(2, 10, "x"), 2u);
  for (const std::uint64_t length : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{3},
                                     safetensors_header_limit + 1, ~std::uint64_t{0}}) {
    const std::string message =
        message_of(ErrorKind::input, [&] { checked_header_length(length, 10, "x.safetensors"); });
    EXPECT_TRUE(message.starts_with("x.safetensors: its header claims")) << message;
  }
}

}  // namespace
}  // namespace trireme
