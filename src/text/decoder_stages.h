// The stages of which decoders are made; decoder.cc puts them together.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "text/decoder.h"
#include "text/regex.h"

namespace trireme::text {

/// A stage that needs the whole of a token before it can do anything with it.
class WholeTokenStage : public DecodeStage {
 public:
  void write(std::string_view part) final { token_ += part; }
  void end_token() final {
    token(token_);
    token_.clear();
  }

 protected:
  virtual void token(std::string_view content) = 0;
  void pass_on(std::string_view content) {
    next().write(content);
    next().end_token();
  }

 private:
  std::string token_;
};

/// Makes one token of all, read as GPT-2's byte-level alphabet. Holds back an incomplete character.
class ByteLevelStage final : public WholeTokenStage {
 public:
  void finish() override;

 private:
  void token(std::string_view content) override;
  void flush(bool last);

  std::string bytes_;
  std::string repaired_;
};

/// Turns runs of tokens such as <0xE2> into the text that their bytes are; if they are not valid
/// UTF-8, every byte becomes U+FFFD. A run is decided only when another token ends it.
class ByteFallbackStage final : public WholeTokenStage {
 public:
  void finish() override;

 private:
  void token(std::string_view content) override;
  void flush();

  std::string bytes_;
};

/// Makes one token of all.
class FuseStage final : public DecodeStage {
 public:
  void write(std::string_view part) override { next().write(part); }
  void end_token() override {}
  void finish() override;
};

/// Removes up to `start` times `content` (one character) from the front of every token and up to
/// `stop` times from its back. Holds back what may be the back.
class StripStage final : public DecodeStage {
 public:
  StripStage(std::string_view content, std::int64_t start, std::int64_t stop)
      : content_(content), start_(start), stop_(stop), to_strip_(start) {}
  void write(std::string_view part) override;
  void end_token() override;

 private:
  std::string_view content_;
  std::int64_t start_, stop_;
  std::int64_t to_strip_;  // how many more may go from the front of this token
  std::int64_t held_ = 0;  // how many are held back at its end
};

/// Replaces every occurrence of a string in every token. Holds back what may begin one.
class ReplaceLiteralStage final : public DecodeStage {
 public:
  ReplaceLiteralStage(std::string_view pattern, std::string_view content)
      : pattern_(pattern), content_(content) {}
  void write(std::string_view part) override;
  void end_token() override;

 private:
  std::string_view pattern_, content_;
  std::string pending_;
};

/// Replaces every match of a pattern in every token.
class ReplacePatternStage final : public WholeTokenStage {
 public:
  ReplacePatternStage(const Pattern& pattern, std::string_view content)
      : pattern_(pattern), content_(content) {}

 private:
  void token(std::string_view content) override;

  const Pattern& pattern_;
  std::string_view content_;
};

/// Turns sentencepiece's space (one character) back into a space; in the first token, with
/// `drop_first`, into nothing.
class MetaspaceStage final : public DecodeStage {
 public:
  MetaspaceStage(std::string_view replacement, bool drop_first)
      : replacement_(replacement), dropping_(drop_first) {}
  void write(std::string_view part) override;
  void end_token() override;

 private:
  std::string_view replacement_;
  bool dropping_;
};

/// Puts a space between words: before a token that does not begin with `prefix`, which goes. With
/// `cleanup`, takes the space from English punctuation and contractions.
class WordPieceStage final : public WholeTokenStage {
 public:
  WordPieceStage(std::string_view prefix, bool cleanup) : prefix_(prefix), cleanup_(cleanup) {}

 private:
  void token(std::string_view content) override;

  std::string_view prefix_;
  bool cleanup_;
  bool first_ = true;
};

/// Puts a space between tokens.
class JoinStage final : public DecodeStage {
 public:
  void write(std::string_view part) override;
  void end_token() override;

 private:
  bool first_ = true;
  bool started_ = false;  // within a token, and the space before it is written
  void start();
};

/// The end: appends everything to a string.
class SinkStage final : public DecodeStage {
 public:
  explicit SinkStage(std::string& out) : out_(out) {}
  void write(std::string_view part) override { out_ += part; }
  void end_token() override {}
  void finish() override {}

 private:
  std::string& out_;
};

}  // namespace trireme::text
