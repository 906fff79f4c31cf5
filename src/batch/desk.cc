#include "batch/desk.h"

#include <fmt/ranges.h>

#include "batch/job_files.h"
#include "batch/job_identity.h"
#include "core/error.h"
#include "trireme/engine.h"

namespace trireme {

namespace {

std::string text_of(bool value) { return value ? "true" : "false"; }

template <typename T>
std::string text_of(const T& value) {
  return fmt::format("{}", value);
}

template <typename T>
std::string text_of(const std::optional<T>& value) {
  return value ? text_of(*value) : "default";
}

std::string describe_choices(const RowSettings& rows) {
  if (rows.task != RowTask::choose) return "";
  std::string labels;
  for (const std::string& label : rows.choices)
    labels += fmt::format("{}:{};", label.size(), label);
  return identity_line("choices", labels) + identity_line("choices_column", rows.choices_column);
}

std::string describe_task(const RowSettings& rows) {
  if (rows.task == RowTask::generate) return "";
  return describe_choices(rows) + identity_line("task", name_of(rows.task)) +
         identity_line("truncate", text_of(rows.truncate)) +
         identity_line("pair_template", rows.pair_template) + identity_line("prefix", rows.prefix) +
         identity_line("answers", text_of(rows.top_k));
}

/// How the input is cut into rows and what they are called; an input's name may say it.
std::string describe_rows(const RowReader& input, const RowSettings& rows) {
  constexpr std::string_view formats[] = {"jsonl", "text", "csv"};
  std::string text = identity_line("format", formats[static_cast<std::size_t>(input.format())]) +
                     identity_line("template", rows.prompt_template) +
                     identity_line("chat", text_of(rows.chat)) +
                     identity_line("token_ids", text_of(rows.token_ids));
  if (input.format() != RowFormat::csv) return text;
  return text + identity_line("delimiter", std::string(1, input.delimiter())) +
         identity_line("columns", fmt::format("{}", fmt::join(input.csv_header(), ",")));
}

std::string describe_sampling(const SamplingParams& s) {
  std::string stops;
  for (const std::string& stop : s.stop) stops += fmt::format("{}:{};", stop.size(), stop);
  return identity_line("max_new_tokens", text_of(s.max_new_tokens)) +
         identity_line("do_sample", text_of(s.do_sample)) +
         identity_line("temperature", text_of(s.temperature)) +
         identity_line("top_k", text_of(s.top_k)) + identity_line("top_p", text_of(s.top_p)) +
         identity_line("min_p", text_of(s.min_p)) +
         identity_line("repetition_penalty", text_of(s.repetition_penalty)) +
         identity_line("seed", text_of(s.seed)) +
         identity_line("ignore_eos", text_of(s.ignore_eos)) + identity_line("stop", stops);
}

/// Nothing for jobs without: their journals go on.
std::string describe_kept(const RowSettings& rows) {
  if (!rows.keep_columns) return "";
  std::string names;
  for (const std::string& name : *rows.keep_columns)
    names += fmt::format("{}:{};", name.size(), name);
  return identity_line("keep_columns", names);
}

/// Everything that determines the output, for the journal.
std::string describe(const BatchJob& job, const RowReader& input) {
  return output_identity(job.options) + describe_input(input.files()) + describe_task(job.rows) +
         describe_kept(job.rows) + describe_rows(input, job.rows) +
         describe_sampling(job.rows.sampling);
}

/// Of all its rows, where that is known beforehand: of plain files of known size.
std::optional<std::uint64_t> bytes_of(const RowReader& input) {
  std::uint64_t total = 0;
  for (const InputFile& file : input.files()) {
    const std::string extension = std::filesystem::path(file.path).extension().string();
    const bool packed = extension == ".gz" || extension == ".zst" || extension == ".parquet";
    if (!file.bytes || packed) return std::nullopt;
    total += *file.bytes;
  }
  return total > 0 ? std::optional(total) : std::nullopt;
}

/// Where the output goes there must be room for more.
std::filesystem::path scratch_folder(const std::string& output) {
  std::error_code error;
  const auto status = std::filesystem::status(output, error);
  const bool is_stream = output == "-" || std::filesystem::is_other(status);
  if (is_stream) return std::filesystem::temp_directory_path(error);
  const std::filesystem::path path(output);
  return (path.has_filename() ? path : path.parent_path()).parent_path();
}

}  // namespace

Desk::Desk(const BatchJob& job, BatchServer::Send send, OnBatchProgress on_progress,
           OnBatchNotice on_notice, JobObserver& observer)
    : input_(input_files(job), job.reader),
      output_(open_output({.path = job.output,
                           .job = describe(job, input_),
                           .now = job.now,
                           .restart = job.restart,
                           .form = output_form(job, input_),
                           .overwrite = job.overwrite})),
      server_(input_, *output_, job.rows, std::move(send),
              {.strict = job.strict, .scratch = scratch_folder(job.output)}),
      on_progress_(std::move(on_progress)),
      on_notice_(std::move(on_notice)),
      observer_(observer),
      resume_command_(job.resume_command) {
  if (job.strict && output_->failed_rows() > 0) {
    fail(ErrorKind::usage,
         "--strict: {} row{} of the unfinished run {} failed already; go on without --strict, or "
         "begin anew with --restart",
         output_->failed_rows(), output_->failed_rows() == 1 ? "" : "s",
         output_->failed_rows() == 1 ? "has" : "have");
  }
  server_.observe(observer.watch());
  observer.watch().set_input_bytes(bytes_of(input_));
}

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
  observer_.ended(reason);
  std::string text = reason;
  const bool would_fail_again = exit_code != ::trireme::exit_code(ErrorKind::peer_lost);
  if (finished_rows() == 0 && would_fail_again) {
    // Nothing is lost, and nothing could go on.
  } else if (!output_->resumable()) {
    text += "; the output is not complete, and only a file's can be resumed";
  } else if (server_.failure()) {
    text += "; the rows before it are kept, and the same command without --strict goes on";
  } else {
    text += would_fail_again ? "; everything finished so far is kept, and once that is mended "
                             : "; everything finished so far is kept, and ";
    text += "the same command goes on from there";
    if (!resume_command_.empty()) text += ":\n  " + resume_command_;
  }
  on_notice_(text);
  return {finished_rows(), output_->failed_rows(), exit_code, true};
}

void Desk::report() const {
  const Coordinator& c = server_.coordinator();
  observer_.turn({c.finished_rows(), c.total_rows(), c.input_ended(), output_->resumed_rows(),
                  output_->failed_rows(), c.in_flight()});
  on_progress_({c.finished_rows(), c.total_rows(), c.input_ended(), output_->resumed_rows(),
                output_->failed_rows(), server_.prompt_tokens(), server_.new_tokens(), c.workers(),
                &observer_.watch()});
}

}  // namespace trireme
