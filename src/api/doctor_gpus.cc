#include "api/doctor_gpus.h"

#include <dlfcn.h>
#include <fmt/core.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace trireme {

namespace {

using Status = Finding::Status;
namespace fs = std::filesystem;

int device_files() {
  int devices = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/dev", ignored)) {
    const std::string name = entry.path().filename().string();
    devices += name.size() > 6 && name.starts_with("nvidia") &&
               name.find_first_not_of("0123456789", 6) == name.npos;
  }
  return devices;
}

/// What `function`, an int f(int*) of a library that may not be there, puts down; 0: nothing.
int version_of(const char* library, const char* function) {
  void* const handle = dlopen(library, RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr) return 0;
  auto* const get = reinterpret_cast<int (*)(int*)>(dlsym(handle, function));
  int version = 0;
  if (get == nullptr || get(&version) != 0) return 0;
  return version;
}

/// TRIREME_NCCL may name it.
std::string nccl_file() {
  const char* const value = std::getenv("TRIREME_NCCL");
  const std::string text = value != nullptr ? value : "";
  return text.empty() || text == "0" || text == "1" ? "libnccl.so.2" : text;
}

Finding device_finding(const GpuFacts& facts) {
  if (facts.devices == 0) return {"", "NVIDIA", Status::note, "none (no /dev/nvidia0)", ""};
  return {"", "NVIDIA", Status::good,
          fmt::format("{} device{}; {}", facts.devices, facts.devices > 1 ? "s" : "",
                      facts.module.empty() ? "no driver version" : facts.module),
          ""};
}

Finding driver_finding(const GpuFacts& facts) {
  if (facts.driver_version > 0) {
    return {"", "CUDA driver", Status::good,
            fmt::format("for CUDA {}.{}", facts.driver_version / 1000,
                        facts.driver_version % 1000 / 10),
            ""};
  }
  return {
      "", "CUDA driver", facts.devices > 0 ? Status::warning : Status::note,
      "libcuda.so.1 not found",
      facts.devices > 0 ? "install NVIDIA's driver; in a container use the NVIDIA runtime" : ""};
}

/// The first line of why there are none is what happened, the last one what to do.
Finding plugin_finding(const GpuFacts& facts) {
  const std::string name = "trireme's CUDA";
  if (!facts.gpus.empty()) return {"", name, Status::good, "the cuda backend", ""};
  const std::string& why = facts.why;
  const std::size_t end = why.find('\n');
  std::string what = why.substr(0, end);
  if (what.ends_with(':')) what.pop_back();
  const std::string advice = end == why.npos ? "" : why.substr(why.rfind('\n') + 1);
  return {"", name, facts.devices > 0 ? Status::warning : Status::note, what, advice};
}

Finding gpu_finding(const GpuInfo& gpu, std::size_t number) {
  constexpr double gibi = 1024.0 * 1024.0 * 1024.0;
  Finding finding{
      "", fmt::format("cuda:{}", number), Status::good,
      fmt::format("{}, compute capability {}.{}, {:.1f} GiB", gpu.name, gpu.compute_capability / 10,
                  gpu.compute_capability % 10, static_cast<double>(gpu.memory) / gibi),
      ""};
  if (gpu.compute_capability < 75) {
    finding.status = Status::warning;
    finding.advice = "built for 7.5 and up: build again with -D CMAKE_CUDA_ARCHITECTURES";
  } else if (gpu.compute_capability < 80) {
    finding.status = Status::note;
    finding.advice = "no bfloat16 on its tensor cores: products of floats are computed without";
  }
  return finding;
}

bool all_alike(const std::vector<GpuInfo>& gpus) {
  for (const GpuInfo& gpu : gpus) {
    if (gpu.arithmetic != gpus.front().arithmetic) return false;
  }
  return true;
}

Finding nccl_finding(const GpuFacts& facts) {
  if (facts.nccl_version > 0) {
    const int version = facts.nccl_version;
    return {"", "NCCL", Status::good,
            fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100), ""};
  }
  const bool needed = facts.gpus.size() > 1;
  return {"", "NCCL", needed ? Status::warning : Status::note, "libnccl.so.2 not found",
          needed ? "GPUs meet through the host's memory until it is there: apt install libnccl2 "
                   "(NVIDIA's repository), or set TRIREME_NCCL to the file"
                 : ""};
}

}  // namespace

GpuFacts look_for_gpus() {
  GpuFacts facts;
  facts.devices = device_files();
  std::ifstream module("/proc/driver/nvidia/version");
  std::getline(module, facts.module);
  facts.driver_version = version_of("libcuda.so.1", "cuDriverGetVersion");
  facts.gpus = gpus(&facts.why);
  facts.nccl_version = version_of(nccl_file().c_str(), "ncclGetVersion");
  return facts;
}

std::vector<Finding> gpu_findings(const GpuFacts& facts) {
  std::vector<Finding> findings{device_finding(facts), driver_finding(facts),
                                plugin_finding(facts)};
  for (std::size_t i = 0; i < facts.gpus.size(); ++i) {
    findings.push_back(gpu_finding(facts.gpus[i], i));
  }
  if (!all_alike(facts.gpus)) {
    findings.push_back({"", "kinds of GPUs", Status::warning, "not all are of one kind",
                        "bfloat16 and float16 outputs may depend on which GPU computes: give "
                        "alike ones with CUDA_VISIBLE_DEVICES"});
  }
  findings.push_back(nccl_finding(facts));
  return findings;
}

}  // namespace trireme
