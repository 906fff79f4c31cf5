// A weight as checkpoints of a few bits store it: an integer, with a scale and a zero that it
// shares with others.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace trireme {

struct CodedWeight {
  std::uint8_t code = 0;
  std::uint8_t zero = 0;
  std::uint16_t scale = 0;  ///< bits of a float16

  float value() const { return f16_to_f32(scale) * static_cast<float>(int{code} - int{zero}); }
};

}  // namespace trireme
