// Text to token ids and back, as the `tokenizers` library of Hugging Face does it.
#include "text/tokenizer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/error.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

namespace trireme {

Tokenizer::Tokenizer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Tokenizer::~Tokenizer() = default;

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  // Positions in a word are 32 bits wide.
  constexpr std::size_t kMaxBytes = std::numeric_limits<std::int32_t>::max() / 8;
  if (text.size() > kMaxBytes) {
    fail(ErrorKind::input, "the text has {} bytes, more than {}", text.size(), kMaxBytes);
  }
  if (const auto offset = text::invalid_utf8_offset(text)) {
    fail(ErrorKind::input, "the text is not valid UTF-8: byte {} is 0x{:02X}", *offset,
         static_cast<unsigned char>(text[*offset]));
  }
  text::Splits splits = parts_->added_tokens.split(text, parts_->normalizer.get());
  if (parts_->pre_tokenizer) parts_->pre_tokenizer->apply(splits);
  std::vector<std::int32_t> ids;
  ids.reserve(text.size() / 3 + 4);
  text::Bpe::Scratch scratch;
  for (const text::Piece& piece : splits.pieces) {
    if (piece.id != text::Piece::kNoId) {
      ids.push_back(piece.id);
    } else {
      parts_->model->encode(splits.view(piece), scratch, ids);
    }
  }
  return add_special_tokens ? parts_->post_processor.apply(std::move(ids)) : ids;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special_tokens) const {
  std::string out;
  const auto decoding = start_decoding(out);
  for (const std::int32_t id : ids) feed(*decoding, id, skip_special_tokens);
  decoding->finish();
  return out;
}

std::unique_ptr<text::DecodeStage> Tokenizer::start_decoding(std::string& out) const {
  return parts_->decoder.start(out);
}

void Tokenizer::feed(text::DecodeStage& decoding, std::int32_t id, bool skip_special_tokens) const {
  std::string_view token = parts_->added_tokens.decoded_text(id);
  if (!token.data()) token = parts_->model->vocabulary().text(id);
  if (!token.data()) return;
  if (skip_special_tokens && parts_->added_tokens.is_special_text(token)) return;
  decoding.write(token);
  decoding.end_token();
}

std::int32_t Tokenizer::vocab_size() const {
  return std::max(parts_->model->vocabulary().end_id(), parts_->added_tokens.end_id());
}

std::optional<std::int32_t> Tokenizer::token_to_id(std::string_view token) const {
  const auto added = parts_->added_tokens.find(token);
  return added ? added : parts_->model->vocabulary().find(token);
}

std::optional<std::string_view> Tokenizer::id_to_token(std::int32_t id) const {
  if (parts_->added_tokens.has(id)) return parts_->added_tokens.content(id);
  if (parts_->model->vocabulary().has(id)) return parts_->model->vocabulary().text(id);
  return std::nullopt;
}

bool Tokenizer::is_special(std::int32_t id) const { return parts_->added_tokens.is_special(id); }

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens)
    : tokenizer_(tokenizer),
      skip_special_tokens_(skip_special_tokens),
      out_(std::make_unique<std::string>()),
      decoding_(tokenizer.start_decoding(*out_)) {}

StreamDecoder::~StreamDecoder() = default;

std::string StreamDecoder::push(std::int32_t id) {
  tokenizer_.feed(*decoding_, id, skip_special_tokens_);
  return std::exchange(*out_, {});
}

std::string StreamDecoder::finish() {
  decoding_->finish();
  decoding_ = tokenizer_.start_decoding(*out_);
  return std::exchange(*out_, {});
}

}  // namespace trireme
