#include "tasks/sequences.h"

namespace trireme {

std::uint64_t Sequences::add(SequenceOwner& owner, SequenceRequest request) {
  request.id = next_++;
  owners_.emplace(request.id, &owner);
  replica_.driver().scheduler().add(std::move(request));
  return next_ - 1;
}

void Sequences::cancel(std::uint64_t number) {
  if (owners_.erase(number) != 0) replica_.driver().scheduler().cancel(number);
}

void Sequences::step() {
  if (replica_.driver().scheduler().idle()) return;
  for (SequenceEvent& event : replica_.driver().step()) {
    const auto found = owners_.find(event.id);
    if (found == owners_.end()) continue;  // cancelled by the owner of an event before this one
    SequenceOwner& owner = *found->second;
    if (event.finished) owners_.erase(found);
    owner.take(event);
  }
}

}  // namespace trireme
