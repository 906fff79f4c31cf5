#include "batch/desk.h"

#include "core/error.h"
#include "trireme/engine.h"

namespace trireme {

namespace {

/// Nothing for what `batch` has always done: its journals go on.
std::string describe_task(const RowSettings& rows) {
  if (rows.task == RowTask::generate) return "";
  const char* const truncate = !rows.truncate ? "default" : *rows.truncate ? "true" : "false";
  return fmt::format("task={}\ntruncate={}\n", name_of(rows.task), truncate) +
         fmt::format("pair_template={}\nprefix={}\nanswers={}\n", rows.pair_template, rows.prefix,
                     rows.top_k);
}

/// Everything that determines the output, for the journal.
std::string describe(const BatchJob& job) {
  const SamplingParams& s = job.rows.sampling;
  const auto text = [](const auto& value) { return value ? fmt::format("{}", *value) : "default"; };
  std::string stops;
  for (const std::string& stop : s.stop) stops += fmt::format("{}:{};", stop.size(), stop);
  return output_identity(job.options) + describe_task(job.rows) +
         fmt::format("format={}\ntemplate={}\nchat={}\ntoken_ids={}\n", job.reader.format,
                     job.rows.prompt_template, job.rows.chat, job.rows.token_ids) +
         fmt::format("max_new_tokens={}\ndo_sample={}\ntemperature={}\ntop_k={}\ntop_p={}\n",
                     text(s.max_new_tokens), text(s.do_sample), text(s.temperature), text(s.top_k),
                     text(s.top_p)) +
         fmt::format("min_p={}\nrepetition_penalty={}\nseed={}\nignore_eos={}\nstop={}\n",
                     text(s.min_p), text(s.repetition_penalty), text(s.seed), text(s.ignore_eos),
                     stops);
}

std::unique_ptr<ByteSource> open_input(const BatchJob& job) {
  check_distinct(job.input, job.output);
  return open_bytes(job.input);
}

}  // namespace

Desk::Desk(const BatchJob& job, BatchServer::Send send, OnBatchProgress on_progress,
           OnBatchNotice on_notice)
    : input_(open_input(job), job.reader),
      output_(open_output({.path = job.output,
                           .job = describe(job),
                           .now = job.now,
                           .restart = job.restart,
                           .overwrite = job.overwrite})),
      server_(input_, *output_, job.rows, std::move(send)),
      on_progress_(std::move(on_progress)),
      on_notice_(std::move(on_notice)) {}

void Desk::turn() {
  server_.turn();
  report();
}

BatchOutcome Desk::finish() {
  server_.finish();
  report();
  return {server_.coordinator().total_rows(), output_->failed_rows(),
          output_->failed_rows() > 0 ? 3 : 0, true};
}

BatchOutcome Desk::end_early(const std::string& reason, int exit_code) const {
  on_notice_(reason +
             (output_->resumable()
                  ? "; everything finished so far is kept, and the same command goes on from there"
                  : "; the output is not complete, and only a file's can be resumed"));
  return {finished_rows(), output_->failed_rows(), exit_code, true};
}

void Desk::report() const {
  const Coordinator& c = server_.coordinator();
  on_progress_({c.finished_rows(), c.total_rows(), c.input_ended(), output_->resumed_rows(),
                output_->failed_rows(), server_.prompt_tokens(), server_.new_tokens(),
                c.workers()});
}

}  // namespace trireme
