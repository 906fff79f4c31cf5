// What is wrong with a row, on its way from where it is found to the row's answer.
#pragma once

#include <fmt/core.h>

#include <string>
#include <utility>

#include "trireme/result.h"

namespace trireme {

/// Thrown while a row is decoded, caught by the codec: never leaves it.
struct BadRow {
  RequestError error;
};

template <typename... Args>
[[noreturn]] void bad_row(const char* code, fmt::format_string<Args...> format, Args&&... args) {
  throw BadRow{{code, fmt::format(format, std::forward<Args>(args)...)}};
}

}  // namespace trireme
