#include "batch/rate_window.h"

#include <algorithm>

namespace trireme {

void RateWindow::add(double seconds, double total) {
  last_ = {seconds, total};
  if (!any_ || seconds - samples_.back().seconds >= 1) samples_.push_back(last_);
  any_ = true;
  while (samples_.size() > 2 && samples_[1].seconds <= seconds - kept_seconds) samples_.pop_front();
}

double RateWindow::rate() const {
  if (!any_) return 0;
  // The youngest sample that is ten seconds old, else the oldest.
  Sample from = samples_.front();
  for (const Sample& sample : samples_) {
    if (sample.seconds <= last_.seconds - now_seconds) from = sample;
  }
  const double time = last_.seconds - from.seconds;
  return time > 0 ? (last_.total - from.total) / time : 0;
}

std::optional<Spread> RateWindow::spread() const {
  if (!any_ || last_.seconds - samples_.front().seconds < 2 * now_seconds) return std::nullopt;
  std::optional<Spread> spread;
  std::size_t begin = 0;
  for (const Sample& end : samples_) {
    while (end.seconds - samples_[begin].seconds >= now_seconds + 1) ++begin;
    const double time = end.seconds - samples_[begin].seconds;
    if (time < now_seconds) continue;
    const double rate = (end.total - samples_[begin].total) / time;
    if (!spread) spread = Spread{rate, rate};
    *spread = {std::min(spread->low, rate), std::max(spread->high, rate)};
  }
  return spread;
}

std::optional<Spread> RateWindow::time_for(double rest) const {
  const std::optional<Spread> rates = spread();
  if (!rates || rates->high <= 0 || rest < 0) return std::nullopt;
  // Ten seconds in which nothing ended say little of the rate: a tenth of the best is assumed.
  const double slowest = std::max(rates->low, rates->high / 10);
  return Spread{rest / rates->high, rest / slowest};
}

}  // namespace trireme
