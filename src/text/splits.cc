// A text cut into pieces on its way to the model: the state that the pre-tokenizers work on.
#include "text/splits.h"

#include <algorithm>

namespace trireme::text {
namespace {

// Merges each part into its predecessor where `joins(is_match of the predecessor, of the part)`.
template <typename Joins>
void merge_neighbours(std::vector<Match>& matches, Joins joins) {
  std::size_t kept = 0;
  bool previous = false;
  for (const Match match : matches) {
    if (kept > 0 && joins(previous, match.is_match)) {
      matches[kept - 1].begin = std::min(matches[kept - 1].begin, match.begin);
      matches[kept - 1].end = std::max(matches[kept - 1].end, match.end);
    } else {
      matches[kept++] = match;
    }
    previous = match.is_match;
  }
  matches.resize(kept);
}

bool match_after_gap(bool previous, bool current) { return current && !previous; }

}  // namespace

void apply_behavior(std::vector<Match>& matches, SplitBehavior behavior) {
  switch (behavior) {
    case SplitBehavior::isolated:
      return;
    case SplitBehavior::removed:
      std::erase_if(matches, [](const Match& match) { return match.is_match; });
      return;
    case SplitBehavior::contiguous:
      return merge_neighbours(matches, [](bool a, bool b) { return a == b; });
    case SplitBehavior::merged_with_previous:
      return merge_neighbours(matches, match_after_gap);
    case SplitBehavior::merged_with_next:
      std::ranges::reverse(matches);
      merge_neighbours(matches, match_after_gap);
      std::ranges::reverse(matches);
      return;
  }
}

void Splits::split(const Pattern& pattern, SplitBehavior behavior, bool invert) {
  std::vector<Piece> result;
  result.reserve(pieces.size());
  std::vector<Match> matches;
  for (const Piece& piece : pieces) {
    if (piece.id != Piece::kNoId) {
      result.push_back(piece);
      continue;
    }
    matches.clear();
    pattern.find(view(piece), matches);
    if (invert) {
      for (Match& match : matches) match.is_match = !match.is_match;
    }
    apply_behavior(matches, behavior);
    for (const Match& match : matches) {
      if (match.begin == match.end) continue;
      result.push_back({piece.begin + match.begin, piece.begin + match.end,
                        std::clamp(piece.origin, match.begin, match.end) - match.begin});
    }
  }
  pieces = std::move(result);
}

}  // namespace trireme::text
