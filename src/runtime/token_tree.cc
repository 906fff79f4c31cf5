#include "runtime/token_tree.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <unordered_map>

#include "core/error.h"

namespace trireme {

namespace {

/// The tree while it grows: leaves are nodes, too.
class Trie {
 public:
  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

  struct Node {
    std::int32_t token = -1;
    std::vector<std::size_t> children;
    std::size_t way = none;   ///< that ends here
    std::int32_t target = 0;  ///< its own place among the targets
    std::int32_t ends = 0;    ///< that of the first end token
  };

  /// The node at which the way ends.
  std::size_t add(std::span<const std::int32_t> tokens) {
    std::size_t node = 0;
    for (const std::int32_t token : tokens) node = child(node, token);
    return node;
  }
  std::size_t child(std::size_t node, std::int32_t token) {
    const std::uint64_t key = std::uint64_t{node} << 32 | static_cast<std::uint32_t>(token);
    const auto [found, fresh] = children_.try_emplace(key, nodes_.size());
    if (fresh) {
      nodes_[node].children.push_back(nodes_.size());
      nodes_.push_back({.token = token});
    }
    return found->second;
  }
  Node& operator[](std::size_t node) { return nodes_[node]; }

 private:
  std::vector<Node> nodes_{1};
  std::unordered_map<std::uint64_t, std::size_t> children_;
};

std::int32_t size_of_list(const std::vector<std::int32_t>& list) {
  return static_cast<std::int32_t>(list.size());
}

/// Depth first; the first child that others follow goes on with its parent's chain.
class Planter {
 public:
  Planter(Trie& trie, std::span<const std::int32_t> end_tokens)
      : trie_(trie), end_tokens_(end_tokens) {}

  TokenTree plant() {
    stack_.push_back({0, 0, true});
    while (!stack_.empty()) {
      const Visit visit = stack_.back();
      stack_.pop_back();
      take(visit);
      const auto first = static_cast<std::ptrdiff_t>(stack_.size());
      for (const std::size_t child : trie_[visit.node].children) {
        if (trie_[child].children.empty()) continue;
        const bool branches_off = static_cast<std::ptrdiff_t>(stack_.size()) > first;
        stack_.push_back({child, visit.depth + 1, branches_off});
      }
      std::reverse(stack_.begin() + first, stack_.end());
    }
    return std::move(tree_);
  }

 private:
  struct Visit {
    std::size_t node = 0;
    std::int64_t depth = 0;
    bool begins_chain = false;
  };

  void take(const Visit& visit) {
    Trie::Node& from = trie_[visit.node];
    const auto place = static_cast<std::int64_t>(tree_.nodes.size());
    if (visit.begins_chain) tree_.chains.push_back({visit.depth, place, place});
    tree_.chains.back().end = place + 1;
    tree_.depth = std::max(tree_.depth, visit.depth);
    TokenTree::Node& node = tree_.nodes.emplace_back();
    node.token = from.token;
    node.targets_begin = size_of_list(tree_.targets);
    for (const std::size_t child : from.children) {
      trie_[child].target = size_of_list(tree_.targets);
      tree_.targets.push_back(trie_[child].token);
    }
    from.ends = size_of_list(tree_.targets);
    if (from.way != Trie::none) {
      tree_.targets.insert(tree_.targets.end(), end_tokens_.begin(), end_tokens_.end());
    }
    node.targets_end = size_of_list(tree_.targets);
  }

  Trie& trie_;
  std::span<const std::int32_t> end_tokens_;
  std::vector<Visit> stack_;
  TokenTree tree_;
};

}  // namespace

Continuations grow_tree(std::span<const std::vector<std::int32_t>> ways,
                        std::span<const std::int32_t> end_tokens) {
  Continuations all;
  Trie trie;
  for (std::size_t i = 0; i < ways.size(); ++i) {
    TRIREME_ASSERT(!ways[i].empty());
    Trie::Node& leaf = trie[trie.add(ways[i])];
    if (leaf.way != Trie::none && !all.equal) all.equal = {leaf.way, i};
    leaf.way = i;
  }
  all.tree = Planter(trie, end_tokens).plant();
  for (std::size_t i = 0; i < ways.size(); ++i) {
    Continuations::Way& way = all.ways.emplace_back();
    std::size_t node = 0;
    for (const std::int32_t token : ways[i]) {
      node = trie.child(node, token);
      way.steps.push_back(trie[node].target);
    }
    if (trie[node].children.empty()) continue;
    if (!all.closed) all.closed = i;
    for (std::size_t e = 0; e < end_tokens.size(); ++e) {
      way.ends.push_back(trie[node].ends + static_cast<std::int32_t>(e));
    }
  }
  return all;
}

std::int64_t split_point(const TokenTree& tree, std::int64_t begin, std::int64_t end) {
  std::int64_t lowest = std::numeric_limits<std::int64_t>::max();
  for (std::int64_t i = begin + 1; i < end; ++i) lowest = std::min(lowest, tree.chain(i).depth);
  const std::int64_t middle = begin + (end - begin) / 2;
  std::int64_t best = begin;
  for (std::int64_t i = begin + 1; i < end; ++i) {
    if (tree.chain(i).depth != lowest) continue;
    if (best == begin || std::abs(i - middle) < std::abs(best - middle)) best = i;
  }
  return best;
}

}  // namespace trireme
