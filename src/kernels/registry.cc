#include "kernels/registry.h"

#include <cstdlib>

#include "core/error.h"
#include "kernels/cpu/amx_linear.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cuda_plugin.h"
#include "kernels/reference/reference_backend.h"

namespace trireme {

namespace {

using Made = std::unique_ptr<Backend>;

struct Entry {
  const char* name;
  bool (*available)();
  Made (*make)();
  bool (*worth_it)() = [] { return true; };  ///< faster here than the entries before it
};

/// One line per backend, slowest first.
constexpr Entry entries[] = {
    {"reference", [] { return true; },
     []() -> Made { return std::make_unique<ReferenceBackend>(); }},
    {"avx2", has_avx2, []() -> Made { return std::make_unique<CpuBackend>(cpu::avx2_kernels()); }},
    {"avx512", has_avx512,
     []() -> Made { return std::make_unique<CpuBackend>(cpu::avx512_kernels()); }},
    {"avx512vnni", has_avx512vnni,
     []() -> Made { return std::make_unique<CpuBackend>(cpu::avx512vnni_kernels()); }},
    {"avx512bf16", has_avx512bf16,
     []() -> Made { return std::make_unique<CpuBackend>(cpu::avx512bf16_kernels()); },
     has_fast_bf16_pairs},
    {"amx", [] { return has_avx512() && amx_granted(); },
     [] {
       // For all but products of bfloat16 and of many rows of integers; processors with AMX have
       // VNNI, too. They have VDPBF16PS as well, but at half the rate of the fused multiply-adds
       // that give the same bits.
       return make_amx_backend(make_backend(has_avx512vnni() ? "avx512vnni" : "avx512"));
     }},
};

/// The fastest backend here, or the fastest but AMX.
const char* fastest(bool with_amx) {
  const char* best = nullptr;
  for (const Entry& entry : entries) {
    const bool candidate = with_amx || std::string_view(entry.name) != "amx";
    if (candidate && entry.available() && entry.worth_it()) best = entry.name;
  }
  return best;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

std::vector<std::string> available_backends() {
  std::vector<std::string> names;
  for (const Entry& entry : entries) {
    if (entry.available()) names.emplace_back(entry.name);
  }
  return names;
}

std::vector<std::string> worthwhile_backends() {
  std::vector<std::string> names;
  for (const Entry& entry : entries) {
    if (entry.available() && entry.worth_it()) names.emplace_back(entry.name);
  }
  return names;
}

std::string asked_backend(std::string_view name) {
  const char* const forced = std::getenv("TRIREME_ISA");
  if ((name.empty() || name == "auto") && forced != nullptr) name = forced;
  if (name.empty() || name == "auto") return "";
  make_backend(name);  // can this machine run it?
  return std::string(name);
}

std::unique_ptr<Backend> make_backend(std::string_view name) {
  const char* forced = std::getenv("TRIREME_ISA");
  const bool automatic = name.empty() || name == "auto";
  if (automatic && forced != nullptr && *forced != '\0') name = forced;
  if (name.empty() || name == "auto") return make_backend(fastest(true));
  for (const Entry& entry : entries) {
    if (name == entry.name && entry.available()) return entry.make();
  }
  // For tests of AMX's order of additions on any machine; too slow to be listed or chosen.
  if (name == "amx-emulated") return make_emulated_amx_backend(make_backend(fastest(false)));
  fail(ErrorKind::usage, "there is no instruction set '{}' on this machine; it has: {}", name,
       joined(available_backends()));
}

std::unique_ptr<Backend> make_backend(const std::string& device, std::string_view isa,
                                      int local_rank) {
  return is_gpu(device) ? open_gpu(gpu_of(device, local_rank)) : make_backend(isa);
}

std::string arithmetic_of(const std::string& device, std::string_view isa) {
  if (is_gpu(device)) return gpus()[static_cast<std::size_t>(gpu_of(device, 0))].arithmetic;
  return std::string(make_backend(isa)->arithmetic());
}

}  // namespace trireme
