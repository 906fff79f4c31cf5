// The normalizer of BERT.
#include "text/bert_normalizer.h"

#include "text/unicode.h"
#include "text/utf8.h"

namespace trireme::text {
namespace {

// The blocks of ideographs as BERT has them. `tokenizers` begins the sixth at U+2B920, not U+2B820.
bool is_ideograph(char32_t c) {
  const auto in = [c](char32_t first, char32_t last) { return c >= first && c <= last; };
  return in(0x4E00, 0x9FFF) || in(0x3400, 0x4DBF) || in(0x20000, 0x2A6DF) || in(0x2A700, 0x2B73F) ||
         in(0x2B740, 0x2B81F) || in(0x2B920, 0x2CEAF) || in(0xF900, 0xFAFF) || in(0x2F800, 0x2FA1F);
}

class BertNormalizer final : public Normalizer {
 public:
  explicit BertNormalizer(const BertNormalizerOptions& options)
      : options_(options), strip_accents_(options.strip_accents.value_or(options.lowercase)) {}

  void apply(NormalizedText& text) const override {
    bool is_ascii = true;
    rewrite_characters(text, [&](char32_t c, std::string& out) {
      if (c >= 0x80) is_ascii = false;
      append_clean(c, out);
    });
    if (is_ascii) return;
    if (strip_accents_) {
      normalize_to(text, Form::nfd);
      rewrite_characters(text, [](char32_t c, std::string& out) {
        if (!is_nonspacing_mark(c)) append_utf8(out, c);
      });
    }
    if (options_.lowercase) rewrite_characters(text, append_lowercase_to);
  }

 private:
  // ASCII is lowercased at once: no accent changes that.
  void append_clean(char32_t c, std::string& out) const {
    if (options_.clean_text) {
      if (is_removed_by_clean_text(c)) return;
      if (is_white_space(c)) c = ' ';
    }
    if (c < 0x80) {
      const bool to_lower = options_.lowercase && c >= 'A' && c <= 'Z';
      out.push_back(static_cast<char>(to_lower ? c + 32 : c));
    } else if (options_.handle_chinese_chars && is_ideograph(c)) {
      out.push_back(' ');
      append_utf8(out, c);
      out.push_back(' ');
    } else {
      append_utf8(out, c);
    }
  }

  static void append_lowercase_to(char32_t c, std::string& out) { append_lowercase(out, c); }

  BertNormalizerOptions options_;
  bool strip_accents_;
};

}  // namespace

std::unique_ptr<Normalizer> make_bert_normalizer(const BertNormalizerOptions& options) {
  return std::make_unique<BertNormalizer>(options);
}

}  // namespace trireme::text
