// Which of a machine's limits count for a model.
#pragma once

#include <string>
#include <string_view>

#include "core/machine_peaks.h"
#include "core/model_spec.h"
#include "kernels/backend.h"

namespace trireme {

/// The CPU's name, as /proc/cpuinfo has it.
std::string processor_name();

/// What multiplies the model's matrices, many rows at a time, with the instruction set `isa`.
MathUnit unit_of(std::string_view isa, const ModelSpec& model);

/// Bytes/s that a device reads and writes when it copies within its memory: each byte counts twice.
/// Takes 512 MB of it, for some milliseconds.
double measure_copies(const Backend& backend);

}  // namespace trireme
