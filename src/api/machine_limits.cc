#include "api/machine_limits.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>

#include "kernels/cpu/amx_linear.h"
#include "kernels/registry.h"
#include "plan/host.h"
#include "runtime/replica.h"
#include "trireme/machine.h"

namespace trireme {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name"))
      return line.substr(std::min(line.find(':') + 2, line.size()));
  }
  return "unknown";
}

MathUnit unit_of(std::string_view isa, const ModelSpec& model) {
  const DType dtype = model.dtype;
  if (model.quantization != Quantization::none && (isa == "amx" || isa.starts_with("avx512"))) {
    if (isa == "amx" && amx_int8_granted()) return MathUnit::amx_int8;
    return isa == "avx512" ? MathUnit::avx512 : MathUnit::avx512vnni;
  }
  if (isa == "amx" && dtype == DType::bf16) return MathUnit::amx;
  if (isa == "avx512bf16" && dtype == DType::bf16) return MathUnit::avx512bf16;
  if (isa == "amx" || isa.starts_with("avx512")) return MathUnit::avx512;
  return isa == "avx2" ? MathUnit::avx2 : widest_float_unit();
}

MachineLimits describe_machine() {
  MachineLimits machine;
  machine.processor = processor_name();
  machine.cores = host_cores().allowed;
  return machine;
}

double measure_copies(const Backend& backend) {
  constexpr std::size_t bytes = std::size_t{256} << 20;
  constexpr int copies = 20;
  const DeviceBuffer from = backend.allocate(bytes);
  const DeviceBuffer to = backend.allocate(bytes);
  double best = 0;
  for (int attempt = 0; attempt < 3; ++attempt) {
    backend.finish();
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < copies; ++i) backend.copy(to.data(), from.data(), bytes);
    backend.finish();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    best = std::max(best, 2.0 * copies * static_cast<double>(bytes) / taken.count());
  }
  return best;
}

MachineLimits measure_machine(const Options& options) {
  const OpenModel files = open_model(options);
  const std::unique_ptr<Backend> backend = make_backend(options.device, options.isa, 0);
  if (!backend->uses_host_memory()) {
    // How fast a GPU multiplies at most nothing but a product of ours would tell.
    MachineLimits gpu = describe_machine();
    gpu.processor = backend->arithmetic();
    gpu.read_bytes_per_s = measure_copies(*backend);
    return gpu;
  }
  const MathUnit unit = unit_of(backend->name(), files.model->spec());
  MachineLimits machine = describe_machine();
  machine.math_unit = name_of(unit);
  ThreadPool all(machine.cores);
  machine.math_operations_per_s = measure_math_peak(all, unit);
  // Fewer threads can read more than all when the cores are shared.
  for (const int threads : {machine.cores, std::max(1, machine.cores / 2)}) {
    ThreadPool pool(threads);
    machine.read_bytes_per_s = std::max(machine.read_bytes_per_s, measure_read_peak(pool));
  }
  return machine;
}

}  // namespace trireme
