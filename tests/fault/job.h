// A batch job as a user starts it, with the means to disturb it: signals to the program or to its
// ranks, limits, and questions about what is left.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/run_program.h"

namespace trireme::testing {

using Words = std::vector<std::string>;

/// The program at work: a process group of its own, whose members carry a mark in their
/// environment.
class Running {
 public:
  Running(const Words& words, std::map<std::string, std::string> env);
  /// Kills what is left of it.
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  pid_t pid() const { return pid_; }
  bool ended();
  /// What it has said on standard error so far.
  std::string err() const { return read_file(folder_ / "err"); }
  /// Waits for the program's end. One that hangs is a failed test: after 60 s, it is killed.
  Outcome wait();

  struct Rank {
    pid_t pid = 0;
    int replica = 0;
    int rank = 0;
  };
  /// Processes that the program has started as ranks and that live.
  std::vector<Rank> ranks() const;
  /// Whether all that carries the mark is gone within two seconds.
  bool nothing_left() const;

 private:
  std::vector<pid_t> marked(const std::string& variable) const;

  TemporaryFolder folder_;
  std::string mark_;
  pid_t pid_ = -1;
  std::optional<int> status_;
};

/// One job: its files, its command, and the output of a run that nothing disturbs.
class Job {
 public:
  explicit Job(int rows, const Words& flags = {}, std::map<std::string, std::string> env = {});

  /// Starts the command with `plan` added; `starter`: mpirun and its flags.
  std::unique_ptr<Running> start(const Words& plan, const Words& starter = {}) const;
  /// The whole command, to its end.
  Outcome run(const Words& plan) const { return start(plan)->wait(); }
  /// What an undisturbed run on one rank writes.
  const std::string& expected();

  void set_env(const std::string& name, const std::string& value) { env_[name] = value; }
  const std::map<std::string, std::string>& env() const { return env_; }
  void set_output(const std::string& path) { output_ = path; }
  /// In place of `batch`, with its own flags.
  void set_verb(const Words& verb) { verb_ = verb; }

  std::filesystem::path file(const std::string& name) const { return folder_ / name; }
  std::string input() const { return file("rows.jsonl"); }
  const std::string& output() const { return output_; }
  std::string written() const { return read_file(output_); }
  std::uintmax_t journal_bytes() const;
  /// Whether nothing but the finished output is there.
  bool complete() const;
  void forget_output() const;

  /// Waits until `done` or the program's end, at most 30 s; true if `done`.
  static bool await(Running& running, const std::function<bool()>& done);
  /// The same, for `bytes` more in the journal.
  bool await_growth(Running& running, std::uintmax_t bytes) const;

 private:
  TemporaryFolder folder_;
  Words verb_{"batch", "--max-new-tokens", "24"};
  Words flags_;
  std::map<std::string, std::string> env_;
  std::string output_;
  std::string expected_;
};

/// A pipe in place of the job's input, which a test fills.
class Pipe {
 public:
  explicit Pipe(const Job& job);
  ~Pipe();
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void fill(const std::string& text) const;
  /// Whether the program has taken in everything.
  bool empty() const;

 private:
  int fd_ = -1;
};

/// Sends a signal to one process. kill(2) takes -1 for "everything on this machine" and other
/// negative numbers and 0 for groups: a process that was not found must never get there.
void send_signal(pid_t pid, int number);
/// The same, to the program and all that is in its process group.
void send_signal_to_all(const Running& running, int number);

Words lines_of(const std::string& text);

/// `{"prompt": ...}` a line, of different lengths; each third one sampled.
std::string rows_of(int count);

}  // namespace trireme::testing
