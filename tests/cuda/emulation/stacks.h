// The stacks of fibers. On each, one function runs for ever: it takes up one thread after another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>
#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace trireme::cuda::emulation {

struct Stack {
#ifdef __x86_64__
  void* pointer = nullptr;  ///< while it is not in use
#else
  ucontext_t context{};
#endif
};

/// Leaves `from`, the stack in use, and goes on where `to` was left.
void switch_stacks(Stack& from, Stack& to);

class Stacks {
 public:
  explicit Stacks(void (*life)()) : life_(life) {}

  Stack& take();
  void give(Stack& stack) { idle_.push_back(&stack); }
  /// Whether a stack that is full ends at `address`.
  bool is_guard(std::uintptr_t address) const;

 private:
  Stack* create();

  void (*life_)();
  std::vector<std::unique_ptr<Stack>> stacks_;
  std::vector<Stack*> idle_;
  std::vector<std::uintptr_t> regions_;
};

}  // namespace trireme::cuda::emulation
