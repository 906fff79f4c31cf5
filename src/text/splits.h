// A text cut into pieces on its way to the model: the state that the pre-tokenizers work on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"

namespace trireme::text {

/// Part of a text: to be tokenized, or (an added token) with its id already.
struct Piece {
  static constexpr std::int32_t kNoId = -1;

  std::size_t begin, end;  ///< bytes in Splits::text
  /// How many of the piece's first bytes come from the very first character of the input: not zero
  /// for the piece that begins the input. Metaspace's "first" scheme asks for it.
  std::size_t origin = 0;
  std::int32_t id = kNoId;
};

/// What to do with the matches of a pattern, as the Split pre-tokenizer names it.
enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// A text and the pieces that it is cut into, in order. No piece is empty.
struct Splits {
  std::string text;
  std::vector<Piece> pieces;

  std::string_view view(const Piece& piece) const {
    return std::string_view(text).substr(piece.begin, piece.end - piece.begin);
  }

  /// Cuts every piece that has no id where the pattern matches; with `invert`, where it does not.
  void split(const Pattern& pattern, SplitBehavior behavior, bool invert);
};

/// Merges and drops neighbours among `matches` as `behavior` says; what stays is a piece.
void apply_behavior(std::vector<Match>& matches, SplitBehavior behavior);

}  // namespace trireme::text
