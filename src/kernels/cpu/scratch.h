// Working memory that lives as long as its thread and grows to the largest size ever asked for, so
// that a steady state allocates nothing.
#pragma once

#include <cstdint>

namespace trireme::cpu {

enum class Scratch : std::uint8_t {
  call,  ///< held by the thread that calls an operation, read by all
  task,  ///< private to one task
};

/// At least `floats` floats, aligned to a page; valid until this thread asks for the same kind
/// again.
float* scratch(Scratch kind, std::int64_t floats);

}  // namespace trireme::cpu
