// The strings of a vocabulary, found by id and by content.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/arena.h"

namespace trireme::text {

/// Maps tokens to ids and back. Ids need not be dense.
class TokenTable {
 public:
  /// Ids at or above this are refused by the readers: a table is as long as its highest id.
  static constexpr std::int64_t kMaxIds = 1 << 24;

  void reserve(std::size_t tokens);
  /// Adds a token; the last of several ids for one token, and of several tokens for one id, stays.
  void add(std::string_view token, std::int32_t id);

  std::optional<std::int32_t> find(std::string_view token) const;
  /// The token with this id; a view without data when there is none.
  std::string_view text(std::int32_t id) const {
    return id >= 0 && static_cast<std::size_t>(id) < by_id_.size()
               ? by_id_[static_cast<std::size_t>(id)]
               : std::string_view();
  }
  bool has(std::int32_t id) const { return text(id).data() != nullptr; }
  /// Calls `visit(token, id)` for every distinct token, in no order.
  template <typename Visit>
  void each(Visit visit) const {
    for (const Slot& slot : slots_) {
      if (slot.id >= 0) visit(slot.token, slot.id);
    }
  }
  /// How many distinct tokens there are.
  std::size_t size() const { return size_; }
  /// The highest id and one.
  std::int32_t end_id() const { return static_cast<std::int32_t>(by_id_.size()); }

 private:
  struct Slot {
    std::string_view token;
    std::int32_t id = -1;
  };
  std::size_t slot_of(std::string_view token) const;
  void grow(std::size_t slots);

  Arena arena_;
  std::vector<std::string_view> by_id_;
  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
  std::size_t size_ = 0;
};

}  // namespace trireme::text
