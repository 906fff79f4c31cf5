// Any bytes as a tokenizer.json, up to a zero byte, and as a text for it after that. Whatever
// loads must encode, and must stream what it decodes.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "core/error.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace {

constexpr std::string_view kText = "Hello, w\xC3\xB6rld! <s> 123  \n\xE2\x96\x81 don't";

void use(const trireme::Tokenizer& tokenizer, std::string_view text) {
  const auto ids = tokenizer.encode(text);
  for (const bool skip : {true, false}) {
    trireme::StreamDecoder decoder(tokenizer, skip);
    std::string streamed;
    for (const std::int32_t id : ids) {
      const std::string part = decoder.push(id);
      TRIREME_ASSERT(!trireme::text::invalid_utf8_offset(part));
      streamed += part;
    }
    streamed += decoder.finish();
    TRIREME_ASSERT(streamed == tokenizer.decode(ids, skip));
  }
  const auto pair = tokenizer.encode_segments(text, "b", {.max_length = 20});
  TRIREME_ASSERT(pair.ids.size() == pair.type_ids.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t zero = std::min(input.find('\0'), size);
  try {
    const auto tokenizer = trireme::Tokenizer::from_json(input.substr(0, zero));
    use(*tokenizer, kText);
    use(*tokenizer, input.substr(std::min(zero + 1, size)).substr(0, 200));
  } catch (const trireme::Error&) {
  }
  return 0;
}
