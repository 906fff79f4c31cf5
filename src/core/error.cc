#include "core/error.h"

#include <cstdio>
#include <cstdlib>

namespace trireme {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "trireme: bug: %s:%d: assertion failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace trireme
