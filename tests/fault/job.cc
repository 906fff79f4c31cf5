#include "fault/job.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "fault/campaign.h"

namespace trireme::testing {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* mark_variable = "TRIREME_FAULT_TEST";

std::vector<char*> pointers(Words& words) {
  std::vector<char*> out;
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

/// A process's variables as /proc tells them; nothing for a process that is gone.
std::map<std::string, std::string> variables_of(pid_t pid) {
  const std::string all = read_file("/proc/" + std::to_string(pid) + "/environ");
  std::map<std::string, std::string> out;
  for (std::size_t begin = 0; begin < all.size();) {
    const std::size_t end = std::min(all.find('\0', begin), all.size());
    const std::string entry = all.substr(begin, end - begin);
    const std::size_t equals = std::min(entry.find('='), entry.size());
    out.emplace(entry.substr(0, equals), entry.substr(std::min(equals + 1, entry.size())));
    begin = end + 1;
  }
  return out;
}

std::vector<pid_t> all_processes() {
  std::vector<pid_t> out;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc() && end == name.data() + name.size()) out.push_back(pid);
  }
  return out;
}

std::string new_mark() {
  static std::atomic<int> count{0};
  return std::to_string(getpid()) + "." + std::to_string(count++);
}

}  // namespace

Running::Running(const Words& words, std::map<std::string, std::string> env) : mark_(new_mark()) {
  env[mark_variable] = mark_;
  Words arguments = words;
  Words variables = environment_for(words.front(), env);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, (folder_ / "out").c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&files, 2, (folder_ / "err").c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const int error = posix_spawnp(&pid_, words.front().c_str(), &files, &attributes,
                                 pointers(arguments).data(), pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) throw std::runtime_error("cannot start " + words.front());
}

Running::~Running() {
  if (!ended()) send_signal_to_all(*this, SIGKILL);
  wait();
}

bool Running::ended() {
  int status = 0;
  if (!status_ && waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
  return status_.has_value();
}

Outcome Running::wait() {
  const auto end = Clock::now() + seconds(60) * TRIREME_TEST_PATIENCE * campaign(1, 20);
  while (!ended() && Clock::now() < end) std::this_thread::sleep_for(milliseconds(2));
  if (!ended()) {
    ADD_FAILURE() << "the program hangs; it said: " << read_file(folder_ / "err");
    send_signal_to_all(*this, SIGKILL);
    while (!ended()) std::this_thread::sleep_for(milliseconds(2));
  }
  const int code = WIFEXITED(*status_) ? WEXITSTATUS(*status_) : 128 + WTERMSIG(*status_);
  return {code, read_file(folder_ / "out"), read_file(folder_ / "err")};
}

std::vector<pid_t> Running::marked(const std::string& variable) const {
  std::vector<pid_t> out;
  for (const pid_t pid : all_processes()) {
    const auto variables = variables_of(pid);
    const auto mark = variables.find(mark_variable);
    if (mark == variables.end() || mark->second != mark_) continue;
    if (variable.empty() || variables.contains(variable)) out.push_back(pid);
  }
  return out;
}

std::vector<Running::Rank> Running::ranks() const {
  std::vector<Rank> out;
  for (const char* const variable : {"TRIREME_RANK", "OMPI_COMM_WORLD_RANK"}) {
    for (const pid_t pid : marked(variable)) {
      const auto variables = variables_of(pid);
      if (!variables.contains(variable)) continue;  // it has just ended
      const auto replica = variables.find("TRIREME_REPLICA");
      out.push_back({pid, replica == variables.end() ? 0 : std::stoi(replica->second),
                     std::stoi(variables.at(variable))});
    }
  }
  return out;
}

bool Running::nothing_left() const {
  const auto end = Clock::now() + seconds(2);
  while (!marked("").empty()) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return true;
}

Job::Job(int rows, const Words& flags, std::map<std::string, std::string> env)
    : flags_(flags), env_(std::move(env)), output_(folder_ / "out.jsonl") {
  write_file(input(), rows_of(rows));
  env_.emplace("OMPI_ALLOW_RUN_AS_ROOT", "1");
  env_.emplace("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
}

std::unique_ptr<Running> Job::start(const Words& plan, const Words& starter) const {
  Words words = starter;
  words.push_back(trireme_program());
  words.insert(words.end(), verb_.begin(), verb_.end());
  words.insert(words.end(), {"-i", input(), "-o", output_, "--threads", "1"});
  words.insert(words.end(), flags_.begin(), flags_.end());
  words.insert(words.end(), plan.begin(), plan.end());
  if (std::find(words.begin(), words.end(), "--model") == words.end()) {
    words.insert(words.end(), {"--model", std::string(TRIREME_SOURCE_DIR) + "/demo/llama"});
  }
  return std::make_unique<Running>(words, env_);
}

const std::string& Job::expected() {
  if (!expected_.empty()) return expected_;
  const std::string output = std::exchange(output_, file("expected.jsonl"));
  const Outcome outcome = run({});
  EXPECT_TRUE(outcome.exit_code == 0 || outcome.exit_code == 3) << outcome.err;
  expected_ = written();
  output_ = output;
  return expected_;
}

std::uintmax_t Job::journal_bytes() const {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(output_ + ".trireme-journal", error);
  return error ? 0 : bytes;
}

bool Job::complete() const {
  namespace fs = std::filesystem;
  return fs::exists(output_) && !fs::exists(output_ + ".trireme-journal") &&
         !fs::exists(output_ + ".partial");
}

void Job::forget_output() const {
  for (const char* const end : {"", ".trireme-journal", ".partial"}) {
    std::filesystem::remove(output_ + end);
  }
}

bool Job::await(Running& running, const std::function<bool()>& done) {
  const auto end = Clock::now() + seconds(30) * TRIREME_TEST_PATIENCE;
  while (!done()) {
    if (running.ended() || Clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

bool Job::await_growth(Running& running, std::uintmax_t bytes) const {
  const std::uintmax_t wanted = std::max<std::uintmax_t>(journal_bytes(), 1) + bytes;
  return await(running, [&] { return journal_bytes() >= wanted; });
}

Pipe::Pipe(const Job& job) {
  std::filesystem::remove(job.input());
  EXPECT_EQ(mkfifo(job.input().c_str(), 0600), 0);
  fd_ = open(job.input().c_str(), O_RDWR | O_CLOEXEC);  // waits for no reader
}

Pipe::~Pipe() { close(fd_); }

void Pipe::fill(const std::string& text) const {
  EXPECT_EQ(write(fd_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

bool Pipe::empty() const {
  int bytes = 0;
  return ioctl(fd_, FIONREAD, &bytes) == 0 && bytes == 0;
}

Words lines_of(const std::string& text) {
  Words out;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) out.push_back(line);
  return out;
}

void send_signal(pid_t pid, int number) {
  if (pid <= 1) {
    ADD_FAILURE() << "there is no process to signal (" << pid << ")";
    return;
  }
  kill(pid, number);
}

void send_signal_to_all(const Running& running, int number) {
  if (running.pid() <= 1) {
    ADD_FAILURE() << "the program was not started";
    return;
  }
  kill(-running.pid(), number);
}

std::string rows_of(int count) {
  const std::string words = "Now is the winter of our discontent made glorious summer ";
  std::string text;
  for (int row = 0; row < count; ++row) {
    const std::string prompt = words.substr(static_cast<std::size_t>(row) % 40);
    text += "{\"id\": \"row-" + std::to_string(row) + "\", \"prompt\": \"" + prompt + "\"";
    if (row % 3 == 1) text += ", \"temperature\": 0.9, \"seed\": 5";
    text += "}\n";
  }
  return text;
}

}  // namespace trireme::testing
