#include "runtime/block_manager.h"

#include <algorithm>

#include "core/error.h"

namespace trireme {

BlockManager::BlockManager(std::int64_t blocks) : blocks_(static_cast<std::size_t>(blocks)) {
  for (std::int32_t block = 0; block < blocks; ++block) {
    blocks_[static_cast<std::size_t>(block)].idle = idle_.insert(idle_.end(), block);
  }
}

std::int64_t BlockManager::available() const { return static_cast<std::int64_t>(idle_.size()); }

std::optional<std::int32_t> BlockManager::allocate() {
  if (idle_.empty()) return std::nullopt;
  const std::int32_t index = idle_.front();
  idle_.pop_front();
  forget(index);
  blocks_[static_cast<std::size_t>(index)].users = 1;
  return index;
}

void BlockManager::add_user(std::int32_t index) {
  Block& block = blocks_[static_cast<std::size_t>(index)];
  TRIREME_ASSERT(block.users > 0);
  ++block.users;
}

void BlockManager::release(std::int32_t index) {
  Block& block = blocks_[static_cast<std::size_t>(index)];
  TRIREME_ASSERT(block.users > 0);
  if (--block.users > 0) return;
  const auto place = block.remembered ? idle_.end() : idle_.begin();
  block.idle = idle_.insert(place, index);
}

void BlockManager::remember(std::int32_t index, std::int32_t parent,
                            std::span<const std::int32_t> tokens) {
  Block& block = blocks_[static_cast<std::size_t>(index)];
  if (block.remembered) return;
  const std::optional<std::int32_t> equal = find(content_of(parent), tokens);
  block.remembered = true;
  block.content = equal ? content_of(*equal) : next_content_++;
  block.parent_content = content_of(parent);
  block.tokens.assign(tokens.begin(), tokens.end());
  block.key = key_of(block.parent_content, tokens);
  index_.emplace(block.key, index);
}

std::optional<std::int32_t> BlockManager::share(std::int32_t parent,
                                                std::span<const std::int32_t> tokens) {
  const std::optional<std::int32_t> found = find(content_of(parent), tokens);
  if (!found) return std::nullopt;
  Block& block = blocks_[static_cast<std::size_t>(*found)];
  if (block.users++ == 0) idle_.erase(block.idle);
  return found;
}

std::optional<std::int32_t> BlockManager::find(std::uint64_t parent_content,
                                               std::span<const std::int32_t> tokens) const {
  const auto [begin, end] = index_.equal_range(key_of(parent_content, tokens));
  for (auto it = begin; it != end; ++it) {
    const Block& block = blocks_[static_cast<std::size_t>(it->second)];
    if (block.parent_content == parent_content && std::ranges::equal(block.tokens, tokens)) {
      return it->second;
    }
  }
  return std::nullopt;
}

std::uint64_t BlockManager::content_of(std::int32_t block) const {
  return block < 0 ? 0 : blocks_[static_cast<std::size_t>(block)].content;
}

std::uint64_t BlockManager::key_of(std::uint64_t parent_content,
                                   std::span<const std::int32_t> tokens) {
  std::uint64_t hash = parent_content * 0x9e3779b97f4a7c15u + 0xcbf29ce484222325u;
  for (const std::int32_t token : tokens) {
    hash = (hash ^ static_cast<std::uint32_t>(token)) * 0x100000001b3u;
  }
  return hash;
}

void BlockManager::forget(std::int32_t index) {
  Block& block = blocks_[static_cast<std::size_t>(index)];
  if (!block.remembered) return;
  const auto [begin, end] = index_.equal_range(block.key);
  index_.erase(std::find_if(begin, end, [&](const auto& entry) { return entry.second == index; }));
  block.remembered = false;
  block.content = 0;
  block.tokens.clear();
}

}  // namespace trireme
