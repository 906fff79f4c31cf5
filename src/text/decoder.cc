// The "decoder" of a tokenizer file: how tokens become text again, one token at a time.
#include "text/decoder.h"

#include <functional>
#include <limits>

#include "core/error.h"
#include "text/decoder_stages.h"
#include "text/json_view.h"
#include "text/pattern_json.h"
#include "text/utf8.h"

namespace trireme::text {
namespace {

// A step whose stages are made by a function, which keeps whatever they refer to alive.
class Step final : public DecodeStep {
 public:
  using Make = std::function<std::unique_ptr<DecodeStage>()>;
  explicit Step(Make make) : make_(std::move(make)) {}
  std::unique_ptr<DecodeStage> start() const override { return make_(); }

 private:
  Make make_;
};

std::unique_ptr<DecodeStep> make_step(Step::Make make) {
  return std::make_unique<Step>(std::move(make));
}

template <typename Stage>
std::unique_ptr<DecodeStep> plain_step() {
  return make_step([] { return std::make_unique<Stage>(); });
}

std::shared_ptr<const std::string> shared_text(const JsonView& json) {
  return std::make_shared<const std::string>(json.as_string());
}

std::shared_ptr<const std::string> one_character(const JsonView& json) {
  auto content = shared_text(json);
  if (content->empty() || utf8_length((*content)[0]) != content->size()) {
    fail(ErrorKind::input, "{}: expected one character", json.where());
  }
  return content;
}

std::unique_ptr<DecodeStep> read_strip(const JsonView& json) {
  constexpr auto kMost = std::numeric_limits<std::int32_t>::max();
  auto content = one_character(json.require("content"));
  const auto start = json.require("start").as_integer(0, kMost);
  const auto stop = json.require("stop").as_integer(0, kMost);
  return make_step([=] { return std::make_unique<StripStage>(*content, start, stop); });
}

std::unique_ptr<DecodeStep> read_replace(const JsonView& json) {
  const JsonView pattern = json.require("pattern");
  auto content = shared_text(json.require("content"));
  std::shared_ptr<const Pattern> found = read_pattern(pattern);
  if (const auto literal = pattern.find("String")) {
    auto text = shared_text(*literal);
    return make_step([=] { return std::make_unique<ReplaceLiteralStage>(*text, *content); });
  }
  return make_step([=] { return std::make_unique<ReplacePatternStage>(*found, *content); });
}

std::unique_ptr<DecodeStep> read_metaspace(const JsonView& json) {
  auto replacement = one_character(json.require("replacement"));
  const auto scheme = json.find("prepend_scheme");
  const bool drop_first =
      (!scheme || scheme->as_string() != "never") && json.flag("add_prefix_space", true);
  return make_step([=] { return std::make_unique<MetaspaceStage>(*replacement, drop_first); });
}

std::unique_ptr<DecodeStep> word_piece_step(std::string_view prefix, bool cleanup) {
  auto kept = std::make_shared<const std::string>(prefix);
  return make_step([=] { return std::make_unique<WordPieceStage>(*kept, cleanup); });
}

void read_into(const JsonView& json, Decoder& decoder) {
  const std::string_view type = json.require("type").as_string();
  if (type == "Sequence") {
    json.require("decoders").each([&](const JsonView& item) { read_into(item, decoder); });
  } else if (type == "ByteLevel") {
    decoder.add(plain_step<ByteLevelStage>());
  } else if (type == "ByteFallback") {
    decoder.add(plain_step<ByteFallbackStage>());
  } else if (type == "Fuse") {
    decoder.add(plain_step<FuseStage>());
  } else if (type == "Strip") {
    decoder.add(read_strip(json));
  } else if (type == "Replace") {
    decoder.add(read_replace(json));
  } else if (type == "Metaspace") {
    decoder.add(read_metaspace(json));
  } else if (type == "WordPiece") {
    decoder.add(
        word_piece_step(json.require("prefix").as_string(), json.require("cleanup").as_bool()));
  } else {
    fail(ErrorKind::input,
         "{}: unknown decoder \"{}\"; the known ones are Sequence, ByteLevel, ByteFallback, Fuse, "
         "Strip, Replace, Metaspace and WordPiece",
         json.where(), type);
  }
}

}  // namespace

std::unique_ptr<DecodeStage> Decoder::start(std::string& out) const {
  std::unique_ptr<DecodeStage> first = std::make_unique<SinkStage>(out);
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
    auto stage = (*step)->start();
    stage->set_next(std::move(first));
    first = std::move(stage);
  }
  return first;
}

Decoder read_decoder(const JsonView& json) {
  Decoder decoder;
  read_into(json, decoder);
  return decoder;
}

Decoder make_byte_level_decoder() {
  Decoder decoder;
  decoder.add(plain_step<ByteLevelStage>());
  return decoder;
}

Decoder make_word_piece_decoder() {
  Decoder decoder;
  decoder.add(word_piece_step("##", true));
  return decoder;
}

Decoder make_metaspace_decoder(bool drop_first) {
  Decoder decoder;
  decoder.add(
      make_step([=] { return std::make_unique<MetaspaceStage>("\xE2\x96\x81", drop_first); }));
  return decoder;
}

Decoder make_joining_decoder() {
  Decoder decoder;
  decoder.add(plain_step<JoinStage>());
  return decoder;
}

}  // namespace trireme::text
