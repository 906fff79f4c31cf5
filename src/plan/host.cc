#include "plan/host.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace trireme {

namespace {

constexpr std::int64_t unlimited = std::int64_t{1} << 60;

/// The first number in a file, or `fallback` ("max" and a missing file too).
std::int64_t number_in(const std::string& path, std::int64_t fallback) {
  std::ifstream file(path);
  std::int64_t value = 0;
  return file >> value ? value : fallback;
}

/// This process's control group under `root` and every group above it, innermost first.
std::vector<std::string> groups(const std::string& root, const std::string& controller) {
  std::ifstream file("/proc/self/cgroup");
  std::string path;
  for (std::string line; std::getline(file, line);) {  // "4:memory:/docker/1f2e" or "0::/user"
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == line.npos) continue;
    if (line.substr(first + 1, second - first - 1) == controller) path = line.substr(second + 1);
  }
  std::vector<std::string> folders;
  for (; path.size() > 1; path.resize(path.rfind('/'))) folders.push_back(root + path);
  folders.push_back(root);
  return folders;
}

/// Lowers total and available to what a group still gives.
void apply_limit(HostMemory& memory, std::int64_t limit, std::int64_t used) {
  if (limit <= 0 || limit >= std::min(unlimited, memory.total)) return;
  memory.limit = memory.limit == 0 ? limit : std::min(memory.limit, limit);
  memory.total = std::min(memory.total, limit);
  memory.available = std::min(memory.available, std::max<std::int64_t>(0, limit - used));
}

/// Page cache counts as used, but makes way.
std::int64_t reclaimable(const std::string& folder, const std::string& key) {
  std::ifstream file(folder + "/memory.stat");
  std::string name;
  for (std::int64_t value = 0; file >> name >> value;) {
    if (name == key) return value;
  }
  return 0;
}

}  // namespace

HostMemory host_memory() {
  HostMemory memory;
  std::ifstream meminfo("/proc/meminfo");
  for (std::string line; std::getline(meminfo, line);) {
    std::istringstream fields(line);
    std::string key;
    std::int64_t kilobytes = 0;
    fields >> key >> kilobytes;
    if (key == "MemTotal:") memory.total = kilobytes * 1024;
    if (key == "MemAvailable:") memory.available = kilobytes * 1024;
  }
  for (const std::string& folder : groups("/sys/fs/cgroup", "")) {
    const std::int64_t used =
        number_in(folder + "/memory.current", 0) - reclaimable(folder, "inactive_file");
    apply_limit(memory, number_in(folder + "/memory.max", unlimited), used);
  }
  for (const std::string& folder : groups("/sys/fs/cgroup/memory", "memory")) {
    const std::int64_t used = number_in(folder + "/memory.usage_in_bytes", 0) -
                              reclaimable(folder, "total_inactive_file");
    apply_limit(memory, number_in(folder + "/memory.limit_in_bytes", unlimited), used);
  }
  return memory;
}

HostCores host_cores() {
  HostCores cores;
  cores.online = std::max(1, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
  cores.allowed = cores.online;
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) cores.allowed = CPU_COUNT(&mask);
  const auto limit = [&](double quota, double period) {
    if (quota <= 0 || period <= 0) return;
    cores.quota = cores.quota > 0 ? std::min(cores.quota, quota / period) : quota / period;
  };
  for (const std::string& folder : groups("/sys/fs/cgroup", "")) {
    std::ifstream file(folder + "/cpu.max");  // "200000 100000", or "max 100000"
    double quota = 0, period = 0;
    if (file >> quota >> period) limit(quota, period);
  }
  for (const std::string& folder : groups("/sys/fs/cgroup/cpu", "cpu,cpuacct")) {
    limit(static_cast<double>(number_in(folder + "/cpu.cfs_quota_us", 0)),
          static_cast<double>(number_in(folder + "/cpu.cfs_period_us", 0)));
  }
  return cores;
}

}  // namespace trireme
