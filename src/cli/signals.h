// Ctrl-C and its relatives as something to look at, so that work can end at a good moment.
#pragma once

#include <signal.h>

#include <array>

namespace trireme {

/// While one exists, SIGINT, SIGTERM and SIGHUP are only counted.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  std::array<struct sigaction, 3> before_{};
};

/// How many have arrived.
int stop_requests();
inline bool stop_requested() { return stop_requests() > 0; }
/// The first of them.
int stop_signal();
/// The terminal sent it, to all processes in the foreground.
bool stop_came_from_terminal();

/// For ranks that only follow: the first rank or the launcher decides when to stop.
void ignore_stop_signals();

}  // namespace trireme
