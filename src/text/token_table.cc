// The strings of a vocabulary, found by id and by content.
#include "text/token_table.h"

#include <functional>

#include "core/error.h"

namespace trireme::text {

void TokenTable::reserve(std::size_t tokens) {
  std::size_t slots = 64;
  while (slots < 2 * tokens) slots *= 2;
  if (slots > slots_.size()) grow(slots);
  by_id_.reserve(tokens);
}

// Where `token` is, or the empty slot where it belongs.
std::size_t TokenTable::slot_of(std::string_view token) const {
  std::size_t at = std::hash<std::string_view>()(token) & (slots_.size() - 1);
  while (slots_[at].id >= 0 && slots_[at].token != token) at = (at + 1) & (slots_.size() - 1);
  return at;
}

void TokenTable::grow(std::size_t slots) {
  std::vector<Slot> old(slots);
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.id >= 0) slots_[slot_of(slot.token)] = slot;
  }
}

void TokenTable::add(std::string_view token, std::int32_t id) {
  TRIREME_ASSERT(id >= 0 && id < kMaxIds);
  if (2 * (size_ + 1) > slots_.size()) grow(slots_.empty() ? 64 : 2 * slots_.size());
  Slot& slot = slots_[slot_of(token)];
  if (slot.id < 0) {
    slot.token = arena_.store(token);
    ++size_;
  }
  slot.id = id;
  const auto index = static_cast<std::size_t>(id);
  if (index >= by_id_.size()) by_id_.resize(index + 1);
  by_id_[index] = slot.token;
}

std::optional<std::int32_t> TokenTable::find(std::string_view token) const {
  if (slots_.empty()) return std::nullopt;
  const Slot& slot = slots_[slot_of(token)];
  if (slot.id < 0) return std::nullopt;
  return slot.id;
}

}  // namespace trireme::text
