// Several ways to go on with one text, as a tree of tokens, and the order in which a sequence walks
// through it: depth first, each token computed once, in the place of those that it takes turns
// with. Pure data.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace trireme {

struct TokenTree {
  /// A token that others may follow. Node 0 stands for the text's last token, whatever that is; a
  /// token that nothing follows is a target of the node before it, and no node.
  struct Node {
    std::int32_t token = -1;
    std::int32_t targets_begin = 0;
    std::int32_t targets_end = 0;
  };
  /// Nodes [begin, end), each the parent of the next; the first one is `depth` tokens behind the
  /// text's last.
  struct Chain {
    std::int64_t depth = 0;
    std::int64_t begin = 0;
    std::int64_t end = 0;
  };

  std::vector<Node> nodes;            ///< each before those that follow it
  std::vector<std::int32_t> targets;  ///< ids whose log-probability after a node is asked for
  std::vector<Chain> chains;          ///< all nodes, in order: the first begins with node 0
  std::int64_t depth = 0;             ///< of the deepest node: positions taken behind the text

  std::span<const std::int32_t> targets_of(std::int64_t node) const {
    const Node& n = nodes[static_cast<std::size_t>(node)];
    return {targets.data() + n.targets_begin,
            static_cast<std::size_t>(n.targets_end - n.targets_begin)};
  }
  const Chain& chain(std::int64_t index) const { return chains[static_cast<std::size_t>(index)]; }
};

/// Ways to go on, each with what of the tree its probability is made of.
struct Continuations {
  struct Way {
    std::vector<std::int32_t> steps;  ///< for each token its place among the tree's targets
    std::vector<std::int32_t> ends;   ///< of the end tokens, any of which closes it; or none
  };

  TokenTree tree;
  std::vector<Way> ways;
  /// Ways that others go on from are closed by one of the end tokens. The first of them, if any.
  std::optional<std::size_t> closed;
  /// Two ways of the same tokens, if any: nothing can tell them apart.
  std::optional<std::pair<std::size_t, std::size_t>> equal;
};

/// The tree of `ways`, each of at least one token.
Continuations grow_tree(std::span<const std::vector<std::int32_t>> ways,
                        std::span<const std::int32_t> end_tokens);

/// Where chains [begin, end) may be cut in two that know nothing of each other: the cut nearest to
/// the middle among the chains after the first that branch off nearest to the text, so that neither
/// half goes back behind it. `begin` if there is none.
std::int64_t split_point(const TokenTree& tree, std::int64_t begin, std::int64_t end);

}  // namespace trireme
