#include "kernels/cuda/context.h"

#include "core/error.h"

namespace trireme::cuda {

void check(cudaError_t result, const char* what) {
  if (result == cudaSuccess) return;
  cudaGetLastError();  // not the next call's
  fail(ErrorKind::resource, "CUDA: {}: {} ({})", what, cudaGetErrorString(result),
       cudaGetErrorName(result));
}

void check_launch(const char* kernel) { check(cudaGetLastError(), kernel); }

}  // namespace trireme::cuda
