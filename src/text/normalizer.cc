// The "normalizer" of a tokenizer file: what happens to the text before it is cut into words.
#include "text/normalizer.h"

#include <algorithm>

#include "core/error.h"
#include "text/bert_normalizer.h"
#include "text/byte_level.h"
#include "text/charsmap.h"
#include "text/json_view.h"
#include "text/pattern_json.h"

namespace trireme::text {
namespace {

class Sequence final : public Normalizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<Normalizer>> steps) : steps_(std::move(steps)) {}
  void apply(NormalizedText& text) const override {
    for (const auto& step : steps_) step->apply(text);
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> steps_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string_view prefix) : prefix_(prefix) {}
  void apply(NormalizedText& text) const override {
    if (text.text.empty()) return;
    text.text.insert(0, prefix_);
    if (text.origin > 0) text.origin += prefix_.size();
  }

 private:
  std::string prefix_;
};

class Replace final : public Normalizer {
 public:
  Replace(std::unique_ptr<Pattern> pattern, std::string_view content)
      : pattern_(std::move(pattern)), content_(content) {}

  void apply(NormalizedText& text) const override {
    std::vector<Match> matches;
    pattern_->find(text.text, matches);
    std::string out;
    std::size_t origin = 0;
    for (const Match& match : matches) {
      const bool at_origin = match.end <= text.origin;
      if (match.is_match) {
        out += content_;
      } else {
        out += std::string_view(text.text).substr(match.begin, match.end - match.begin);
      }
      if (at_origin) {
        origin = out.size();
      } else if (!match.is_match && text.origin > match.begin) {
        origin = out.size() - (match.end - text.origin);
      }
    }
    text = {std::move(out), origin};
  }

 private:
  std::unique_ptr<Pattern> pattern_;
  std::string content_;
};

class UnicodeForm final : public Normalizer {
 public:
  explicit UnicodeForm(Form form) : form_(form) {}
  void apply(NormalizedText& text) const override { normalize_to(text, form_); }

 private:
  Form form_;
};

class Lowercase final : public Normalizer {
 public:
  void apply(NormalizedText& text) const override {
    rewrite_characters(text, [](char32_t c, std::string& out) { append_lowercase(out, c); });
  }
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void apply(NormalizedText& text) const override {
    std::size_t begin = 0;
    for (std::size_t at = 0; left_ && at < text.text.size(); begin = at) {
      if (!is_white_space(next_code_point(text.text, at))) break;
    }
    std::size_t end = text.text.size();
    for (std::size_t at = end; right_ && at > begin; end = at) {
      if (!is_white_space(previous_code_point(text.text, at))) break;
    }
    text.origin = text.origin > begin ? text.origin - begin : 0;
    text.text = text.text.substr(begin, end - begin);
  }

 private:
  bool left_, right_;
};

class StripAccents final : public Normalizer {
 public:
  void apply(NormalizedText& text) const override {
    rewrite_characters(text, [](char32_t c, std::string& out) {
      if (!is_combining_mark(c)) append_utf8(out, c);
    });
  }
};

// The characters that sentencepiece's nmt_nfkc removes or makes spaces.
class Nmt final : public Normalizer {
 public:
  void apply(NormalizedText& text) const override {
    rewrite_characters(text, [](char32_t c, std::string& out) {
      if (!is_removed(c)) append_utf8(out, is_space(c) ? U' ' : c);
    });
  }

 private:
  static bool is_removed(char32_t c) {
    return (c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F ||
           c == 0x8F || c == 0x9F;
  }
  static bool is_space(char32_t c) {
    return c == 0x9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
           (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
           c == 0xFEFF || c == 0xFFFD;
  }
};

class ByteLevel final : public Normalizer {
 public:
  void apply(NormalizedText& text) const override {
    std::string out;
    append_byte_level(out, std::string_view(text.text).substr(0, text.origin));
    const std::size_t origin = out.size();
    append_byte_level(out, std::string_view(text.text).substr(text.origin));
    text = {std::move(out), origin};
  }
};

std::unique_ptr<Normalizer> read_bert(const JsonView& json) {
  BertNormalizerOptions options;
  options.clean_text = json.flag("clean_text", true);
  options.handle_chinese_chars = json.flag("handle_chinese_chars", true);
  if (const auto strip = json.find("strip_accents")) options.strip_accents = strip->as_bool();
  options.lowercase = json.flag("lowercase", true);
  return make_bert_normalizer(options);
}

std::unique_ptr<Normalizer> read_precompiled(const JsonView& json) {
  const JsonView charsmap = json.require("precompiled_charsmap");
  const auto bytes = from_base64(charsmap.as_string());
  if (!bytes) fail(ErrorKind::input, "{}: not valid base64", charsmap.where());
  return make_precompiled(Charsmap(*bytes, charsmap.where()));
}

}  // namespace

void normalize_to(NormalizedText& text, Form form) {
  text.text = normalize(text.text, form);
  if (text.origin > 0) text.origin = text.text.empty() ? 0 : utf8_length(text.text[0]);
}

std::unique_ptr<Normalizer> read_normalizer(const JsonView& json) {
  const std::string_view type = json.require("type").as_string();
  if (type == "Sequence") {
    std::vector<std::unique_ptr<Normalizer>> steps;
    json.require("normalizers").each([&](const JsonView& step) {
      steps.push_back(read_normalizer(step));
    });
    return std::make_unique<Sequence>(std::move(steps));
  }
  if (type == "Prepend") return std::make_unique<Prepend>(json.require("prepend").as_string());
  if (type == "Replace") {
    return std::make_unique<Replace>(read_pattern(json.require("pattern")),
                                     json.require("content").as_string());
  }
  if (type == "NFC") return std::make_unique<UnicodeForm>(Form::nfc);
  if (type == "NFD") return std::make_unique<UnicodeForm>(Form::nfd);
  if (type == "NFKC") return std::make_unique<UnicodeForm>(Form::nfkc);
  if (type == "NFKD") return std::make_unique<UnicodeForm>(Form::nfkd);
  if (type == "Lowercase") return std::make_unique<Lowercase>();
  if (type == "Strip") {
    return std::make_unique<Strip>(json.flag("strip_left", true), json.flag("strip_right", true));
  }
  if (type == "StripAccents") return std::make_unique<StripAccents>();
  if (type == "ByteLevel") return std::make_unique<ByteLevel>();
  if (type == "BertNormalizer") return read_bert(json);
  if (type == "Nmt") return std::make_unique<Nmt>();
  if (type == "Precompiled") return read_precompiled(json);
  fail(ErrorKind::input,
       "{}: unknown normalizer \"{}\"; the known ones are Sequence, Prepend, Replace, NFC, NFD, "
       "NFKC, NFKD, Lowercase, Strip, StripAccents, ByteLevel, BertNormalizer, Nmt and Precompiled",
       json.where(), type);
}

std::unique_ptr<Normalizer> make_nfc_normalizer() {
  return std::make_unique<UnicodeForm>(Form::nfc);
}

std::unique_ptr<Normalizer> make_sentencepiece_normalizer(std::unique_ptr<Normalizer> first) {
  std::vector<std::unique_ptr<Normalizer>> steps;
  if (first) steps.push_back(std::move(first));
  steps.push_back(std::make_unique<Strip>(false, true));
  steps.push_back(std::make_unique<Replace>(
      std::make_unique<Regex>(" {2,}", "the built-in pattern"), "\xE2\x96\x81"));
  return std::make_unique<Sequence>(std::move(steps));
}

}  // namespace trireme::text
