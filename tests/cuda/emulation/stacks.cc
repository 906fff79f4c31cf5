#include "emulation/stacks.h"

#include <sys/mman.h>

#include <algorithm>

#include "emulation/internal.h"

// Saves the registers that calls keep and the stack pointer, and takes up those saved elsewhere.
#ifdef __x86_64__
extern "C" void trireme_switch_stacks(void** save, void* load);
asm(R"(
.text
.type trireme_switch_stacks, @function
trireme_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size trireme_switch_stacks, . - trireme_switch_stacks
)");
#endif

namespace trireme::cuda::emulation {

namespace {

constexpr std::size_t stack_bytes = 128 << 10;
constexpr std::size_t guard_bytes = 16 << 10;

}  // namespace

void switch_stacks(Stack& from, Stack& to) {
#ifdef __x86_64__
  trireme_switch_stacks(&from.pointer, to.pointer);
#else
  swapcontext(&from.context, &to.context);
#endif
}

Stack& Stacks::take() {
  if (idle_.empty()) idle_.push_back(create());
  Stack* stack = idle_.back();
  idle_.pop_back();
  return *stack;
}

bool Stacks::is_guard(std::uintptr_t address) const {
  return std::any_of(regions_.begin(), regions_.end(),
                     [&](std::uintptr_t region) { return address - region < guard_bytes; });
}

Stack* Stacks::create() {
  void* region = mmap(nullptr, guard_bytes + stack_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region == MAP_FAILED || mprotect(region, guard_bytes, PROT_NONE) != 0) {
    fatal("no memory for the stacks of a block");
  }
  regions_.push_back(reinterpret_cast<std::uintptr_t>(region));
  // Stacks begin at different offsets, or all of them would meet in the same lines of the cache.
  const std::size_t offset = stacks_.size() * 192 % 4096;
  const std::uintptr_t top = regions_.back() + guard_bytes + stack_bytes - offset;
  auto stack = std::make_unique<Stack>();
#ifdef __x86_64__
  auto* frame = reinterpret_cast<void**>(top) - 8;
  std::fill(frame, frame + 8, nullptr);
  frame[6] = reinterpret_cast<void*>(life_);  // behind the six registers
  stack->pointer = frame;
#else
  getcontext(&stack->context);
  stack->context.uc_stack.ss_sp = reinterpret_cast<void*>(regions_.back() + guard_bytes);
  stack->context.uc_stack.ss_size = top - (regions_.back() + guard_bytes);
  makecontext(&stack->context, life_, 0);
#endif
  stacks_.push_back(std::move(stack));
  return stacks_.back().get();
}

}  // namespace trireme::cuda::emulation
