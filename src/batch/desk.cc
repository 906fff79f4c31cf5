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

std::vector<InputFile> input_files(const BatchJob& job) {
  std::vector<InputFile> files = resolve_inputs(job.inputs);
  for (const InputFile& file : files) check_distinct(file.path, job.output);
  return files;
}

/// Where the output goes there must be room for more.
std::filesystem::path scratch_folder(const std::string& output) {
  std::error_code error;
  if (std::filesystem::is_regular_file(output, error) || !std::filesystem::exists(output, error)) {
    return std::filesystem::path(output).parent_path();
  }
  return std::filesystem::temp_directory_path(error);
}

}  // namespace

Desk::Desk(const BatchJob& job, BatchServer::Send send, OnBatchProgress on_progress,
           OnBatchNotice on_notice)
    : input_(input_files(job), job.reader),
      output_(open_output({.path = job.output,
                           .job = describe(job),
                           .now = job.now,
                           .restart = job.restart,
                           .overwrite = job.overwrite})),
      server_(input_, *output_, job.rows, std::move(send),
              {.strict = job.strict, .scratch = scratch_folder(job.output)}),
      on_progress_(std::move(on_progress)),
      on_notice_(std::move(on_notice)),
      resume_command_(job.resume_command) {}

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

bool Desk::wind_up(int stop_requests) {
  if (const std::optional<std::string>& failure = server_.failure()) {
    end_ = {*failure + "; --strict ends the job at the first row that fails",
            exit_code(ErrorKind::input)};
  } else if (stop_requests > 1 || server_.drained()) {
    end_ = {"stopped", exit_code(ErrorKind::peer_lost)};
  } else if (stop_requests > 0 && !draining_) {
    draining_ = true;
    server_.drain();
    const std::uint64_t left = server_.coordinator().in_flight();
    if (left > 0) {
      on_notice_(
          fmt::format("stopping: {} row{} at work {} finished first (Ctrl-C again stops at "
                      "once)",
                      left, left == 1 ? "" : "s", left == 1 ? "is" : "are"));
    }
  }
  return end_.has_value();
}

BatchOutcome Desk::end_early() const { return end_early(end_->reason, end_->exit_code); }

BatchOutcome Desk::end_early(const std::string& reason, int exit_code) const {
  std::string text = reason;
  if (!output_->resumable()) {
    text += "; the output is not complete, and only a file's can be resumed";
  } else {
    text += "; everything finished so far is kept, and the same command goes on from there";
    if (!resume_command_.empty()) text += ":\n  " + resume_command_;
  }
  on_notice_(text);
  return {finished_rows(), output_->failed_rows(), exit_code, true};
}

void Desk::report() const {
  const Coordinator& c = server_.coordinator();
  on_progress_({c.finished_rows(), c.total_rows(), c.input_ended(), output_->resumed_rows(),
                output_->failed_rows(), server_.prompt_tokens(), server_.new_tokens(),
                c.workers()});
}

}  // namespace trireme
