#include "core/suggest.h"

#include <algorithm>
#include <vector>

namespace trireme {

int edit_distance(std::string_view a, std::string_view b) {
  std::vector rows(a.size() + 1, std::vector<int>(b.size() + 1, 0));
  for (std::size_t i = 0; i <= a.size(); ++i) rows[i][0] = static_cast<int>(i);
  for (std::size_t j = 0; j <= b.size(); ++j) rows[0][j] = static_cast<int>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const int replaced = rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      rows[i][j] = std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  }
  return rows[a.size()][b.size()];
}

std::string closest(std::string_view word, std::span<const std::string> candidates) {
  constexpr std::size_t longest_word = 64;  // nobody mistypes more than this
  if (word.size() > longest_word) return "";
  std::string best;
  // One slip in three letters is a typo; more is another word.
  int limit = std::max(1, static_cast<int>(word.size()) / 3);
  for (const std::string& candidate : candidates) {
    const int distance = edit_distance(word, candidate);
    const bool begins = best.empty() && word.size() >= 5 && candidate.starts_with(word);
    if (distance <= limit) {
      best = candidate;
      limit = distance - 1;
    } else if (begins) {
      best = candidate;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const std::string best = closest(word, candidates);
  return best.empty() ? "" : " (did you mean " + best + "?)";
}

}  // namespace trireme
