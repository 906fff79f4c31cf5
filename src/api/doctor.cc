// A look at this machine.
#include "trireme/doctor.h"

#include <fmt/core.h>
#include <gnu/libc-version.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <utf8proc.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json_fwd.hpp>
#include <sstream>

#include "api/doctor_gpus.h"
#include "kernels/cpu/amx_linear.h"
#include "kernels/registry.h"
#include "plan/host.h"
#include "trireme/engine.h"

namespace trireme {

namespace {

using Status = Finding::Status;
namespace fs = std::filesystem;

constexpr double gibi = 1024.0 * 1024.0 * 1024.0;

/// Collects findings under one topic after another.
class Examination {
 public:
  void topic(std::string name) { topic_ = std::move(name); }
  void add(std::string name, Status status, std::string value, std::string advice = "") {
    report_.usable = report_.usable && status != Status::problem;
    report_.findings.push_back(
        {topic_, std::move(name), status, std::move(value), std::move(advice)});
  }
  DoctorReport take() { return std::move(report_); }

 private:
  std::string topic_;
  DoctorReport report_;
};

std::string first_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

/// The value of a key in /proc/cpuinfo.
std::string cpu_info(const std::string& key) {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t colon = line.find(": ");
    if (colon != line.npos) return line.substr(colon + 2);
  }
  return "unknown";
}

bool has_cpu_flag(const std::string& flag) {
  std::istringstream flags(cpu_info("flags"));
  for (std::string word; flags >> word;) {
    if (word == flag) return true;
  }
  return false;
}

void look_at_cores(Examination& report) {
  report.topic("Processor");
  report.add("model", Status::note, cpu_info("model name"));
  const HostCores cores = host_cores();
  const bool limited = cores.allowed < cores.online;
  report.add(
      "cores", Status::good,
      fmt::format("{} online, {} for this process", cores.online, cores.allowed),
      limited ? "the affinity mask leaves some out (taskset, or the container's cpuset)" : "");
  if (cores.quota > 0) {
    const bool low = cores.quota < cores.allowed;
    report.add("quota", low ? Status::warning : Status::good,
               fmt::format("{:.2g} cores by the control group", cores.quota),
               low ? fmt::format("use --threads {:.0f} over all ranks, or raise the limit",
                                 std::max(1.0, cores.quota))
                   : "");
  }
  const std::string smt = first_line("/sys/devices/system/cpu/smt/active");
  if (smt == "1") {
    report.add("SMT", Status::note, "on: two hardware threads share a core",
               "one thread per core is usually fastest: try --threads with half the number");
  } else if (smt == "0") {
    report.add("SMT", Status::good, "off");
  }
}

void look_at_instructions(Examination& report) {
  report.topic("Instruction sets");
  const auto add = [&](const char* name, bool there, const char* use) {
    report.add(name, there ? Status::good : Status::note,
               there ? fmt::format("yes: {}", use) : "no");
  };
  const bool avx2 = has_cpu_flag("avx2") && has_cpu_flag("fma");
  add("AVX2 and FMA", avx2, "the avx2 backend");
  add("AVX-512", has_cpu_flag("avx512f") && has_cpu_flag("avx512bw"), "the avx512 backend");
  add("AVX-512 VNNI", has_cpu_flag("avx512_vnni"), "the avx512vnni backend");
  add("AVX-512 BF16", has_cpu_flag("avx512_bf16"), "the avx512bf16 backend");
  const std::string amx = amx_status();
  const bool refused = amx != "granted" && has_cpu_flag("amx_tile");
  report.add("AMX",
             amx == "granted" ? Status::good
             : refused        ? Status::warning
                              : Status::note,
             amx == "granted" ? "granted: the amx backend, for bfloat16 and integers" : amx,
             refused ? "use Linux 5.16 or newer, and a sandbox that lets arch_prctl through" : "");
  std::string usable;
  const std::vector<std::string> names = available_backends();
  for (const std::string& name : names) usable += (usable.empty() ? "" : ", ") + name;
  report.add("backends", names.size() > 1 ? Status::good : Status::warning,
             fmt::format("{}; {} is used", usable, make_backend("auto")->name()),
             names.size() > 1 ? "" : "only plain loops: slow. A CPU with AVX2 is much faster");
  if (const char* const forced = std::getenv("TRIREME_ISA")) {
    report.add("TRIREME_ISA", Status::note, forced, "unset it to get the best backend");
  }
}

void look_at_memory(Examination& report) {
  report.topic("Memory");
  const HostMemory memory = host_memory();
  const double available = static_cast<double>(memory.available) / gibi;
  report.add(
      "memory", available >= 1 ? Status::good : Status::warning,
      fmt::format("{:.1f} GiB, {:.1f} GiB available{}", static_cast<double>(memory.total) / gibi,
                  available, memory.limit > 0 ? " (limited by the control group)" : ""),
      available >= 1 ? "" : "end other programs; `trireme plan` tells what a model needs");
  const std::string pages = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  const bool huge = pages.find("[always]") != pages.npos || pages.find("[madvise]") != pages.npos;
  report.add("huge pages", huge ? Status::good : Status::note,
             pages.empty() ? "transparent huge pages unknown" : "transparent: " + pages,
             huge ? ""
                  : "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled (a few "
                    "per cent faster)");
  int nodes = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/sys/devices/system/node", ignored)) {
    const std::string name = entry.path().filename().string();
    nodes += name.starts_with("node") && name.find_first_not_of("0123456789", 4) == name.npos;
  }
  report.add("NUMA nodes", Status::note, nodes == 0 ? "unknown" : fmt::format("{}", nodes),
             nodes > 1 ? fmt::format("a rank per node keeps memory near: -tp {} with numactl or "
                                     "mpirun --map-by numa",
                                     nodes)
                       : "");
}

void look_at_sharing(Examination& report) {
  report.topic("Sharing between ranks");
  const int fd = memfd_create("trireme-doctor", MFD_CLOEXEC);
  report.add("memfd", fd >= 0 ? Status::good : Status::problem,
             fd >= 0 ? "works: ranks on this host meet in shared memory" : std::strerror(errno),
             fd >= 0 ? "" : "allow memfd_create in the sandbox (Linux 3.17 or newer)");
  if (fd >= 0) close(fd);
  struct statvfs shm {};
  if (statvfs("/dev/shm", &shm) == 0) {
    report.add(
        "/dev/shm", Status::note,
        fmt::format("{:.1f} GiB (only MPI uses it)",
                    static_cast<double>(shm.f_blocks) * static_cast<double>(shm.f_frsize) / gibi));
  } else {
    report.add("/dev/shm", Status::note, "not there (only MPI uses it)");
  }
}

/// A program in PATH, or "".
std::string find_program(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string file = folder + "/" + name;
    if (access(file.c_str(), X_OK) == 0) return file;
  }
  return "";
}

/// The MPI transport, where comm/mpi_plugin.cc looks for it; or "".
std::string find_mpi_plugin() {
  std::vector<fs::path> folders;
  const char* const given = std::getenv("TRIREME_PLUGIN_PATH");
  std::istringstream list(given != nullptr ? given : "");
  for (std::string folder; std::getline(list, folder, ':');) folders.emplace_back(folder);
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  folders.push_back(program);
  folders.push_back(program / ".." / "lib" / "trireme");
  for (const fs::path& folder : folders) {
    const fs::path file = folder / "libtrireme_mpi.so";
    if (fs::exists(file, ignored)) return file.string();
  }
  return "";
}

void look_at_mpi(Examination& report) {
  report.topic("MPI (for several hosts; one host needs none)");
  const std::string plugin = find_mpi_plugin();
  report.add("transport", plugin.empty() ? Status::note : Status::good,
             plugin.empty() ? "libtrireme_mpi.so not found" : plugin,
             plugin.empty() ? "apt install libopenmpi-dev openmpi-bin and build again, or set "
                              "TRIREME_PLUGIN_PATH to its folder"
                            : "");
  const std::string mpirun = find_program("mpirun");
  report.add("mpirun", mpirun.empty() ? Status::note : Status::good,
             mpirun.empty() ? "not in PATH" : mpirun,
             mpirun.empty() ? "apt install openmpi-bin" : "");
  const std::string srun = find_program("srun");
  if (!srun.empty()) report.add("Slurm", Status::good, srun);
}

void look_at_gpus(Examination& report) {
  report.topic("GPUs");
  for (const Finding& finding : gpu_findings(look_for_gpus())) {
    report.add(finding.name, finding.status, finding.value, finding.advice);
  }
}

void look_at_versions(Examination& report) {
  report.topic("Versions");
  report.add("trireme", Status::note, std::string(version()));
  report.add("compiler", Status::note, __VERSION__);
  report.add("C library", Status::note, fmt::format("glibc {}", gnu_get_libc_version()));
  utsname system{};
  if (uname(&system) == 0) {
    report.add("kernel", Status::note, fmt::format("{} {}", system.sysname, system.release));
  }
  report.add(
      "fmt", Status::note,
      fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100));
  report.add("nlohmann-json", Status::note,
             fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                         NLOHMANN_JSON_VERSION_PATCH));
  report.add("PCRE2", Status::note, fmt::format("{}.{}", PCRE2_MAJOR, PCRE2_MINOR));
  report.add("utf8proc", Status::note,
             fmt::format("{}.{}.{}", UTF8PROC_VERSION_MAJOR, UTF8PROC_VERSION_MINOR,
                         UTF8PROC_VERSION_PATCH));
}

}  // namespace

DoctorReport examine_machine() {
  Examination report;
  look_at_cores(report);
  look_at_instructions(report);
  look_at_memory(report);
  look_at_sharing(report);
  look_at_mpi(report);
  look_at_gpus(report);
  look_at_versions(report);
  return report.take();
}

}  // namespace trireme
