// The backends this program was built with, and the choice among them at run time.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/backend.h"

namespace trireme {

/// Names of the backends that this machine can run: e.g. reference, avx2, avx512, avx512bf16, amx.
std::vector<std::string> available_backends();

/// Those of them that are faster on this processor than the ones before, best last.
std::vector<std::string> worthwhile_backends();

/// The backend that `name` or, for "" and "auto", TRIREME_ISA asks for; empty if any will do.
/// Throws Error(usage) when this machine cannot run it.
std::string asked_backend(std::string_view name);

/// The backend called `name`. "" or "auto": TRIREME_ISA from the environment if set, else the best
/// that this machine can run. Throws Error(usage) naming the available ones.
std::unique_ptr<Backend> make_backend(std::string_view name);

/// The backend of a rank: of the CPU with instruction set `isa`, or of the GPU that `device` means
/// for the host's rank `local_rank` (kernels/cuda_plugin.h).
std::unique_ptr<Backend> make_backend(const std::string& device, std::string_view isa,
                                      int local_rank);
/// Its Backend::arithmetic(), without making it.
std::string arithmetic_of(const std::string& device, std::string_view isa);

}  // namespace trireme
