// The three kinds of error: what a user can cause throws Error, a bug asserts, and an expected
// outcome is a return value.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace trireme {

/// Why an operation could not be done; decides the program's exit code.
enum class ErrorKind {
  usage,      ///< a flag or an argument is wrong (exit 2)
  input,      ///< a file or a row holds something unusable (exit 1)
  resource,   ///< memory, disk, a device or a permission is missing (exit 4)
  peer_lost,  ///< another rank of this run died or hangs (exit 5: the run can be resumed)
};

/// An error that a user can cause. The message says what, where, why and what to do.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

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
