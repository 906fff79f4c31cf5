// Runs code with AMX instructions on a processor that has none: each one raises SIGILL, and the
// handler decodes it and carries it out on emulated tiles. So the very instructions that a machine
// with AMX will run are tested on a machine without.
#pragma once

#include <csignal>
#include <string>

namespace trireme::amx {

/// Handles the AMX instructions of all threads while it lives. One at a time.
class AmxTrap {
 public:
  /// Empty where it works, else the reason: the processor has AMX, so that nothing would trap, or
  /// it lacks the AVX-512 around the tile instructions.
  static std::string why_not();

  AmxTrap();
  ~AmxTrap();
  AmxTrap(const AmxTrap&) = delete;
  AmxTrap& operator=(const AmxTrap&) = delete;

 private:
  struct sigaction before_ {};
};

/// Instructions carried out since the program began.
long trapped_instructions();

}  // namespace trireme::amx
