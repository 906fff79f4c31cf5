#include "batch/job_files.h"

#include <filesystem>

#include "batch/ledger.h"
#include "core/error.h"

namespace trireme {

std::vector<InputFile> input_files(const BatchJob& job) {
  std::vector<InputFile> files = resolve_inputs(job.inputs);
  for (const InputFile& file : files) {
    check_distinct(file.path, job.output);
    std::error_code error;
    const auto folder = std::filesystem::absolute(file.path).parent_path();
    if (job.shards == 0 || !std::filesystem::equivalent(folder, job.output, error)) continue;
    fail(ErrorKind::usage, "-o {}: the input {} is in this folder, which would be replaced",
         job.output, file.path);
  }
  return files;
}

RowForm output_form(const BatchJob& job, const RowReader& input) {
  RowSettings rows = job.rows;
  rows.format = input.format();
  const std::vector<RowColumn> own = input.columns();
  check_kept_columns(rows, own);
  RowForm form{output_format_of(job.output, job.output_format, job.shards), {}};
  if (form.format.is_table()) form.columns = table_columns(rows, own);
  if (form.format.rows == OutputFormat::Rows::text) form.columns = answer_columns(rows.task);
  check_form(form);
  if (form.format.rows == OutputFormat::Rows::text && rows.keep_columns) {
    fail(ErrorKind::usage, "--keep-columns: text has no columns; write .jsonl, .csv or .parquet");
  }
  if (form.format.shards > 0 && job.output == "-") {
    fail(ErrorKind::usage, "--shards: standard output is no folder; name one with -o");
  }
  return form;
}

}  // namespace trireme
