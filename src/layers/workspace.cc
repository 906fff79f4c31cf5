#include "core/error.h"
#include "layers/forward.h"

namespace trireme {

Tensor Workspace::matrix(std::int64_t rows, std::int64_t cols) {
  const std::int64_t floats = round_up(rows * cols, 16);  // every matrix starts on a cache line
  TRIREME_ASSERT(used_ + floats <= capacity_);
  Tensor activation{buffer_.as<float>() + used_, rows, cols};
  used_ += floats;
  high_water_ = std::max(high_water_, used_);
  return activation;
}

}  // namespace trireme
