// GPUs, through libtrireme_cuda.so: a plug-in, so that a machine without GPUs or without CUDA runs
// the same program.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/backend.h"

namespace trireme {

struct GpuInfo {
  std::string name;            ///< "NVIDIA H200"
  int compute_capability = 0;  ///< 90
  std::int64_t memory = 0;     ///< bytes, all of it
  /// What the output's bytes depend on of it: Backend::arithmetic().
  std::string arithmetic;
};

/// What the plug-in exports through `trireme_cuda_plugin`.
struct CudaPlugin {
  int version = 0;
  /// The GPUs of this machine, without touching any; if there are none, `why` says why.
  std::vector<GpuInfo> (*gpus)(std::string& why) = nullptr;
  Backend* (*open)(int gpu) = nullptr;
};
inline constexpr int cuda_plugin_version = 1;
using GetCudaPlugin = const CudaPlugin* (*)();

/// The GPUs of this machine. None, and `why` (unless null) says why, where there are none or the
/// plug-in cannot be loaded.
const std::vector<GpuInfo>& gpus(std::string* why = nullptr);

/// Of "cuda:1" the 1; none of "cuda". Throws Error(usage) for what names no GPU.
std::optional<int> named_gpu(const std::string& device);

/// Whether `device` ("cpu", "cuda", "cuda:1", "auto") means a GPU: auto does where there are any.
/// Throws Error(usage) for what is no device, Error(resource) for a GPU that is not there.
bool is_gpu(const std::string& device);

/// Throws Error(usage) where ranks that take `gpus` in turn would not compute the same bits.
void check_alike(std::span<const GpuInfo> gpus);

/// The GPU of a rank: that of "cuda:1", else the ranks of a host take them in turn, which must be
/// alike.
int gpu_of(const std::string& device, int local_rank);

/// Throws Error(resource) when it cannot be used.
std::unique_ptr<Backend> open_gpu(int gpu);

}  // namespace trireme
