#include "launch/supervise.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>

#include "core/error.h"

namespace trireme {

namespace {

/// Turns SIGINT, SIGTERM and SIGHUP into something that poll() can wait for.
class SignalQueue {
 public:
  SignalQueue() {
    sigemptyset(&wanted_);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&wanted_, number);
    pthread_sigmask(SIG_BLOCK, &wanted_, &before_);
    fd_ = signalfd(-1, &wanted_, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  ~SignalQueue() {
    if (fd_ >= 0) close(fd_);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SignalQueue(const SignalQueue&) = delete;
  SignalQueue& operator=(const SignalQueue&) = delete;

  int fd() const { return fd_; }
  bool next(signalfd_siginfo& signal) const {
    return read(fd_, &signal, sizeof(signal)) == sizeof(signal);
  }

 private:
  sigset_t wanted_{};
  sigset_t before_{};
  int fd_ = -1;
};

void pass_on(Launcher& launcher, const signalfd_siginfo& signal, bool again) {
  constexpr std::chrono::seconds time_to_stop{10};
  if (again) {
    launcher.stop(SIGKILL, std::chrono::seconds(0));
    return;
  }
  std::fprintf(stderr, "trireme: stopping all ranks (signal %u); a second one kills them\n",
               signal.ssi_signo);
  // What the terminal sends has reached the ranks, too: they are in the same process group.
  const bool from_terminal = signal.ssi_code == SI_KERNEL;
  launcher.stop(static_cast<int>(signal.ssi_signo), time_to_stop, !from_terminal);
}

}  // namespace

int supervise(const LaunchSpec& spec) {
  const SignalQueue signals;
  Launcher launcher(spec);
  launcher.start();
  int exit_code = 0;
  int signals_seen = 0;
  while (launcher.any_running()) {
    pollfd waiting{signals.fd(), POLLIN, 0};
    for (const LaunchEvent& event : launcher.poll(std::chrono::seconds(1), {&waiting, 1})) {
      if (event.kind != LaunchEvent::Kind::group_finished || event.exit_code == 0) continue;
      std::fprintf(stderr, "trireme: %s\n", event.text.c_str());
      exit_code = event.exit_code;
    }
    signalfd_siginfo signal{};
    while (waiting.revents != 0 && signals.next(signal)) {
      pass_on(launcher, signal, signals_seen++ > 0);
    }
  }
  return exit_code;
}

}  // namespace trireme
