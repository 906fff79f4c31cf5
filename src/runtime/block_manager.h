// Which cache blocks are free, in use or remembered. Full blocks are remembered by the tokens that
// lead up to their end, so sequences that begin alike share them (a key or value depends on nothing
// else, so sharing changes no byte). A shared block is never written again.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace trireme {

class BlockManager {
 public:
  explicit BlockManager(std::int64_t blocks);

  /// Blocks that allocate() could still give: free or only remembered.
  std::int64_t available() const;
  std::int64_t total() const { return static_cast<std::int64_t>(blocks_.size()); }

  /// A block for one user; nothing when all are in use. The least recently freed remembered block
  /// is forgotten first.
  std::optional<std::int32_t> allocate();
  /// One more user for a block that has some.
  void add_user(std::int32_t block);
  void release(std::int32_t block);

  /// Remembers `block`, which holds the last `tokens.size()` tokens after the blocks of `parent`
  /// (-1: from the start).
  void remember(std::int32_t block, std::int32_t parent, std::span<const std::int32_t> tokens);
  /// The remembered block that holds `tokens` after `parent`, now with one more user.
  std::optional<std::int32_t> share(std::int32_t parent, std::span<const std::int32_t> tokens);

 private:
  struct Block {
    int users = 0;
    bool remembered = false;
    std::uint64_t key = 0;
    std::uint64_t content = 0;         ///< number of what it holds, up to its end; equal if equal
    std::uint64_t parent_content = 0;  ///< of the block before it
    std::vector<std::int32_t> tokens;
    std::list<std::int32_t>::iterator idle;  ///< place in idle_, while nobody uses it
  };

  std::uint64_t content_of(std::int32_t block) const;
  std::optional<std::int32_t> find(std::uint64_t parent_content,
                                   std::span<const std::int32_t> tokens) const;
  static std::uint64_t key_of(std::uint64_t parent_content, std::span<const std::int32_t> tokens);
  void forget(std::int32_t block);

  std::vector<Block> blocks_;
  std::list<std::int32_t> idle_;  ///< nobody's: plain free ones in front, then least recently freed
  std::unordered_multimap<std::uint64_t, std::int32_t> index_;
  std::uint64_t next_content_ = 1;
};

}  // namespace trireme
