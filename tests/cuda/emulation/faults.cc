// Says where a program goes wrong before it dies of it: signals that a kernel or a touch of device
// memory raises.
#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <string>

#include "emulation/internal.h"

namespace trireme::cuda::emulation {

namespace {

constexpr std::array signals = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
std::array<struct sigaction, signals.size()> previous;

/// "" if the fault is none of ours.
std::string what_happened(int signal, std::uintptr_t address) {
  const bool in_kernel = !running_place().empty();
  if (signal == SIGILL || signal == SIGTRAP) {
    return in_kernel ? "a misaligned access, an index out of bounds or an overflow" : "";
  }
  if (is_stack_guard(address)) return "a thread's stack is full";
  if (is_device_address(address)) {
    return (in_kernel ? "a thread touches " : "the host touches device memory: ") +
           describe(address);
  }
  if (!in_kernel) return "";
  return address == 0 ? "a null pointer or a misaligned access"
                      : fmt::format("a thread touches {:#x}, which is no device memory", address);
}

void report(int signal, siginfo_t* info, void*) {
  std::string text = what_happened(signal, reinterpret_cast<std::uintptr_t>(info->si_addr));
  if (!text.empty()) {
    const std::string where = running_place();
    text = "CUDA emulation: " + text + (where.empty() ? "" : " in " + where) + "\n";
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
  }
  // The instruction is tried once more, and meets whoever handled the signal before.
  for (std::size_t i = 0; i < signals.size(); ++i) {
    if (signals[i] == signal) sigaction(signal, &previous[i], nullptr);
  }
}

/// The handler has a stack of its own: the thread's may be what is full.
void use_signal_stack() {
  thread_local std::array<std::byte, 64 << 10> bytes;
  stack_t stack{};
  stack.ss_sp = bytes.data();
  stack.ss_size = bytes.size();
  sigaltstack(&stack, nullptr);
}

}  // namespace

void catch_faults() {
  thread_local bool has_stack = false;
  if (!has_stack) use_signal_stack();
  has_stack = true;
  static bool installed = false;
  if (installed) return;
  installed = true;
  struct sigaction action {};
  action.sa_sigaction = &report;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (std::size_t i = 0; i < signals.size(); ++i) sigaction(signals[i], &action, &previous[i]);
}

}  // namespace trireme::cuda::emulation
