// Any bytes as a GGUF file: its header, and what config and tokenizer are made of its metadata.
#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"
#include "weights/gguf_config.h"
#include "weights/gguf_names.h"
#include "weights/gguf_tokenizer.h"

namespace {

template <typename Work>
void allow_errors(const Work& work) {
  try {
    work();
  } catch (const trireme::Error&) {
  }
}

void check_tensors(const trireme::GgufHeader& header, std::size_t size) {
  for (const trireme::GgufTensor& tensor : header.tensors) {
    TRIREME_ASSERT(tensor.offset <= size && tensor.bytes <= size - tensor.offset);
    if (tensor.type == nullptr) continue;
    TRIREME_ASSERT(static_cast<std::uint64_t>(tensor.elements()) / tensor.type->block *
                       tensor.type->bytes ==
                   tensor.bytes);
    for (const std::string_view architecture : trireme::gguf_architectures()) {
      (void)trireme::hugging_face_name(architecture, tensor.name);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace trireme;
  allow_errors([&] {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto header = parse_gguf_header(bytes, size, "fuzz");
    TRIREME_ASSERT(header.has_value());
    check_tensors(*header, size);
    GgufContents contents{header->metadata, {}, {}};
    for (const GgufTensor& tensor : header->tensors) contents.tensors.emplace(tensor.name, &tensor);
    allow_errors([&] { (void)gguf_config_json(contents); });
    contents.rope_factors = {1.0f, 8.0f};
    allow_errors([&] { (void)gguf_config_json(contents); });
    allow_errors([&] { (void)gguf_tokenizer_json(header->metadata); });
    allow_errors([&] { (void)gguf_tokenizer_config_json(header->metadata); });
  });
  return 0;
}
