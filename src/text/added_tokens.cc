// The added and special tokens of a tokenizer: found in the text before the model sees it.
#include "text/added_tokens.h"

#include <algorithm>

#include "core/error.h"
#include "text/json_view.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace trireme::text {

AddedToken read_added_token(const JsonView& json) {
  AddedToken token;
  token.content = json.require("content").as_string();
  token.special = json.flag("special", false);
  token.single_word = json.flag("single_word", false);
  token.lstrip = json.flag("lstrip", false);
  token.rstrip = json.flag("rstrip", false);
  token.normalized = json.flag("normalized", !token.special);
  return token;
}

std::uint32_t TokenMatcher::child(std::uint32_t node, unsigned char byte) const {
  if (node == 0) return first_[byte];
  for (const auto& [label, next] : nodes_[node].children) {
    if (label == byte) return next;
  }
  return 0;
}

void TokenMatcher::add(std::string_view content, std::int32_t value) {
  std::uint32_t node = 0;
  for (const char c : content) {
    const auto byte = static_cast<unsigned char>(c);
    std::uint32_t next = child(node, byte);
    if (next == 0) {
      next = static_cast<std::uint32_t>(nodes_.size());
      if (node == 0) {
        first_[byte] = next;
      } else {
        nodes_[node].children.emplace_back(byte, next);
      }
      nodes_.emplace_back();
    }
    node = next;
  }
  if (node != 0 && nodes_[node].value < 0) nodes_[node].value = value;
}

std::optional<TokenMatcher::Found> TokenMatcher::find(std::string_view text,
                                                      std::size_t from) const {
  if (empty()) return std::nullopt;
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    std::optional<Found> longest;
    std::uint32_t node = 0;
    for (std::size_t at = begin; at < text.size(); ++at) {
      node = child(node, static_cast<unsigned char>(text[at]));
      if (node == 0) break;
      if (nodes_[node].value >= 0) longest = Found{begin, at + 1, nodes_[node].value};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

void AddedTokens::add(const AddedToken& token, const Model& model, const Normalizer* normalizer) {
  if (token.content.empty()) return;
  auto known = ids_.find(token.content);
  if (!known) known = model.vocabulary().find(token.content);
  const std::size_t index =
      known ? static_cast<std::size_t>(*known) : model.vocabulary_size() + beyond_vocabulary_++;
  if (index >= static_cast<std::size_t>(TokenTable::kMaxIds)) {
    fail(ErrorKind::input, "the added token \"{}\": more than {} tokens", token.content,
         TokenTable::kMaxIds);
  }
  const auto id = static_cast<std::int32_t>(index);
  NormalizedText content{token.content};
  if (token.normalized && normalizer) normalizer->apply(content);
  ids_.add(token.content, id);
  decoded_.add(content.text, id);
  if (index >= tokens_.size()) tokens_.resize(index + 1);
  tokens_[index] = token;
  (token.normalized ? normalized_ : as_written_).add(content.text, id);
}

bool AddedTokens::is_special(std::int32_t id) const {
  return id >= 0 && static_cast<std::size_t>(id) < tokens_.size() &&
         tokens_[static_cast<std::size_t>(id)].special;
}

bool AddedTokens::is_special_text(std::string_view content) const {
  const auto id = find(content);
  return id && is_special(*id);
}

// The tokens of `matcher` in `text` and what is between them; together they cover the text.
std::vector<AddedTokens::Place> AddedTokens::places(const TokenMatcher& matcher,
                                                    std::string_view text) const {
  std::vector<Place> result;
  std::size_t covered = 0;
  std::size_t from = 0;
  while (const auto found = matcher.find(text, from)) {
    from = found->end;
    auto [begin, end, id] = *found;
    const AddedToken& token = tokens_[static_cast<std::size_t>(id)];
    if (token.single_word) {
      std::size_t before = begin;
      std::size_t after = end;
      if (begin > 0 && is_word(previous_code_point(text, before))) continue;
      if (end < text.size() && is_word(next_code_point(text, after))) continue;
    }
    if (token.lstrip) {
      for (std::size_t at = begin; at > 0; begin = at) {
        if (!is_white_space(previous_code_point(text, at))) break;
      }
      begin = std::max(begin, covered);
    }
    if (token.rstrip) {
      for (std::size_t at = end; at < text.size(); end = at) {
        if (!is_white_space(next_code_point(text, at))) break;
      }
    }
    if (covered < begin) result.push_back({covered, begin, Piece::kNoId});
    result.push_back({begin, end, id});
    covered = end;
  }
  if (covered != text.size()) result.push_back({covered, text.size(), Piece::kNoId});
  return result;
}

Splits AddedTokens::split(std::string_view text, const Normalizer* normalizer) const {
  Splits splits;
  splits.text.reserve(text.size() + text.size() / 8);
  for (const Place& outer : places(as_written_, text)) {
    if (outer.id != Piece::kNoId) {
      splits.pieces.push_back({splits.text.size(), splits.text.size(), 0, outer.id});
      continue;
    }
    NormalizedText normal{std::string(text.substr(outer.begin, outer.end - outer.begin))};
    normal.origin = outer.begin == 0 ? utf8_length(text[0]) : 0;
    if (normalizer) normalizer->apply(normal);
    for (const Place& inner : places(normalized_, normal.text)) {
      const std::size_t begin = splits.text.size();
      if (inner.id != Piece::kNoId) {
        splits.pieces.push_back({begin, begin, 0, inner.id});
        continue;
      }
      splits.text.append(normal.text, inner.begin, inner.end - inner.begin);
      splits.pieces.push_back({begin, splits.text.size(),
                               std::clamp(normal.origin, inner.begin, inner.end) - inner.begin,
                               Piece::kNoId});
    }
  }
  return splits;
}

}  // namespace trireme::text
