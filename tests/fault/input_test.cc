// Input that is wrong, or gone, or not what it was: bad rows become error rows and disturb nobody;
// another input is not taken for the first.
#include <gtest/gtest.h>
#include <signal.h>

#include "fault/job.h"

namespace trireme::testing {
namespace {

std::string joined(const Words& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

TEST(Rows, ThatAreBadDisturbNobodyElse) {
  Job job(40);
  const Words good_answers = lines_of(job.expected());
  Words rows = lines_of(read_file(job.input()));
  rows[11] = "{\"prompt\": \"never clos";
  rows[19] = "{\"prompt\": \"\xff\xfe\xc3\"}";
  rows[25] = "{\"prompt\": \"" + std::string(20000, 'x') + " end\"}";
  rows[30] = "{\"prompt\": \"a\", \"max_new_tokens\": -3}";
  write_file(job.input(), joined(rows));
  const Outcome outcome = job.run({"-dp", "2"});
  EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
  const Words answers = lines_of(job.written());
  ASSERT_EQ(answers.size(), rows.size());
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (row == 11 || row == 19 || row == 25 || row == 30) {
      EXPECT_NE(answers[row].find("\"error\""), std::string::npos) << answers[row];
    } else {
      EXPECT_EQ(answers[row], good_answers[row]);
    }
  }
  const std::string first = job.written();
  EXPECT_EQ(job.run({"-tp", "2", "--overwrite"}).exit_code, 3);
  EXPECT_TRUE(job.written() == first) << "error rows do not depend on the plan";
}

/// A hundred megabytes at once are more than a message may hold.
TEST(Rows, ThatAreHugeAreAnsweredAndThoseTooLargeRefused) {
  Job job(3);
  std::string rows;
  for (int row = 0; row < 16; ++row) {
    const std::string id(static_cast<std::size_t>(row == 5 ? 9'000'000 : 7'000'000), '"');
    rows += "\"" + id + "\",x\n";
  }
  write_file(job.input(), "id,prompt\n" + rows);
  const Words flags{"--input-format", "csv", "--prompt-template", "{prompt}"};
  Words plan = flags;
  plan.insert(plan.end(), {"-tp", "2"});
  const Outcome outcome = job.run(plan);
  EXPECT_EQ(outcome.exit_code, 3) << outcome.err.substr(0, 2000);
  const Words answers = lines_of(job.written());
  ASSERT_EQ(answers.size(), 16u);
  for (std::size_t row = 0; row < answers.size(); ++row) {
    EXPECT_EQ(answers[row].size() < 1000, row == 5) << row;
  }
}

/// Starts the job and kills it when it has done about a third.
void begin(const Job& job, std::uintmax_t whole) {
  const auto running = job.start({"-dp", "2"});
  ASSERT_TRUE(job.await_growth(*running, whole / 3));
  send_signal(running->pid(), SIGKILL);
  running->wait();
}

TEST(Input, ThatIsGoneOrChangedIsToldAndTheJobCanStillBeFinished) {
  Job job(150);
  const std::size_t whole = job.expected().size();
  begin(job, whole);
  const std::string rows = read_file(job.input());

  std::filesystem::remove(job.input());
  const Outcome gone = job.run({"-dp", "2"});
  EXPECT_TRUE(gone.exit_code == 1 || gone.exit_code == 2) << gone.exit_code << gone.err;
  EXPECT_NE(gone.err.find("rows.jsonl"), std::string::npos) << gone.err;

  // By its size, and where that is the same, row by row.
  for (const auto& [prompt, message] : {std::pair{"\"prompt\": \"O ", "input="},
                                        {"\"prompt\":\"_", "of the input is not what it was"}}) {
    Words changed = lines_of(rows);
    for (std::string& row : changed) row.replace(row.find("\"prompt\": \""), 11, prompt);
    write_file(job.input(), joined(changed));
    const Outcome other = job.run({"-dp", "2"});
    EXPECT_EQ(other.exit_code, 2) << other.err;
    EXPECT_NE(other.err.find(message), std::string::npos) << other.err;
  }

  write_file(job.input(), rows);
  EXPECT_EQ(job.run({"-dp", "2"}).exit_code, 0);
  EXPECT_TRUE(job.written() == job.expected());
}

TEST(Input, ThatComesSlowlyIsAnsweredAsItComes) {
  for (const Words& plan : {Words{}, Words{"-dp", "2"}}) {
    Job job(30);
    const std::string expected = job.expected();
    const std::string rows = read_file(job.input());
    auto pipe = std::make_unique<Pipe>(job);
    const auto running = job.start(plan);
    const std::size_t half = rows.find("{\"id\": \"row-15\"");
    pipe->fill(rows.substr(0, half));
    const std::size_t answers = expected.find("{\"id\":\"row-15\"");
    EXPECT_TRUE(Job::await(*running, [&] { return job.journal_bytes() > answers; }))
        << "answers do not wait for the input's end";
    pipe->fill(rows.substr(half));
    pipe.reset();
    const Outcome outcome = running->wait();
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(job.written() == expected);
  }
}

TEST(Input, ThatDoesNotComeKeepsNobodyFromStopping) {
  for (const Words& plan : {Words{}, Words{"-dp", "2"}}) {
    const Job job(30);
    const std::string rows = read_file(job.input());
    const Pipe pipe(job);
    const auto running = job.start(plan);
    pipe.fill(rows);
    EXPECT_TRUE(job.await_growth(*running, 1000));
    send_signal(running->pid(), SIGTERM);
    const Outcome outcome = running->wait();
    EXPECT_EQ(outcome.exit_code, 5) << outcome.err;
    EXPECT_TRUE(running->nothing_left());
  }
}

TEST(Input, ThatStopsWithinALineKeepsNobodyFromStopping) {
  for (const Words& plan : {Words{}, Words{"-dp", "2"}}) {
    const Job job(30);
    const std::string rows = read_file(job.input());
    const Pipe pipe(job);
    const auto running = job.start(plan);
    pipe.fill(rows);
    EXPECT_TRUE(job.await_growth(*running, 1000));
    pipe.fill("{\"prompt\": \"To be");
    EXPECT_TRUE(Job::await(*running, [&] { return pipe.empty(); })) << "it is read as it comes";
    send_signal(running->pid(), SIGTERM);
    const Outcome outcome = running->wait();
    EXPECT_EQ(outcome.exit_code, 5) << outcome.err;
    EXPECT_TRUE(running->nothing_left());
  }
}

TEST(Input, ThatIsCutOffIsTold) {
  Job job(150);
  const std::size_t whole = job.expected().size();
  begin(job, whole);
  const std::string rows = read_file(job.input());
  write_file(job.input(), joined({lines_of(rows)[0], lines_of(rows)[1]}));
  const Outcome cut = job.run({});
  EXPECT_EQ(cut.exit_code, 2) << cut.err;
  const std::string size = std::to_string(std::filesystem::file_size(job.input()));
  EXPECT_NE(cut.err.find("input=" + size + " bytes here"), std::string::npos) << cut.err;
  // A pipe has no size.
  const std::filesystem::path rest = job.file("rest.jsonl");
  std::filesystem::rename(job.input(), rest);
  {
    auto pipe = std::make_unique<Pipe>(job);
    const auto running = job.start({});
    pipe->fill(read_file(rest));
    EXPECT_TRUE(Job::await(*running, [&] { return pipe->empty(); }));
    pipe.reset();
    const Outcome piped = running->wait();
    EXPECT_EQ(piped.exit_code, 2) << piped.err;
    EXPECT_NE(piped.err.find("the input has 2 rows"), std::string::npos) << piped.err;
  }
  std::filesystem::remove(job.input());
  EXPECT_FALSE(std::filesystem::exists(job.output()));
  write_file(job.input(), rows);
  EXPECT_EQ(job.run({}).exit_code, 0);
  EXPECT_TRUE(job.written() == job.expected());
}

}  // namespace
}  // namespace trireme::testing
