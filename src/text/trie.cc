// The strings of a vocabulary, for finding all that a text begins with.
#include "text/trie.h"

#include <algorithm>

#include "core/error.h"

namespace trireme::text {

Trie::Trie(std::vector<Entry> entries) {
  std::ranges::sort(entries, {}, &Entry::text);
  // The entries from `begin` to `end` share their first `depth` bytes, which lead to `node`.
  struct Group {
    std::size_t begin, end, depth;
  };
  std::vector<Group> groups = {{0, entries.size(), 0}};  // by node
  nodes_.emplace_back();
  labels_.push_back(0);
  for (std::size_t node = 0; node < groups.size(); ++node) {
    auto [begin, end, depth] = groups[node];
    if (begin < end && entries[begin].text.size() == depth) {
      nodes_[node].value = entries[begin++].value;
    }
    const auto first = static_cast<std::uint32_t>(groups.size());
    for (std::size_t next = begin; begin < end; begin = next) {
      const char label = entries[begin].text[depth];
      while (next < end && entries[next].text[depth] == label) ++next;
      groups.push_back({begin, next, depth + 1});
      nodes_.emplace_back();
      labels_.push_back(static_cast<unsigned char>(label));
    }
    const auto last = static_cast<std::uint32_t>(groups.size());
    nodes_[node].count = last - first;
    nodes_[node].children = first;
    if (last - first <= kFew) continue;
    nodes_[node].children = static_cast<std::uint32_t>(wide_.size());
    auto& row = wide_.emplace_back();
    for (std::uint32_t i = first; i < last; ++i) row[labels_[i]] = i;
  }
}

}  // namespace trireme::text
