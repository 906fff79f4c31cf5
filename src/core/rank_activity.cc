#include "core/rank_activity.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace trireme {

RankSample read(const RankActivity& activity) {
  const auto value = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  RankSample sample{.began_ns = value(activity.began_ns),
                    .ready_ns = value(activity.ready_ns),
                    .busy_ns = value(activity.busy_ns),
                    .waited_ns = value(activity.waited_ns),
                    .steps = value(activity.steps),
                    .tokens = value(activity.tokens)};
  for (int i = 0; i < step_classes; ++i) {
    sample.step_count[i] = value(activity.step_count[i]);
    sample.step_tokens[i] = value(activity.step_tokens[i]);
  }
  sample.kv_used = value(activity.kv_used);
  sample.kv_blocks = value(activity.kv_blocks);
  sample.peak_bytes = value(activity.peak_bytes);
  sample.shared_bytes = value(activity.shared_bytes);
  sample.weight_bytes = value(activity.weight_bytes);
  sample.multiply_adds_per_token = value(activity.multiply_adds_per_token);
  return sample;
}

namespace {

/// Of a line like "VmHWM:     1234 kB".
std::uint64_t kilobytes(std::string_view line) {
  return std::strtoull(line.data() + line.find(':') + 1, nullptr, 10) * 1024;
}

}  // namespace

ResidentMemory resident_memory() {
  ResidentMemory memory;
  std::FILE* const file = std::fopen("/proc/self/status", "re");
  if (file == nullptr) return memory;
  char line[256];
  while (std::fgets(line, sizeof(line), file) != nullptr) {
    const std::string_view text(line);
    if (text.starts_with("VmHWM:")) memory.peak_bytes = kilobytes(text);
    if (text.starts_with("RssFile:") || text.starts_with("RssShmem:")) {
      memory.shared_bytes += kilobytes(text);
    }
  }
  std::fclose(file);
  return memory;
}

}  // namespace trireme
