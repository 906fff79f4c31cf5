// Which files a job reads, and in which form it writes.
#pragma once

#include <vector>

#include "batch/job.h"
#include "batch/row_reader.h"
#include "batch/row_writer.h"

namespace trireme {

/// Throws Error(usage) where the output would replace one of them, and as resolve_inputs() does.
std::vector<InputFile> input_files(const BatchJob& job);

/// Throws Error(usage) for what cannot be: columns that are not there, a form that the answers do
/// not fit.
RowForm output_form(const BatchJob& job, const RowReader& input);

}  // namespace trireme
