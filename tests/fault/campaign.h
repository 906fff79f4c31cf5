// How much of a test runs: in CI as little as tells that it works, by `make reliability` all of it.
#pragma once

#include <cstdlib>

namespace trireme::testing {

/// TRIREME_FAULT_LONG=1 asks for the whole.
inline bool long_form() {
  const char* const value = std::getenv("TRIREME_FAULT_LONG");
  return value != nullptr && *value != '\0' && *value != '0';
}

inline unsigned campaign(unsigned brief, unsigned whole) { return long_form() ? whole : brief; }

}  // namespace trireme::testing
