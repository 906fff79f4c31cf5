#include "batch/job_observer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "batch/error_file.h"
#include "batch/input_files.h"
#include "batch/ledger.h"
#include "batch/metrics_text.h"
#include "batch/report.h"
#include "batch/run_limits.h"
#include "core/error.h"

namespace trireme {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t sample_interval_ns = 250'000'000;
/// A job that took less is not worth the seconds in which the machine would be measured.
constexpr double worth_measuring_seconds = 30;

/// Throws Error(usage) where a file of that name could not be written.
void check_writable(const char* flag, const std::string& path, const BatchJob& job) {
  if (path.empty()) return;
  std::error_code error;
  std::vector<std::string> own{job.output, journal_path(job.output), job.output + ".partial",
                               error_file_of(job.output).string()};
  for (const InputFile& file : resolve_inputs(job.inputs)) own.push_back(file.path);
  for (const std::string& other : own) {
    if (path == other || fs::equivalent(path, other, error)) {
      fail(ErrorKind::usage,
           "{} {}: that is the job's own input or output, or lies beside it; name another file",
           flag, path);
    }
  }
  if (fs::is_directory(path, error)) fail(ErrorKind::usage, "{} {}: is a folder", flag, path);
  const fs::path folder = fs::absolute(path).parent_path();
  if (access(folder.c_str(), W_OK) == 0) return;
  fail(ErrorKind::usage, "{} {}: cannot write in {}: {}", flag, path, folder.string(),
       std::strerror(errno));
}

}  // namespace

JobObserver::JobObserver(const BatchJob& job, OnBatchNotice on_notice)
    : job_(job), on_notice_(std::move(on_notice)), start_ns_(monotonic_ns()), watch_(start_ns_) {
  check_writable("--report", job.observe.report, job);
  check_writable("--trace", job.observe.trace, job);
  if (!job.observe.report.empty() && job.observe.report == job.observe.trace) {
    fail(ErrorKind::usage, "--report and --trace: both are {}; name two files", job.observe.trace);
  }
  if (job.observe.metrics.empty()) return;
  metrics_.emplace(job.observe.metrics);
  if (!job.observe.quiet) {
    on_notice_(fmt::format("metrics: http://{}/metrics", metrics_->address()));
  }
}

void JobObserver::turn(const JobCounts& counts) {
  const std::int64_t now = monotonic_ns();
  watch_.tick(counts, now);
  if (metrics_) metrics_->serve([&] { return metrics_text(watch_, now); });
}

bool JobObserver::sample_due() const { return monotonic_ns() - sampled_ns_ >= sample_interval_ns; }

void JobObserver::sample(int replica, int rank, const RankActivity& activity) {
  sampled_ns_ = monotonic_ns();
  const RankSample sample = read(activity);
  if (sample.began_ns != 0) watch_.sample(replica, rank, sample, sampled_ns_);
}

void JobObserver::keep_trace(int replica, int rank, const TraceRing& ring) {
  if (!wants_trace()) return;
  TracePart part = read(ring);
  RankTrace& trace = traces_[{replica, rank}];
  trace.replica = replica;
  trace.rank = rank;
  trace.stage = rank / std::max(1, job_.options.tensor_parallel_size);
  trace.dropped += part.dropped;
  trace.records.insert(trace.records.end(), part.records.begin(), part.records.end());
  if (trace.records.size() <= TraceRing::capacity) return;
  const std::size_t over = trace.records.size() - TraceRing::capacity;
  trace.records.erase(trace.records.begin(),
                      trace.records.begin() + static_cast<std::ptrdiff_t>(over));
  trace.dropped += over;
}

std::string rank_name(const Options& options, int replica, int rank) {
  // Of a worker that has joined, whose plan is its own.
  if (replica >= options.data_parallel_size) {
    return fmt::format("replica {} (joined), rank {}", replica, rank);
  }
  const int tp = std::max(1, options.tensor_parallel_size);
  std::string name = options.data_parallel_size > 1 ? fmt::format("replica {}, ", replica) : "";
  name += fmt::format("rank {}", rank);
  if (options.pipeline_parallel_size > 1) name += fmt::format(", stage {}", rank / tp);
  if (tp > 1) name += fmt::format(", tp {}", rank % tp);
  return name;
}

void JobObserver::describe(RunSummary& summary) const {
  summary.command = job_.observe.command;
  for (RankSummary& rank : summary.ranks) {
    rank.name = rank_name(job_.options, rank.rank.replica, rank.rank.rank);
  }
  // Who has stopped a job does not want to wait; and some ranks' steps say nothing of all ranks'.
  const Options& options = job_.options;
  const int ranks =
      options.data_parallel_size * options.tensor_parallel_size * options.pipeline_parallel_size;
  const bool whole = reason_.empty() && std::ssize(summary.ranks) == ranks;
  const bool worth_it = !job_.observe.quiet && summary.working_seconds >= worth_measuring_seconds;
  compare_with_plan(summary, job_.options, whole && (worth_it || !job_.observe.report.empty()));
}

std::vector<RankTrace> JobObserver::traces() const {
  std::vector<RankTrace> traces;
  for (const auto& [place, trace] : traces_) {
    traces.push_back(trace);
    traces.back().name = rank_name(job_.options, place.first, place.second);
  }
  return traces;
}

std::shared_ptr<const RunSummary> JobObserver::close(int exit_code) {
  auto summary = std::make_shared<RunSummary>(watch_.summary(monotonic_ns()));
  summary->exit_code = exit_code;
  summary->outcome = reason_.empty() ? "done" : reason_;
  try {
    describe(*summary);
    const std::vector<RankTrace> traces = this->traces();
    write_file("--trace", job_.observe.trace,
               [&](const auto& write) { write_trace(traces, *summary, start_ns_, write); });
    write_file("--report", job_.observe.report,
               [&](const auto& write) { write(report_page(*summary, traces, start_ns_)); });
  } catch (const std::exception& error) {  // out of memory, say: the job itself is done
    on_notice_(fmt::format("warning: no report or trace: {}", error.what()));
  }
  return summary;
}

void JobObserver::write_file(
    const std::string& flag, const std::string& path,
    const std::function<void(const std::function<void(std::string_view)>&)>& body) {
  if (path.empty()) return;
  const std::string partial = path + ".partial";
  std::FILE* const file = std::fopen(partial.c_str(), "we");
  bool good = file != nullptr;
  int error = errno;
  if (good) {
    body([&](std::string_view text) {
      if (!good) return;
      good = std::fwrite(text.data(), 1, text.size(), file) == text.size();
      error = errno;
    });
    if (std::fclose(file) != 0 && good) good = false, error = errno;
  }
  if (good && std::rename(partial.c_str(), path.c_str()) != 0) good = false, error = errno;
  if (good) return;
  unlink(partial.c_str());
  on_notice_(
      fmt::format("warning: {} {} could not be written: {}; the job's output is not affected", flag,
                  path, std::strerror(error)));
}

BatchOutcome observed(JobObserver& observer, const std::function<BatchOutcome()>& run) {
  try {
    BatchOutcome outcome = run();
    outcome.summary = observer.close(outcome.exit_code);
    return outcome;
  } catch (const std::exception& error) {
    const auto* const known = dynamic_cast<const Error*>(&error);
    observer.ended(fmt::format("failed: {}", error.what()));
    observer.close(known != nullptr ? exit_code(known->kind()) : 1);
    throw;
  }
}

}  // namespace trireme
