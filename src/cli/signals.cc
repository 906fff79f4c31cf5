#include "cli/signals.h"

namespace trireme {

namespace {

constexpr std::array numbers{SIGINT, SIGTERM, SIGHUP};

// Signal handlers can reach nothing but globals.
volatile sig_atomic_t requests = 0;
volatile sig_atomic_t first = 0;
volatile sig_atomic_t from_terminal = 0;

void count(int number, siginfo_t* info, void*) {
  if (requests == 0) {
    first = number;
    from_terminal = info->si_code == SI_KERNEL ? 1 : 0;
  }
  requests = requests + 1;
}

}  // namespace

StopSignals::StopSignals() {
  struct sigaction action {};
  action.sa_sigaction = count;
  action.sa_flags = SA_SIGINFO;  // no SA_RESTART: a read of the terminal must end
  for (std::size_t i = 0; i < numbers.size(); ++i) sigaction(numbers[i], &action, &before_[i]);
}

StopSignals::~StopSignals() {
  for (std::size_t i = 0; i < numbers.size(); ++i) sigaction(numbers[i], &before_[i], nullptr);
}

int stop_requests() { return requests; }
int stop_signal() { return first; }
bool stop_came_from_terminal() { return from_terminal != 0; }

void ignore_stop_signals() {
  for (const int number : numbers) ::signal(number, SIG_IGN);
}

}  // namespace trireme
