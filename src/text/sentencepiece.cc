// SentencePiece's model files: what a tokenizer needs of them.
#include "text/sentencepiece.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "text/token_table.h"
#include "text/utf8.h"

namespace trireme::text {
namespace {

/// Walks over the fields of one message (https://protobuf.dev/programming-guides/encoding).
class Message {
 public:
  Message(std::string_view bytes, std::string_view where) : rest_(bytes), where_(where) {}

  /// Moves to the next field; false behind the last one.
  bool next() {
    if (rest_.empty()) return false;
    const std::uint64_t key = varint();
    field_ = key >> 3;
    wire_ = static_cast<Wire>(key & 7);
    switch (wire_) {
      case Wire::varint:
        number_ = varint();
        return true;
      case Wire::fixed64:
        bytes_ = take(8);
        return true;
      case Wire::bytes:
        bytes_ = take(varint());
        return true;
      case Wire::fixed32:
        bytes_ = take(4);
        return true;
    }
    damaged("a field of wire type {}", key & 7);
  }

  std::uint64_t field() const { return field_; }
  std::int64_t number() const {
    expect(Wire::varint);
    return static_cast<std::int64_t>(number_);
  }
  std::string_view bytes() const {
    expect(Wire::bytes);
    return bytes_;
  }
  float real() const {
    expect(Wire::fixed32);
    float value = 0;
    static_assert(std::endian::native == std::endian::little);
    std::memcpy(&value, bytes_.data(), sizeof(value));
    return value;
  }

 private:
  enum class Wire { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

  template <typename... Args>
  [[noreturn]] void damaged(fmt::format_string<Args...> what, Args&&... args) const {
    fail(ErrorKind::input, "{}: not a SentencePiece model, or damaged: {}, {} bytes before the end",
         where_, fmt::format(what, std::forward<Args>(args)...), rest_.size());
  }
  void expect(Wire wire) const {
    if (wire_ != wire) damaged("field {} has another type than it should", field_);
  }
  std::string_view take(std::uint64_t count) {
    if (count > rest_.size()) damaged("a field of {} bytes", count);
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    damaged("a number of more than ten bytes");
  }

  std::string_view rest_, where_;
  std::uint64_t field_ = 0;
  Wire wire_ = Wire::varint;
  std::uint64_t number_ = 0;
  std::string_view bytes_;
};

SentencePieceModel::Piece read_piece(std::string_view bytes, std::string_view where) {
  SentencePieceModel::Piece piece;
  for (Message message(bytes, where); message.next();) {
    if (message.field() == 1) piece.text = message.bytes();
    if (message.field() == 2) piece.score = message.real();
    if (message.field() == 3) piece.type = message.number();
  }
  if (invalid_utf8_offset(piece.text)) {
    fail(ErrorKind::input, "{}: a piece of the vocabulary is not valid UTF-8", where);
  }
  if (!std::isfinite(piece.score)) {
    fail(ErrorKind::input, "{}: the score of the piece \"{}\" is {}", where, piece.text,
         piece.score);
  }
  return piece;
}

void read_trainer(std::string_view bytes, std::string_view where, SentencePieceModel& model) {
  for (Message message(bytes, where); message.next();) {
    if (message.field() == 3) model.model_type = message.number();
    if (message.field() == 40) model.unk_id = message.number();
  }
}

void read_normalizer(std::string_view bytes, std::string_view where, SentencePieceModel& model) {
  for (Message message(bytes, where); message.next();) {
    if (message.field() == 2) model.charsmap = message.bytes();
  }
}

}  // namespace

SentencePieceModel read_sentencepiece(std::string_view bytes, std::string_view where) {
  SentencePieceModel model;
  for (Message message(bytes, where); message.next();) {
    if (message.field() == 1) model.pieces.push_back(read_piece(message.bytes(), where));
    if (message.field() == 2) read_trainer(message.bytes(), where, model);
    if (message.field() == 3) read_normalizer(message.bytes(), where, model);
    if (model.pieces.size() > static_cast<std::size_t>(TokenTable::kMaxIds)) {
      fail(ErrorKind::input, "{}: more than {} pieces", where, TokenTable::kMaxIds);
    }
  }
  if (model.pieces.empty()) {
    fail(ErrorKind::input, "{}: not a SentencePiece model: it has no pieces", where);
  }
  return model;
}

}  // namespace trireme::text
