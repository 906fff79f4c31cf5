#include "launch/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "core/error.h"

namespace trireme {

namespace {

/// This process's environment with `added` in place of variables of the same name.
std::vector<std::string> environment_with(const std::map<std::string, std::string>& added) {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (!added.contains(std::string(text.substr(0, text.find('='))))) variables.emplace_back(text);
  }
  for (const auto& [name, value] : added) variables.push_back(name + "=" + value);
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& text : strings) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

/// All that the child needs, made before the fork: after it only async-signal-safe calls are
/// allowed, since another thread may have held any lock.
struct Child {
  const ProcessSpec& spec;
  std::vector<char*> argv;
  std::vector<char*> env;
  pid_t parent;
  int report;  // where errno goes when exec fails

  [[noreturn]] void run() const {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);  // the launcher died before the line above
    reset_signals();
    if (arrange_descriptors()) execvpe(spec.program.c_str(), argv.data(), env.data());
    const int error = errno;
    [[maybe_unused]] const ssize_t written = write(report, &error, sizeof(error));
    _exit(127);
  }

 private:
  static void reset_signals() {
    for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGCHLD}) ::signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
  }
  bool arrange_descriptors() const {
    for (int target = 0; target < 3; ++target) {
      if (spec.standard[target] != target && dup2(spec.standard[target], target) < 0) return false;
    }
    for (const int fd : spec.inherited) {
      if (fcntl(fd, F_SETFD, 0) != 0) return false;
    }
    return true;
  }
};

/// Waits until the child runs its program; the errno that prevented it, or 0.
int exec_error(int pipe) {
  int error = 0;
  ssize_t count = 0;
  do {
    count = read(pipe, &error, sizeof(error));
  } while (count < 0 && errno == EINTR);
  return count == sizeof(error) ? error : 0;
}

}  // namespace

std::string ExitStatus::text() const {
  if (signal == 0) return fmt::format("exited with code {}", code);
  const char* const name = sigdescr_np(signal);
  return fmt::format("was killed by signal {} ({})", signal, name != nullptr ? name : "unknown");
}

Process Process::start(const ProcessSpec& spec) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) {
    fail(ErrorKind::resource, "cannot create a pipe: {}", std::strerror(errno));
  }
  std::vector<std::string> argv = spec.argv;
  std::vector<std::string> env = environment_with(spec.env);
  const Child child{spec, pointers(argv), pointers(env), getpid(), report[1]};
  const pid_t pid = fork();
  if (pid == 0) child.run();
  const int fork_error = errno;
  close(report[1]);
  const int error = pid > 0 ? exec_error(report[0]) : 0;
  close(report[0]);
  if (pid < 0) {
    fail(ErrorKind::resource, "cannot start another process: {}", std::strerror(fork_error));
  }
  Process process(pid);
  if (error != 0) {
    fail(ErrorKind::input, "cannot run {}: {}", spec.program, std::strerror(error));
  }
  return process;
}

Process::Process(pid_t pid)
    : pid_(pid), pidfd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::exchange(other.pidfd_, -1)),
      status_(other.status_) {}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(pidfd_, other.pidfd_);
  std::swap(status_, other.status_);
  return *this;
}

Process::~Process() {
  if (pid_ > 0 && !status_) {
    kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (pidfd_ >= 0) close(pidfd_);
}

const std::optional<ExitStatus>& Process::status() {
  int raw = 0;
  if (!status_ && waitpid(pid_, &raw, WNOHANG) == pid_) {
    status_ = WIFSIGNALED(raw) ? ExitStatus{1, WTERMSIG(raw)} : ExitStatus{WEXITSTATUS(raw), 0};
  }
  return status_;
}

void Process::signal(int number) const {
  if (pid_ > 0 && !status_) kill(pid_, number);
}

std::optional<unsigned long> Process::cpu_ticks() const {
  std::ifstream file(fmt::format("/proc/{}/stat", pid_));
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  // The name, in parentheses, may hold anything; fields 14 and 15 count from the pid as 1.
  std::istringstream fields(line.substr(std::min(line.size(), line.rfind(')') + 1)));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  unsigned long user = 0, system = 0;
  if (!(fields >> user >> system)) return std::nullopt;
  return user + system;
}

}  // namespace trireme
