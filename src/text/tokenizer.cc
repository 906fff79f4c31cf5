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

std::pair<std::size_t, std::size_t> longest_first(std::size_t first, std::size_t second,
                                                  std::size_t max_length) {
  if (first <= max_length && second <= max_length - first) return {first, second};
  const std::size_t shorter = std::min(first, second);
  std::size_t longer = shorter > max_length ? shorter : std::max(shorter, max_length - shorter);
  std::size_t other = shorter;
  if (longer > max_length || other > max_length - longer) {
    other = max_length / 2;
    longer = max_length - other;
  }
  return first > second ? std::pair(longer, other) : std::pair(other, longer);
}

std::vector<std::int32_t> Tokenizer::tokenize(std::string_view text) const {
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
  parts_->model->encode(splits, ids);
  return ids;
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  if (!add_special_tokens) return tokenize(text);
  return encode_segments(text, std::nullopt).ids;
}

Encoding Tokenizer::encode_segments(std::string_view first, std::optional<std::string_view> second,
                                    const EncodeOptions& options) const {
  const bool is_pair = second.has_value();
  std::vector<Encoding> texts;
  texts.push_back({tokenize(first), {}});
  if (is_pair) texts.push_back({tokenize(*second), {}});
  if (options.max_length != EncodeOptions::kUnlimited) {
    const std::size_t room = options.max_length - special_tokens_beside(is_pair, options);
    const auto [stay, also_stay] =
        longest_first(texts[0].ids.size(), is_pair ? texts[1].ids.size() : 0, room);
    texts[0].ids.resize(stay);
    if (is_pair) texts[1].ids.resize(also_stay);
  }
  return parts_->post_processor.apply(std::move(texts), options.add_special_tokens);
}

std::size_t Tokenizer::special_tokens_beside(bool is_pair, const EncodeOptions& options) const {
  if (!options.add_special_tokens) return 0;
  const std::size_t added = parts_->post_processor.added_tokens(is_pair);
  if (added > options.max_length) {
    fail(ErrorKind::input, "an encoding of at most {} tokens has no room for the {} special ones",
         options.max_length, added);
  }
  return added;
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
