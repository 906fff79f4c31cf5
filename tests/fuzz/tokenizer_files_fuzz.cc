// Any bytes as the files that come before tokenizer.json. The first byte says which: spiece.model,
// vocab.txt, or the rules of the normalizer Precompiled, which tokenizer.json has in base64.
// Whatever loads must encode a pair and decode it again.
#include <cstdint>
#include <map>
#include <string>

#include "core/error.h"
#include "text/charsmap.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace {

class Texts : public trireme::ModelTexts {
 public:
  Texts(std::string name, std::string_view content) { texts_[std::move(name)] = content; }

  std::string where() const override { return "fuzz"; }
  std::string where(std::string_view name) const override { return std::string(name); }
  std::optional<std::string> read(std::string_view name) const override {
    const auto found = texts_.find(name);
    return found == texts_.end() ? std::nullopt : std::optional(found->second);
  }
  std::vector<std::string> names_in(std::string_view) const override { return {}; }

 private:
  std::map<std::string, std::string, std::less<>> texts_;
};

// A text with the bytes of the file in it, as far as they are one.
std::string text_of(std::string_view bytes) {
  std::string text = "Hello, w\xC3\xB6rld! e\xCC\x81\r\n\xE2\x96\x81 <extra_id_0>\xE4\xB8\x80 ";
  trireme::text::append_lossy(text, bytes.substr(0, 200), true);
  return text;
}

void use(const trireme::Tokenizer& tokenizer, const std::string& text) {
  const auto pair = tokenizer.encode_segments(text, "b", {.max_length = 50});
  TRIREME_ASSERT(pair.ids.size() <= 50 && pair.ids.size() == pair.type_ids.size());
  const auto ids = tokenizer.encode(text);
  trireme::StreamDecoder decoder(tokenizer);
  std::string streamed;
  for (const std::int32_t id : ids) streamed += decoder.push(id);
  streamed += decoder.finish();
  TRIREME_ASSERT(streamed == tokenizer.decode(ids));
  TRIREME_ASSERT(!trireme::text::invalid_utf8_offset(streamed));
}

void normalize(std::string_view bytes) {
  const auto rules = trireme::text::make_precompiled(trireme::text::Charsmap(bytes, "fuzz"));
  trireme::text::NormalizedText text{text_of(bytes), 1};
  rules->apply(text);
  TRIREME_ASSERT(!trireme::text::invalid_utf8_offset(text.text));
  TRIREME_ASSERT(text.origin <= text.text.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    if (data[0] == 'r') {
      normalize(input);
    } else {
      const std::string name = data[0] == 'v' ? "vocab.txt" : "spiece.model";
      use(*trireme::Tokenizer::load(Texts(name, input)), text_of(input));
    }
  } catch (const trireme::Error&) {
  }
  return 0;
}
