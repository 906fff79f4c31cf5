#include "kernels/cuda_plugin.h"

#include <dlfcn.h>

#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "core/plugin.h"

namespace trireme {

namespace {

constexpr const char* plugin_name = "libtrireme_cuda.so";

/// What this process has found, once.
struct Found {
  const CudaPlugin* plugin = nullptr;
  std::vector<GpuInfo> gpus;
  std::string why;
};

Found look() {
  Found found;
  const Plugin loaded = load_plugin(plugin_name, RTLD_NOW | RTLD_LOCAL);
  if (loaded.handle == nullptr) {
    found.why = fmt::format(
        "the CUDA plug-in ({}) cannot be loaded:{}\nBuild where nvcc is (cmake "
        "-D TRIREME_CUDA=ON), or set TRIREME_PLUGIN_PATH to its folder",
        plugin_name, loaded.looked);
    return found;
  }
  auto* const get = reinterpret_cast<GetCudaPlugin>(dlsym(loaded.handle, "trireme_cuda_plugin"));
  const CudaPlugin* const plugin = get == nullptr ? nullptr : get();
  if (plugin == nullptr || plugin->version != cuda_plugin_version) {
    found.why = fmt::format("{} is not of this version; build again", plugin_name);
    return found;
  }
  found.gpus = plugin->gpus(found.why);
  if (!found.gpus.empty()) found.plugin = plugin;
  return found;
}

const Found& found() {
  static const Found once = look();
  return once;
}

}  // namespace

const std::vector<GpuInfo>& gpus(std::string* why) {
  if (why != nullptr) *why = found().why;
  return found().gpus;
}

std::optional<int> named_gpu(const std::string& device) {
  constexpr std::string_view prefix = "cuda:";
  if (device == "cuda") return std::nullopt;
  int gpu = -1;
  if (device.starts_with(prefix)) {
    const char* const end = device.data() + device.size();
    const auto read = std::from_chars(device.data() + prefix.size(), end, gpu);
    if (read.ec == std::errc{} && read.ptr == end && gpu >= 0) return gpu;
  }
  fail(ErrorKind::usage,
       "--device {}: expected auto, cpu, cuda or, for one GPU, cuda:0, cuda:1, ...", device);
}

bool is_gpu(const std::string& device) {
  if (device == "cpu") return false;
  if (device == "auto") return !gpus().empty();
  gpu_of(device, 0);
  return true;
}

void check_alike(std::span<const GpuInfo> gpus) {
  for (const GpuInfo& gpu : gpus) {
    if (gpu.arithmetic == gpus.front().arithmetic) continue;
    fail(ErrorKind::usage,
         "this machine has unlike GPUs ({}, {}), whose outputs may differ: choose alike ones with "
         "CUDA_VISIBLE_DEVICES, or one with --device cuda:N",
         gpus.front().name, gpu.name);
  }
}

int gpu_of(const std::string& device, int local_rank) {
  const std::optional<int> named = device == "auto" ? std::nullopt : named_gpu(device);
  const auto count = static_cast<int>(gpus().size());
  if (count == 0) {
    fail(ErrorKind::resource, "--device {}: {}; or use --device cpu", device, found().why);
  }
  if (!named) {
    check_alike(gpus());
    return local_rank % count;
  }
  if (*named >= count) {
    fail(ErrorKind::resource, "--device {}: this machine has {} GPU{}, from cuda:0 on", device,
         count, count == 1 ? "" : "s");
  }
  return *named;
}

std::unique_ptr<Backend> open_gpu(int gpu) {
  TRIREME_ASSERT(found().plugin != nullptr);
  return std::unique_ptr<Backend>(found().plugin->open(gpu));
}

}  // namespace trireme
