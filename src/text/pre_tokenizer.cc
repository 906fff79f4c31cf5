// The "pre_tokenizer" of a tokenizer file: how the normalized text is cut into words.
#include "text/pre_tokenizer.h"

#include <algorithm>

#include "core/error.h"
#include "text/byte_level.h"
#include "text/json_view.h"
#include "text/pattern_json.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace trireme::text {
namespace {

using Steps = std::vector<std::unique_ptr<PreTokenizer>>;

class Sequence final : public PreTokenizer {
 public:
  explicit Sequence(Steps steps) : steps_(std::move(steps)) {}
  void apply(Splits& splits) const override {
    for (const auto& step : steps_) step->apply(splits);
  }

 private:
  Steps steps_;
};

class Split final : public PreTokenizer {
 public:
  Split(std::unique_ptr<Pattern> pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void apply(Splits& splits) const override { splits.split(*pattern_, behavior_, invert_); }

 private:
  std::unique_ptr<Pattern> pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

// Rewrites every piece without an id: `rewrite(piece, out)` appends its new text to `out` and
// returns the piece's new origin.
template <typename Rewrite>
void rewrite_pieces(Splits& splits, Rewrite rewrite) {
  std::string out;
  out.reserve(2 * splits.text.size());
  for (Piece& piece : splits.pieces) {
    const std::size_t begin = out.size();
    if (piece.id == Piece::kNoId) {
      piece.origin = rewrite(piece, out);
    } else {
      out += splits.view(piece);
    }
    piece.begin = begin;
    piece.end = out.size();
  }
  splits.text = std::move(out);
}

class ByteLevel final : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, std::unique_ptr<Pattern> pattern)
      : add_prefix_space_(add_prefix_space), pattern_(std::move(pattern)) {}

  void apply(Splits& splits) const override {
    if (add_prefix_space_) prefix(splits);
    if (pattern_) splits.split(*pattern_, SplitBehavior::isolated, false);
    rewrite_pieces(splits, [&](const Piece& piece, std::string& out) {
      const std::size_t begin = out.size();
      append_byte_level(out, splits.view(piece).substr(0, piece.origin));
      const std::size_t origin = out.size() - begin;
      append_byte_level(out, splits.view(piece).substr(piece.origin));
      return origin;
    });
  }

 private:
  static void prefix(Splits& splits) {
    rewrite_pieces(splits, [&](const Piece& piece, std::string& out) {
      const std::string_view text = splits.view(piece);
      const bool add = !text.starts_with(' ');
      if (add) out += ' ';
      out += text;
      return piece.origin > 0 ? piece.origin + (add ? 1 : 0) : 0;
    });
  }

  bool add_prefix_space_;
  std::unique_ptr<Pattern> pattern_;
};

class Metaspace final : public PreTokenizer {
 public:
  using Prepend = MetaspacePrepend;

  Metaspace(std::string replacement, Prepend prepend, bool split)
      : replacement_(std::move(replacement)), prepend_(prepend) {
    if (split) pattern_ = std::make_unique<Literal>(replacement_, "Metaspace");
  }

  void apply(Splits& splits) const override {
    rewrite_pieces(splits, [&](const Piece& piece, std::string& out) {
      const std::size_t begin = out.size();
      const std::string_view text = splits.view(piece);
      const bool add = prepend_ == Prepend::always || (prepend_ == Prepend::first && piece.origin);
      if (add && !text.starts_with(' ') && !text.starts_with(replacement_)) out += replacement_;
      std::size_t origin = 0;
      for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] == ' ') {
          out += replacement_;
        } else {
          out += text[at];
        }
        if (at < piece.origin) origin = out.size() - begin;
      }
      return origin;
    });
    if (pattern_) splits.split(*pattern_, SplitBehavior::merged_with_next, false);
  }

 private:
  std::string replacement_;
  Prepend prepend_;
  std::unique_ptr<Pattern> pattern_;
};

// Words at white space, with every punctuation character a word of its own.
class BertWords final : public PreTokenizer {
 public:
  void apply(Splits& splits) const override {
    std::vector<Piece> result;
    result.reserve(splits.text.size() / 4 + splits.pieces.size());
    for (const Piece& piece : splits.pieces) {
      if (piece.id != Piece::kNoId) {
        result.push_back(piece);
      } else {
        cut(splits.text, piece, result);
      }
    }
    splits.pieces = std::move(result);
  }

 private:
  static void cut(std::string_view text, const Piece& piece, std::vector<Piece>& result) {
    const std::size_t origin_end = piece.begin + piece.origin;
    const auto add = [&](std::size_t begin, std::size_t end) {
      if (begin == end) return;
      result.push_back({begin, end, std::clamp(origin_end, begin, end) - begin});
    };
    std::size_t word = piece.begin;
    for (std::size_t at = piece.begin; at < piece.end;) {
      const std::size_t here = at;
      const char32_t c = next_code_point(text, at);
      const bool space = is_white_space(c);
      if (!space && !is_punctuation(c)) continue;
      add(word, here);
      if (!space) add(here, at);
      word = at;
    }
    add(word, piece.end);
  }
};

SplitBehavior read_behavior(const JsonView& json) {
  const std::string_view name = json.as_string();
  if (name == "Removed") return SplitBehavior::removed;
  if (name == "Isolated") return SplitBehavior::isolated;
  if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
  if (name == "Contiguous") return SplitBehavior::contiguous;
  fail(ErrorKind::input,
       "{}: unknown behaviour \"{}\"; the known ones are Removed, Isolated, MergedWithPrevious, "
       "MergedWithNext and Contiguous",
       json.where(), name);
}

std::unique_ptr<PreTokenizer> read_metaspace(const JsonView& json) {
  auto prepend = MetaspacePrepend::always;
  if (const auto scheme = json.find("prepend_scheme")) {
    const std::string_view name = scheme->as_string();
    if (name == "first") prepend = MetaspacePrepend::first;
    if (name == "never") prepend = MetaspacePrepend::never;
    if (name != "always" && name != "first" && name != "never") {
      fail(ErrorKind::input, "{}: unknown scheme \"{}\"; expected always, first or never",
           scheme->where(), name);
    }
  }
  // Files of before 2023 say add_prefix_space instead.
  if (!json.flag("add_prefix_space", true)) prepend = MetaspacePrepend::never;
  const JsonView replacement = json.require("replacement");
  const std::string_view content = replacement.as_string();
  if (content.empty() || utf8_length(content[0]) != content.size()) {
    fail(ErrorKind::input, "{}: expected one character", replacement.where());
  }
  return std::make_unique<Metaspace>(std::string(content), prepend, json.flag("split", true));
}

std::unique_ptr<PreTokenizer> split_characters(CharacterPattern::Predicate predicate,
                                               SplitBehavior behavior) {
  return std::make_unique<Split>(std::make_unique<CharacterPattern>(predicate), behavior, false);
}

std::unique_ptr<Pattern> regex(std::string_view pattern) {
  return std::make_unique<Regex>(pattern, "the built-in pattern");
}

}  // namespace

std::unique_ptr<PreTokenizer> read_pre_tokenizer(const JsonView& json) {
  const std::string_view type = json.require("type").as_string();
  if (type == "Sequence") {
    Steps steps;
    json.require("pretokenizers").each([&](const JsonView& step) {
      steps.push_back(read_pre_tokenizer(step));
    });
    return std::make_unique<Sequence>(std::move(steps));
  }
  if (type == "ByteLevel") {
    return std::make_unique<ByteLevel>(
        json.require("add_prefix_space").as_bool(),
        json.flag("use_regex", true) ? regex(kGpt2Pattern) : nullptr);
  }
  if (type == "Split") {
    return std::make_unique<Split>(read_pattern(json.require("pattern")),
                                   read_behavior(json.require("behavior")),
                                   json.flag("invert", false));
  }
  if (type == "Metaspace") return read_metaspace(json);
  if (type == "Digits") {
    return split_characters(is_numeric, json.flag("individual_digits", false)
                                            ? SplitBehavior::isolated
                                            : SplitBehavior::contiguous);
  }
  if (type == "Punctuation") {
    const auto behavior = json.find("behavior");
    return split_characters(is_punctuation,
                            behavior ? read_behavior(*behavior) : SplitBehavior::isolated);
  }
  if (type == "BertPreTokenizer") return make_bert_pre_tokenizer();
  if (type == "WhitespaceSplit") return split_characters(is_white_space, SplitBehavior::removed);
  if (type == "Whitespace") {
    return std::make_unique<Split>(std::make_unique<WordPattern>(), SplitBehavior::removed, true);
  }
  fail(ErrorKind::input,
       "{}: unknown pre-tokenizer \"{}\"; the known ones are Sequence, ByteLevel, Split, "
       "Metaspace, Digits, Punctuation, Whitespace, WhitespaceSplit and BertPreTokenizer",
       json.where(), type);
}

std::unique_ptr<PreTokenizer> make_gpt2_pre_tokenizer(bool add_prefix_space) {
  return std::make_unique<ByteLevel>(add_prefix_space, regex(kGpt2Pattern));
}

std::unique_ptr<PreTokenizer> make_bert_pre_tokenizer() { return std::make_unique<BertWords>(); }

std::unique_ptr<PreTokenizer> make_metaspace_pre_tokenizer(MetaspacePrepend prepend) {
  return std::make_unique<Metaspace>("\xE2\x96\x81", prepend, true);
}

std::unique_ptr<PreTokenizer> make_qwen2_pre_tokenizer() {
  Steps steps;
  steps.push_back(std::make_unique<Split>(
      regex(R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+)"
            R"([\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"),
      SplitBehavior::isolated, false));
  steps.push_back(std::make_unique<ByteLevel>(false, nullptr));
  return std::make_unique<Sequence>(std::move(steps));
}

}  // namespace trireme::text
