// WordPiece and WordLevel.
#include "text/word_piece.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "text/json_view.h"
#include "text/utf8.h"

namespace trireme::text {
namespace {

// The tokens that begin with `prefix`, without it.
std::vector<Trie::Entry> entries(const TokenTable& vocabulary, std::string_view prefix) {
  std::vector<Trie::Entry> result;
  vocabulary.each([&](std::string_view token, std::int32_t id) {
    if (!token.starts_with(prefix)) return;
    if (token.size() > Trie::kMaxBytes) {
      fail(ErrorKind::input, "the token {} of the vocabulary has {} bytes, more than {}", id,
           token.size(), Trie::kMaxBytes);
    }
    result.push_back({token.substr(prefix.size()), id});
  });
  return result;
}

[[noreturn]] void fail_without_unk(std::string_view unk_token) {
  fail(ErrorKind::input,
       "a word is not in the tokenizer's vocabulary, and neither is its unk_token \"{}\"",
       unk_token);
}

}  // namespace

WordPiece::WordPiece(TokenTable vocabulary, WordPieceOptions options)
    : Model(std::move(vocabulary)),
      options_(std::move(options)),
      unk_id_(Model::vocabulary().find(options_.unk_token)),
      initial_(entries(Model::vocabulary(), "")),
      continuing_(entries(Model::vocabulary(), options_.continuing_subword_prefix)) {}

void WordPiece::encode(const Splits& splits, std::vector<std::int32_t>& ids) const {
  encode_pieces(splits, ids, [&](std::string_view word) { encode_word(word, ids); });
}

bool WordPiece::is_too_long(std::string_view word) const {
  std::int64_t left = options_.max_input_chars_per_word;
  if (static_cast<std::int64_t>(word.size()) <= left) return false;
  for (std::size_t at = 0; at < word.size(); at += utf8_length(word[at])) {
    if (left-- == 0) return true;
  }
  return false;
}

bool WordPiece::append_pieces(std::string_view word, std::vector<std::int32_t>& ids) const {
  for (std::size_t begin = 0; begin < word.size();) {
    std::size_t longest = 0;
    std::int32_t id = 0;
    (begin == 0 ? initial_ : continuing_)
        .prefixes(word.substr(begin), [&](std::size_t bytes, std::int32_t value) {
          longest = bytes;
          id = value;
        });
    if (longest == 0) return false;
    ids.push_back(id);
    begin += longest;
  }
  return true;
}

void WordPiece::encode_word(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (cache_.find(word, ids)) return;
  const std::size_t start = ids.size();
  if (is_too_long(word) || !append_pieces(word, ids)) {
    if (!unk_id_) fail_without_unk(options_.unk_token);
    ids.resize(start);
    ids.push_back(*unk_id_);
  }
  cache_.add(word, ids.data() + start, ids.size() - start);
}

WordLevel::WordLevel(TokenTable vocabulary, std::string unk_token)
    : Model(std::move(vocabulary)),
      unk_token_(std::move(unk_token)),
      unk_id_(Model::vocabulary().find(unk_token_)) {}

void WordLevel::encode(const Splits& splits, std::vector<std::int32_t>& ids) const {
  encode_pieces(splits, ids, [&](std::string_view word) {
    const auto id = vocabulary().find(word);
    if (!id && !unk_id_) fail_without_unk(unk_token_);
    ids.push_back(id ? *id : *unk_id_);
  });
}

std::unique_ptr<Model> read_word_piece(const JsonView& json) {
  WordPieceOptions options;
  options.unk_token = json.require("unk_token").as_string();
  options.continuing_subword_prefix = json.require("continuing_subword_prefix").as_string();
  options.max_input_chars_per_word = json.require("max_input_chars_per_word")
                                         .as_integer(0, std::numeric_limits<std::int64_t>::max());
  return std::make_unique<WordPiece>(read_vocabulary(json.require("vocab")), std::move(options));
}

std::unique_ptr<Model> read_word_level(const JsonView& json) {
  return std::make_unique<WordLevel>(read_vocabulary(json.require("vocab")),
                                     std::string(json.require("unk_token").as_string()));
}

TokenTable read_vocabulary_lines(std::string_view text, std::string_view name) {
  if (const auto offset = invalid_utf8_offset(text)) {
    fail(ErrorKind::input, "{}: not valid UTF-8: byte {}", name, *offset);
  }
  TokenTable table;
  std::int32_t id = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
    if (id == TokenTable::kMaxIds) {
      fail(ErrorKind::input, "{}: more than {} lines", name, TokenTable::kMaxIds);
    }
    table.add(text.substr(0, end), id++);
    // A line ends with \n, \r\n or \r, as Python reads text.
    text.remove_prefix(end);
    text.remove_prefix(text.starts_with("\r\n") ? 2 : std::min<std::size_t>(1, text.size()));
  }
  return table;
}

}  // namespace trireme::text
