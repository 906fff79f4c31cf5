// The stages of which decoders are made.
#include "text/decoder_stages.h"

#include <algorithm>

#include "text/byte_level.h"
#include "text/pattern_json.h"
#include "text/utf8.h"

namespace trireme::text {

void ByteLevelStage::token(std::string_view content) {
  append_from_byte_level(bytes_, content);
  flush(false);
}

void ByteLevelStage::flush(bool last) {
  repaired_.clear();
  bytes_.erase(0, append_lossy(repaired_, bytes_, last));
  if (!repaired_.empty()) next().write(repaired_);
}

void ByteLevelStage::finish() {
  flush(true);
  next().end_token();
  next().finish();
}

namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// The byte that a token like <0x0A> stands for, or -1. As in `tokenizers`, "+A" is a number too.
int byte_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  const int high = token[3] == '+' ? 0 : hex_value(token[3]);
  const int low = hex_value(token[4]);
  return high < 0 || low < 0 ? -1 : 16 * high + low;
}

}  // namespace

void ByteFallbackStage::token(std::string_view content) {
  if (const int byte = byte_token(content); byte >= 0) {
    bytes_ += static_cast<char>(byte);
    return;
  }
  flush();
  pass_on(content);
}

void ByteFallbackStage::flush() {
  if (bytes_.empty()) return;
  if (invalid_utf8_offset(bytes_)) {
    for (std::size_t i = 0; i < bytes_.size(); ++i) pass_on(kReplacementCharacter);
  } else {
    pass_on(bytes_);
  }
  bytes_.clear();
}

void ByteFallbackStage::finish() {
  flush();
  next().finish();
}

void FuseStage::finish() {
  next().end_token();
  next().finish();
}

void StripStage::write(std::string_view part) {
  while (to_strip_ > 0 && part.starts_with(content_)) {
    part.remove_prefix(content_.size());
    --to_strip_;
  }
  if (part.empty()) return;
  to_strip_ = 0;
  // Of the contents at the end, the last `stop_` stay behind.
  std::int64_t at_end = 0;
  std::string_view rest = part;
  while (rest.ends_with(content_)) {
    rest.remove_suffix(content_.size());
    ++at_end;
  }
  if (!rest.empty()) {
    for (; held_ > 0; --held_) next().write(content_);
    next().write(rest);
  }
  held_ += at_end;
  for (; held_ > stop_; --held_) next().write(content_);
}

void StripStage::end_token() {
  to_strip_ = start_;
  held_ = 0;
  next().end_token();
}

void ReplaceLiteralStage::write(std::string_view part) {
  pending_ += part;
  std::string_view rest = pending_;
  std::string out;
  for (std::size_t at; (at = rest.find(pattern_)) != std::string_view::npos;) {
    out += rest.substr(0, at);
    out += content_;
    rest.remove_prefix(at + pattern_.size());
  }
  std::size_t held = std::min(rest.size(), pattern_.size() - 1);
  while (!pattern_.starts_with(rest.substr(rest.size() - held))) --held;
  out += rest.substr(0, rest.size() - held);
  pending_.erase(0, pending_.size() - held);
  if (!out.empty()) next().write(out);
}

void ReplaceLiteralStage::end_token() {
  if (!pending_.empty()) next().write(pending_);
  pending_.clear();
  next().end_token();
}

void ReplacePatternStage::token(std::string_view content) {
  std::string out;
  append_replaced(out, content, pattern_, content_);
  pass_on(out);
}

void MetaspaceStage::write(std::string_view part) {
  while (!part.empty()) {
    const std::size_t at = part.find(replacement_);
    next().write(part.substr(0, at));
    if (at == std::string_view::npos) return;
    if (!dropping_) next().write(" ");
    part.remove_prefix(at + replacement_.size());
  }
}

void MetaspaceStage::end_token() {
  dropping_ = false;
  next().end_token();
}

namespace {

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  std::size_t at = text.find(what);
  if (at == std::string::npos) return;
  std::string out;
  std::size_t copied = 0;
  for (; at != std::string::npos; at = text.find(what, copied)) {
    out.append(text, copied, at - copied).append(by);
    copied = at + what.size();
  }
  text = out.append(text, copied, text.size() - copied);
}

}  // namespace

void WordPieceStage::token(std::string_view content) {
  constexpr std::pair<std::string_view, std::string_view> kCleanups[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  std::string out;
  if (first_) {
    out = content;
  } else if (content.starts_with(prefix_)) {
    out = content.substr(prefix_.size());
  } else {
    out.append(" ").append(content);
  }
  first_ = false;
  // Where there is no space there is nothing to clean up.
  if (cleanup_ && out.find(' ') != std::string::npos) {
    for (const auto& [what, by] : kCleanups) replace_all(out, what, by);
  }
  pass_on(out);
}

void JoinStage::start() {
  if (!started_ && !first_) next().write(" ");
  started_ = true;
}

void JoinStage::write(std::string_view part) {
  start();
  next().write(part);
}

void JoinStage::end_token() {
  start();
  first_ = started_ = false;
  next().end_token();
}

}  // namespace trireme::text
