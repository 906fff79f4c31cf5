// The strings of a vocabulary, for finding all that a text begins with.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace trireme::text {

/// A byte trie, read-only after construction.
class Trie {
 public:
  /// Longer strings are refused by the readers: what one place of a text costs is bounded by it.
  static constexpr std::size_t kMaxBytes = 4096;

  struct Entry {
    std::string_view text;
    std::int32_t value;
  };
  /// No two strings are equal. An empty one is never found.
  explicit Trie(std::vector<Entry> entries);

  /// Calls `visit(bytes, value)` for every string that `text` begins with, the shortest first.
  template <typename Visit>
  void prefixes(std::string_view text, Visit visit) const {
    std::uint32_t node = kRoot;
    for (std::size_t at = 0; at < text.size();) {
      node = child(node, static_cast<unsigned char>(text[at++]));
      if (node == kRoot) return;
      if (nodes_[node].value >= 0) visit(at, nodes_[node].value);
    }
  }

 private:
  static constexpr std::uint32_t kRoot = 0;  // is nobody's child, so it also means "none"
  static constexpr std::uint32_t kFew = 8;   // children that are looked for one by one
  static constexpr std::int32_t kNoValue = -1;

  struct Node {
    std::int32_t value = kNoValue;
    std::uint32_t count = 0;     // of children
    std::uint32_t children = 0;  // the first child, or with more than kFew its row in wide_
  };

  std::uint32_t child(std::uint32_t node, unsigned char byte) const {
    const Node& parent = nodes_[node];
    if (parent.count > kFew) return wide_[parent.children][byte];
    for (std::uint32_t i = parent.children; i < parent.children + parent.count; ++i) {
      if (labels_[i] == byte) return i;
    }
    return kRoot;
  }

  std::vector<Node> nodes_;            // level by level: siblings are neighbours
  std::vector<unsigned char> labels_;  // of each node, the byte that leads to it
  std::vector<std::array<std::uint32_t, 256>> wide_;
};

}  // namespace trireme::text
