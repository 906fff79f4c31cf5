// A batch that listens, whose rows a test gives bit by bit, and workers that join it.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <string>

#include "fault/job.h"

namespace trireme::testing {

class JoinJob {
 protected:
  static constexpr int rows = 300;
  static constexpr int patience = TRIREME_TEST_PATIENCE;  // of a sanitizer's build

  JoinJob() : job(rows) {
    write_file(key(), "0123456789abcdef0123456789abcdef\n");
    chmod(key().c_str(), 0600);
  }

  std::string key() const { return job.file("key"); }

  /// Its input is a pipe. Few rows at once, so that they are shared out evenly and end one by one.
  void start_batch(const Words& flags = {}, const std::string& listen = "0",
                   const Words& starter = {}) {
    job.set_verb({"batch", "--max-new-tokens", "24", "--max-num-seqs", "2"});
    job.expected();
    rest_ = read_file(job.input());
    pipe_ = std::make_unique<Pipe>(job);
    Words all{"--listen", listen, "--join-key", key()};
    all.insert(all.end(), flags.begin(), flags.end());
    give(1);  // the batch looks at what its input is like before it listens
    batch = job.start(all, starter);
  }
  /// Its input is a file.
  void start_file_batch(const std::string& listen) {
    job.expected();
    batch = job.start({"--listen", listen, "--join-key", key()});
  }

  std::unique_ptr<Running> start_worker(int at, const Words& flags = {},
                                        const std::string& host = "127.0.0.1",
                                        const Words& starter = {}) {
    Words words = starter;
    for (const std::string& word :
         Words{trireme_program(), "worker", "--join", host + ":" + std::to_string(at), "--join-key",
               key(), "--name", "w1", "--threads", "1", "--max-num-seqs", "2"}) {
      words.push_back(word);
    }
    words.insert(words.end(), flags.begin(), flags.end());
    return std::make_unique<Running>(words, job.env());
  }
  Outcome ask_to_leave(const std::string& name) {
    return run(trireme_program(), {"worker", "--leave", name, "--at",
                                   "127.0.0.1:" + std::to_string(port()), "--join-key", key()});
  }

  /// Waits until a program has said something, so many times.
  static bool said(Running& running, const std::string& text, int times = 1) {
    return Job::await(running, [&] { return count(running.err(), text) >= times; });
  }
  static int count(const std::string& text, const std::string& part) {
    int found = 0;
    for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++found;
    return found;
  }
  static void expect_said(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text << "\nlacks: " << part;
  }

  /// Where the batch listens.
  int port() {
    const std::string before = "workers may join at ";
    EXPECT_TRUE(said(*batch, before)) << batch->err();
    const std::string err = batch->err();
    const std::string line = err.substr(std::min(err.size(), err.find(before) + before.size()));
    return std::atoi(line.c_str() + line.find(':') + 1);
  }

  /// The next rows of the input.
  void give(int count) {
    std::size_t end = 0;
    while (count-- > 0 && end < rest_.size()) end = rest_.find('\n', end) + 1;
    pipe_->fill(rest_.substr(0, end));
    rest_.erase(0, end);
  }
  void give_rest() {
    give(rows);
    pipe_.reset();
  }

  Job job;
  std::unique_ptr<Running> batch;

 private:
  std::unique_ptr<Pipe> pipe_;
  std::string rest_;
};

}  // namespace trireme::testing
