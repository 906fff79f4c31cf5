// The error that a template's evaluation raises inside the interpreter, before its line is known.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace trireme::jinja {

/// What went wrong, without the place: Template::render adds the line and throws trireme::Error.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

template <typename... Args>
[[noreturn]] void fault(fmt::format_string<Args...> format, Args&&... args) {
  throw Fault(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace trireme::jinja
