// What libtrireme_cuda.so exports (kernels/cuda_plugin.h).
#include <fmt/core.h>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda_plugin.h"

namespace trireme::cuda {

namespace {

GpuInfo info_of(const cudaDeviceProp& properties) {
  const int capability = properties.major * 10 + properties.minor;
  return {.name = properties.name,
          .compute_capability = capability,
          .memory = static_cast<std::int64_t>(properties.totalGlobalMem),
          .arithmetic = arithmetic_of(properties.name, capability)};
}

std::vector<GpuInfo> list_gpus(std::string& why) {
  int count = 0;
  const cudaError_t result = cudaGetDeviceCount(&count);
  if (result != cudaSuccess || count == 0) {
    int driver = 0;
    cudaDriverGetVersion(&driver);
    why =
        fmt::format("no GPU can be used: {}", driver == 0             ? "no NVIDIA driver is loaded"
                                              : result == cudaSuccess ? "there is none"
                                                                      : cudaGetErrorString(result));
    cudaGetLastError();  // not the next call's
    return {};
  }
  std::vector<GpuInfo> gpus;
  for (int gpu = 0; gpu < count; ++gpu) {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, gpu), "cudaGetDeviceProperties");
    gpus.push_back(info_of(properties));
  }
  return gpus;
}

Backend* open(int gpu) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, gpu), "cudaGetDeviceProperties");
  std::string id;
  for (const char byte : properties.uuid.bytes)
    id += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return new CudaBackend(gpu, properties.name, id);
}

constexpr CudaPlugin plugin{cuda_plugin_version, list_gpus, open};

}  // namespace

}  // namespace trireme::cuda

extern "C" __attribute__((visibility("default"))) const trireme::CudaPlugin* trireme_cuda_plugin() {
  return &trireme::cuda::plugin;
}
