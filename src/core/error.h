// The three kinds of error: what a user can cause throws Error, a bug asserts, and an expected
// outcome is a return value.
#pragma once

#include <fmt/core.h>

#include <string>
#include <utility>

#include "trireme/error.h"

namespace trireme {

/// Throws Error with a message formatted by fmt: `fail(ErrorKind::input, "{}: no tensor {}", ...)`.
template <typename... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

/// Prints the violated condition and aborts: a bug, never something a user can cause.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace trireme

#define TRIREME_ASSERT(condition) \
  ((condition) ? void(0) : ::trireme::assertion_failed(#condition, __FILE__, __LINE__))
