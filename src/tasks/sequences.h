// The sequences of one replica, whatever task they are of: several tasks share its steps, and each
// hears of its own.
#pragma once

#include <cstdint>
#include <map>

#include "runtime/replica.h"

namespace trireme {

/// A task that has sequences on a replica.
class SequenceOwner {
 public:
  virtual ~SequenceOwner() = default;
  /// What a step brought one of its sequences. May start and cancel others.
  virtual void take(SequenceEvent& event) = 0;
};

class Sequences {
 public:
  /// On the driver of `replica`.
  explicit Sequences(Replica& replica) : replica_(replica) {}

  /// Starts a sequence. Returns its number, which no other sequence has: request.id is not looked
  /// at, so that the numbers by which tasks are asked cannot meet here.
  std::uint64_t add(SequenceOwner& owner, SequenceRequest request);
  /// The owner hears of the sequence no more. A step in flight still computes it.
  void cancel(std::uint64_t number);
  /// One step for all sequences of all tasks.
  void step();

 private:
  Replica& replica_;
  std::map<std::uint64_t, SequenceOwner*> owners_;  ///< of unfinished sequences
  std::uint64_t next_ = 0;
};

}  // namespace trireme
