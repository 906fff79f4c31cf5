#include "core/trace.h"

#include <algorithm>

namespace trireme {

namespace {

bool makes_sense(const TraceRecord& record, std::int64_t not_before) {
  const std::int64_t length = record.end_ns - record.begin_ns;
  return record.begin_ns >= not_before && length >= 0 && record.kind <= TraceKind::result &&
         record.input_wait_ns >= 0 && record.other_wait_ns >= 0 && record.input_wait_ns <= length &&
         record.other_wait_ns <= length - record.input_wait_ns;
}

}  // namespace

TracePart read(const TraceRing& ring) {
  TracePart part;
  const std::uint64_t end = ring.written.load(std::memory_order_acquire);
  const std::uint64_t begin = end > TraceRing::capacity ? end - TraceRing::capacity : 0;
  part.records.reserve(static_cast<std::size_t>(end - begin));
  for (std::uint64_t i = begin; i < end; ++i) {
    part.records.push_back(ring.records[i % TraceRing::capacity]);
  }
  // What the writer has overwritten meanwhile is no longer what it was.
  std::atomic_thread_fence(std::memory_order_acquire);
  const std::uint64_t now = ring.written.load(std::memory_order_relaxed) + 1;
  const std::uint64_t safe = now > TraceRing::capacity ? now - TraceRing::capacity : 0;
  const auto torn = static_cast<std::ptrdiff_t>(std::clamp(safe, begin, end) - begin);
  part.records.erase(part.records.begin(), part.records.begin() + torn);
  std::int64_t last = 0;
  std::erase_if(part.records, [&last](const TraceRecord& record) {
    if (!makes_sense(record, last)) return true;
    last = record.end_ns;
    return false;
  });
  part.dropped = end - part.records.size();
  return part;
}

}  // namespace trireme
