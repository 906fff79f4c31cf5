// Unigram: the cut of a word into tokens whose scores have the largest sum.
#include "text/unigram.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "text/utf8.h"

namespace trireme::text {
namespace {

// How much worse than the worst token an unknown character is.
constexpr double kUnknownPenalty = 10.0;

TokenTable table_of(const std::vector<ScoredToken>& tokens, std::string_view where) {
  if (tokens.size() > static_cast<std::size_t>(TokenTable::kMaxIds)) {
    fail(ErrorKind::input, "{}: {} tokens, more than {}", where, tokens.size(),
         TokenTable::kMaxIds);
  }
  TokenTable table;
  table.reserve(tokens.size());
  std::int32_t id = 0;
  for (const ScoredToken& token : tokens) table.add(token.text, id++);
  return table;
}

std::vector<Trie::Entry> entries(const TokenTable& vocabulary, std::string_view where) {
  std::vector<Trie::Entry> result;
  vocabulary.each([&](std::string_view token, std::int32_t id) {
    if (token.size() > Trie::kMaxBytes) {
      fail(ErrorKind::input, "{}: the token {} has {} bytes, more than {}", where, id, token.size(),
           Trie::kMaxBytes);
    }
    result.push_back({token, id});
  });
  return result;
}

double worst_score(const std::vector<ScoredToken>& tokens) {
  double worst = std::numeric_limits<double>::infinity();
  for (const ScoredToken& token : tokens) worst = std::min(worst, token.score);
  return worst;
}

}  // namespace

Unigram::Unigram(const std::vector<ScoredToken>& tokens, std::optional<std::int32_t> unk_id,
                 bool byte_fallback, std::string_view where)
    : Model(table_of(tokens, where), tokens.size()),
      unk_id_(unk_id),
      unk_score_(worst_score(tokens) - kUnknownPenalty),
      trie_(entries(Model::vocabulary(), where)) {
  if (unk_id && (*unk_id < 0 || static_cast<std::size_t>(*unk_id) >= tokens.size())) {
    fail(ErrorKind::input, "{}: unk_id is {}, and the vocabulary has {} tokens", where, *unk_id,
         tokens.size());
  }
  for (const ScoredToken& token : tokens) scores_.push_back(token.score);
  if (!byte_fallback) return;
  byte_ids_.emplace();
  for (unsigned byte = 0; byte < 256; ++byte) {
    (*byte_ids_)[byte] = Model::vocabulary().find(fmt::format("<0x{:02X}>", byte)).value_or(-1);
  }
}

void Unigram::encode(const Splits& splits, std::vector<std::int32_t>& ids) const {
  Scratch scratch;
  encode_pieces(splits, ids, [&](std::string_view word) { encode_word(word, scratch, ids); });
}

// Of cuts with equal sums the one stays that was found first: whose last token begins first.
void Unigram::find_best(std::string_view word, std::vector<Best>& best) const {
  best.assign(word.size() + 1, Best{});
  const auto offer = [&](std::size_t begin, std::size_t end, std::int32_t id, double score) {
    Best& place = best[end];
    if (place.begin != Best::kNone && !(score > place.score)) return;
    place = {score, static_cast<std::uint32_t>(begin), id};
  };
  for (std::size_t at = 0; at < word.size();) {
    const double so_far = best[at].score;
    const std::size_t character = utf8_length(word[at]);
    bool is_known = false;
    trie_.prefixes(word.substr(at), [&](std::size_t bytes, std::int32_t id) {
      offer(at, at + bytes, id, scores_[static_cast<std::size_t>(id)] + so_far);
      is_known = is_known || bytes == character;
    });
    if (!is_known) {
      if (!unk_id_) {
        fail(ErrorKind::input,
             "the text has a character that the tokenizer does not know (\"{}\"), and its model "
             "has no unk_id",
             word.substr(at, character));
      }
      offer(at, at + character, *unk_id_, unk_score_ + so_far);
    }
    at += character;
  }
}

// Neighbouring unknown characters are one token, or as many as they have bytes.
void Unigram::append_unknown(std::string_view text, std::vector<std::int32_t>& ids) const {
  if (const auto id = vocabulary().find(text)) return ids.push_back(*id);
  const auto id_of = [&](char byte) { return (*byte_ids_)[static_cast<unsigned char>(byte)]; };
  if (byte_ids_ && std::ranges::all_of(text, [&](char byte) { return id_of(byte) >= 0; })) {
    for (const char byte : text) ids.push_back(id_of(byte));
  } else {
    ids.push_back(*unk_id_);
  }
}

void Unigram::encode_word(std::string_view word, Scratch& scratch,
                          std::vector<std::int32_t>& ids) const {
  if (cache_.find(word, ids)) return;
  const std::size_t start = ids.size();
  find_best(word, scratch.best);
  auto& backwards = scratch.backwards;
  backwards.clear();
  for (auto end = static_cast<std::uint32_t>(word.size()); end > 0; end = scratch.best[end].begin) {
    backwards.push_back(end);
  }
  std::size_t begin = 0;
  for (std::size_t i = backwards.size(); i-- > 0;) {
    const std::int32_t id = scratch.best[backwards[i]].id;
    if (id != unk_id_) {
      ids.push_back(id);
    } else if (i > 0 && scratch.best[backwards[i - 1]].id == unk_id_) {
      continue;
    } else {
      append_unknown(word.substr(begin, backwards[i] - begin), ids);
    }
    begin = backwards[i];
  }
  cache_.add(word, ids.data() + start, ids.size() - start);
}

}  // namespace trireme::text
