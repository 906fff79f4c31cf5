// The added and special tokens of a tokenizer: found in the text before the model sees it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/model.h"
#include "text/normalizer.h"
#include "text/splits.h"
#include "text/token_table.h"

namespace trireme::text {

class JsonView;

/// One added token, with the flags of Hugging Face's AddedToken.
struct AddedToken {
  std::string content;
  bool special = false;      ///< left out of decoded text unless asked for
  bool single_word = false;  ///< only where no word character is next to it
  bool lstrip = false;       ///< takes the white space on its left along
  bool rstrip = false;       ///< takes the white space on its right along
  bool normalized = false;   ///< found in the normalized text, in its own normalized form
};

AddedToken read_added_token(const JsonView& json);

/// Finds the longest of a set of strings at a place of a text.
class TokenMatcher {
 public:
  /// Adds a string; empty ones are never found, and the first value of equal ones stays.
  void add(std::string_view content, std::int32_t value);
  bool empty() const { return nodes_.size() == 1; }

  struct Found {
    std::size_t begin, end;
    std::int32_t value;
  };
  /// The leftmost, there longest match at or after `from`.
  std::optional<Found> find(std::string_view text, std::size_t from) const;

 private:
  struct Node {
    std::int32_t value = -1;
    std::vector<std::pair<unsigned char, std::uint32_t>> children;  // few, in order of arrival
  };
  std::uint32_t child(std::uint32_t node, unsigned char byte) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::array<std::uint32_t, 256> first_{};  // the root's children: most bytes begin no token
};

/// The tokens in the order of the file, with the ids that they were given.
class AddedTokens {
 public:
  /// Gives a token the model's id for its content, or else the next free one, as `tokenizers` does.
  void add(const AddedToken& token, const Model& model, const Normalizer* normalizer);

  /// Cuts `text` at the tokens, normalizing what is between them.
  Splits split(std::string_view text, const Normalizer* normalizer) const;

  std::optional<std::int32_t> find(std::string_view content) const { return ids_.find(content); }
  /// What the decoder gets for `id`; a view without data when it is not an added token.
  std::string_view decoded_text(std::int32_t id) const { return decoded_.text(id); }
  bool has(std::int32_t id) const { return decoded_.has(id); }
  /// The content of the added token with this id.
  std::string_view content(std::int32_t id) const {
    return tokens_[static_cast<std::size_t>(id)].content;
  }
  bool is_special(std::int32_t id) const;
  bool is_special_text(std::string_view content) const;
  std::int32_t end_id() const { return decoded_.end_id(); }

 private:
  struct Place {
    std::size_t begin, end;
    std::int32_t id;  // Piece::kNoId for the text between tokens
  };
  std::vector<Place> places(const TokenMatcher& matcher, std::string_view text) const;

  std::vector<AddedToken> tokens_;  // by id; those without content are not added tokens
  TokenTable ids_;                  // content to id
  TokenTable decoded_;              // id to what the decoder gets
  TokenMatcher as_written_;
  TokenMatcher normalized_;
  std::size_t beyond_vocabulary_ = 0;  // how many have got an id of their own
};

}  // namespace trireme::text
