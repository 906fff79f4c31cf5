// What `trireme doctor` says about GPUs.
#pragma once

#include <string>
#include <vector>

#include "kernels/cuda_plugin.h"
#include "trireme/doctor.h"

namespace trireme {

/// What this machine shows of GPUs.
struct GpuFacts {
  int devices = 0;            ///< /dev/nvidia0, /dev/nvidia1, ...
  std::string module;         ///< first line of /proc/driver/nvidia/version; empty: not loaded
  int driver_version = 0;     ///< the CUDA version that the driver is for, 13000; 0: no driver
  std::vector<GpuInfo> gpus;  ///< as the plug-in finds them
  std::string why;            ///< it finds none
  int nccl_version = 0;       ///< 22703; 0: no libnccl.so.2
};

/// Looks without touching a GPU.
GpuFacts look_for_gpus();

/// Findings without a topic.
std::vector<Finding> gpu_findings(const GpuFacts& facts);

}  // namespace trireme
