#include "weights/gguf_scores.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace trireme {

namespace {

// No token is as long; looking for the halves of one that is would take its length squared.
constexpr std::size_t longest_token = 1024;

struct Merge {
  std::string_view left, right;
  double score = 0;  ///< of the union
  double left_score = 0, right_score = 0;
};

using Scores = std::unordered_map<std::string_view, double>;

bool begins_character(char byte) { return (static_cast<unsigned char>(byte) & 0xc0u) != 0x80u; }

/// All ways to cut `token` into two tokens, the one with the best halves first.
void add_merges(std::string_view token, const Scores& scores, std::vector<Merge>& merges) {
  const auto first = static_cast<std::ptrdiff_t>(merges.size());
  for (std::size_t cut = 1; cut < token.size(); ++cut) {
    if (!begins_character(token[cut])) continue;
    const auto left = scores.find(token.substr(0, cut));
    const auto right = scores.find(token.substr(cut));
    if (left == scores.end() || right == scores.end()) continue;
    merges.push_back({left->first, right->first, scores.at(token), left->second, right->second});
  }
  std::stable_sort(merges.begin() + first, merges.end(), [](const Merge& a, const Merge& b) {
    return std::pair(a.left_score, a.right_score) > std::pair(b.left_score, b.right_score);
  });
}

}  // namespace

std::vector<std::pair<std::string, std::string>> merges_of_scores(
    const std::vector<std::string>& tokens, std::span<const double> scores) {
  Scores known;
  std::vector<std::string_view> order;  // of equal tokens the first place and the last score count
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (known.insert_or_assign(tokens[i], scores[i]).second) order.push_back(tokens[i]);
  }
  std::vector<Merge> merges;
  for (const std::string_view token : order) {
    if (token.size() <= longest_token) add_merges(token, known, merges);
  }
  std::ranges::stable_sort(merges, std::ranges::greater(), &Merge::score);
  std::vector<std::pair<std::string, std::string>> pairs;
  pairs.reserve(merges.size());
  for (const Merge& merge : merges) pairs.emplace_back(merge.left, merge.right);
  return pairs;
}

}  // namespace trireme
