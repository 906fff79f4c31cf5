#include "plan/host.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
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

double measure_read_bandwidth(int threads) {
  // Beyond most last-level caches, and still quick to fill.
  constexpr std::size_t bytes = std::size_t{192} << 20;
  const auto parts = static_cast<std::size_t>(std::max(1, threads));
  const std::size_t count = bytes / sizeof(std::uint64_t) / parts;
  std::vector<std::uint64_t> sums(parts * 8);  // a cache line each
  const auto run = [&](auto body) {
    std::vector<std::thread> workers;
    for (std::size_t t = 0; t < parts; ++t) workers.emplace_back(body, t);
    for (std::thread& worker : workers) worker.join();
  };
  std::vector<std::vector<std::uint64_t>> memory(parts);
  run([&](std::size_t t) { memory[t].assign(count, t + 1); });
  double best = 0;
  for (int round = 0; round < 3; ++round) {
    const auto start = std::chrono::steady_clock::now();
    run([&](std::size_t t) {
      const std::uint64_t* const data = memory[t].data();
      std::uint64_t lanes[8] = {};  // independent sums: the additions must not be the limit
      for (std::size_t i = 0; i + 8 <= count; i += 8) {
        for (std::size_t lane = 0; lane < 8; ++lane) lanes[lane] += data[i + lane];
      }
      for (const std::uint64_t lane : lanes) sums[t * 8] += lane;
    });
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    const auto read = static_cast<double>(count * parts * sizeof(std::uint64_t));
    best = std::max(best, read / taken.count());
  }
  volatile std::uint64_t keep = 0;  // the sums must be computed
  for (const std::uint64_t sum : sums) keep = keep + sum;
  return best;
}

}  // namespace trireme
