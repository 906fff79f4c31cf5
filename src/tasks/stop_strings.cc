#include "tasks/stop_strings.h"

#include <algorithm>
#include <utility>

namespace trireme {

std::string StopStrings::push(std::string_view text) {
  if (stopped_) return {};
  pending_ += text;
  std::size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, pending_.find(stop));
  stopped_ = first != std::string::npos;
  const std::size_t certain = stopped_ ? first : pending_.size() - held_back();
  std::string out = pending_.substr(0, certain);
  if (stopped_) {
    pending_.clear();
  } else {
    pending_.erase(0, certain);
  }
  return out;
}

/// Length of the longest end of the pending text that could begin a stop string.
std::size_t StopStrings::held_back() const {
  std::size_t longest = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t n = std::min(stop.size() - 1, pending_.size()); n > longest; --n) {
      if (pending_.ends_with(std::string_view(stop).substr(0, n))) longest = n;
    }
  }
  return longest;
}

std::string StopStrings::finish() { return std::exchange(pending_, {}); }

}  // namespace trireme
