// The version of the arithmetic, by which a job that resumes knows whether it still gets the same
// bytes.
#pragma once

namespace trireme {

/// To be raised by every commit that changes on purpose, for any model, dtype or instruction set,
/// which bytes an output has: an order of additions, an approximation, the random numbers, what
/// ends a text. A job that an older version began is then refused instead of being finished with a
/// mixture of both.
inline constexpr int numerics_version = 3;

}  // namespace trireme
